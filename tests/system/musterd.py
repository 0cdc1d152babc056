"""An agent in a directory of its own, with a systemd that listens."""
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path


def wait_for(what, seconds=30, pause=0.05):
    """The value of what() once it is true; the last one is shown where it never is."""
    end = time.monotonic() + seconds
    while True:
        value = what()
        if value:
            return value
        assert time.monotonic() < end, f"never came: {value!r}"
        time.sleep(pause)


class Unix(http.client.HTTPConnection):
    def __init__(self, path, timeout=30):
        super().__init__("muster", timeout=timeout)
        self.path = str(path)

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


class Musterd:
    """musterd -F below dir: muster.conf, store, run/control.sock. start() waits until it says READY."""

    def __init__(self, build, dir, conf="", env=None):
        self.program = build / "src/cmd/musterd/musterd"
        self.muster = build / "src/cmd/muster/muster"
        self.dir = Path(dir)
        self.dir.mkdir(parents=True, exist_ok=True)
        self.store = self.dir / "store"
        self.socket = self.dir / "run/control.sock"
        self.conf = self.dir / "muster.conf"
        self.err = self.dir / "stderr"
        self.env = env or {}
        self.process = None
        self.messages = []
        self.configure(conf)
        self.notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.notify_path = self.dir / "notify"
        self.notify_path.unlink(missing_ok=True)
        self.notify.bind(str(self.notify_path))

    def configure(self, text, agent=""):
        """[agent] with what tests need; a file only its owner reads."""
        self.conf.touch(mode=0o600)
        self.conf.write_text(f"[agent]\nnotify = off\ncheck-interval = 1h\n{agent}\n{text}\n")

    def args(self, *more):
        return [str(a) for a in (self.program, "--config", self.conf, "--store", self.store, "--socket", self.socket, *more)]

    def start(self, *more, shift=None, env=None, wait=True, prefix=()):
        full = dict(os.environ)
        full.update(self.env)
        full.update(env or {})
        full["NOTIFY_SOCKET"] = str(self.notify_path)
        if shift is not None:
            full["MUSTER_CLOCK_SHIFT"] = str(shift)
        self.notify.setblocking(False)
        while True:  # what earlier ones, killed since, have said
            try:
                self.notify.recv(4096)
            except BlockingIOError:
                break
        self.process = subprocess.Popen([*prefix, *self.args("-F", *more)], stderr=open(self.err, "ab"), env=full)
        if wait:
            self.message("READY=1")
        return self

    def message(self, begin, seconds=30):
        """The next datagram to systemd that begins so; all are kept in messages."""
        end = time.monotonic() + seconds
        while True:
            left = end - time.monotonic()
            assert left > 0, f"no {begin}: {self.messages}\n{self.stderr()}"
            self.notify.settimeout(min(left, 1))
            try:
                text = self.notify.recv(4096).decode()
            except TimeoutError:
                assert self.process is None or self.process.poll() is None, self.stderr()
                continue
            self.messages.append(text)
            if text.startswith(begin):
                return text

    def stderr(self):
        return self.err.read_text(errors="replace") if self.err.exists() else ""

    def kill(self):
        self.process.kill()
        self.process.wait()

    def stop(self, sig=signal.SIGTERM):
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(sig)
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.kill()
                raise AssertionError(f"did not stop\n{self.stderr()}")
        text = self.stderr()
        assert "Sanitizer" not in text and "runtime error:" not in text, text
        return self.process.returncode if self.process else None

    def end(self):
        self.stop()
        self.notify.close()

    # ---- requests ----
    def ask(self, method, path, body=None, timeout=30):
        assert self.process is None or self.process.poll() is None, f"it ended: {self.process.returncode}\n{self.stderr()}"
        c = Unix(self.socket, timeout)
        c.request(method, path, body=json.dumps(body) if body is not None else None)
        r = c.getresponse()
        text = r.read().decode()
        c.close()
        return r.status, json.loads(text) if "json" in r.headers["Content-Type"] else text

    def get(self, path):
        status, body = self.ask("GET", path)
        assert status == 200, body
        return body

    def post(self, path, body=None):
        status, answer = self.ask("POST", path, body)
        assert status == 200, answer
        return answer

    def status(self):
        return self.get("/v1/status")["agent"]

    def certs(self):
        return {c["name"]: c for c in self.get("/v1/certificates")["certificates"]}

    def cert(self, name):
        return self.certs().get(name, {})

    def wait_state(self, name, state, seconds=40):
        return wait_for(lambda: (lambda c: c if c.get("state") == state else None)(self.cert(name)), seconds)

    def events(self, query=""):
        return self.get("/v1/events" + query)["events"]

    def remove(self):
        shutil.rmtree(self.dir, ignore_errors=True)
