"""musterd beside a demo CA, both on one clock that a test moves: what the rows done by the agent itself are tested with."""
import json
import os
import re
import signal
import socket
import subprocess
import time
from pathlib import Path

from conftest import Demo, run

DAY, HOUR = 86400, 3600
CLEAN = {k: v for k, v in os.environ.items() if not k.startswith("MUSTER_SECRET_")}


def wait_for(fact, what, seconds=30):
    """The fact as soon as it is true; what (text or a function) tells what was waited for."""
    end = time.monotonic() + seconds
    while True:
        got = fact()
        if got:
            return got
        if time.monotonic() > end:
            raise AssertionError(f"not within {seconds} s: {what() if callable(what) else what}")
        time.sleep(0.05)


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Moving(Demo):
    """A demo that comes back at the same address with another clock."""

    def __init__(self, build, dir, shift, port, est_port, *options):
        super().__init__(build, dir, "--port", str(port), "--est-port", str(est_port), *options, env={"MUSTER_CLOCK_SHIFT": str(shift)})


class World:
    def __init__(self, build, dir):
        self.build, self.dir = build, Path(dir)
        self.muster = build / "src/cmd/muster/muster"
        self.muster_ca = build / "src/cmd/muster-ca/muster-ca"
        self.musterd = build / "src/cmd/musterd/musterd"
        self.port, self.est_port = free_port(), free_port()
        self.shift, self.demo, self.agent, self.logs = 0, None, None, 0
        self.demo_options = ()
        self.conf, self.store, self.socket = self.dir / "muster.conf", self.dir / "store", self.dir / "control.sock"
        self.out = self.dir / "musterd.log"
        self.start_ca()
        self.root = self.demo.root
        self.base = f"http://127.0.0.1:{self.port}"

    # ---- the CA ----
    def start_ca(self):
        self.demo = Moving(self.build, self.dir / "demo", self.shift, self.port, self.est_port, *self.demo_options)

    def stop_ca(self):
        if self.demo:
            self.demo.stop()
            self.demo = None

    def operator(self, *args):
        r = run(self.muster_ca, "--dir", self.dir / "demo", *args)
        assert r.code == 0, r
        return r

    def trail(self, action):
        return json.loads(self.operator("log", "--action", action, "--json").out)["log"]

    def issued(self, name):
        """Serials of what the CA has issued with this common name, newest first."""
        listed = json.loads(self.operator("issued", "list", "--subject", name, "--json").out)["issued"]
        return [c["serial"] for c in listed]

    def profile(self, name, *settings, once=False):
        """A profile with an entry of the same name; the file with its password."""
        self.operator("profile", "new", name, *settings)
        file = self.dir / f"{name}.secret"
        self.operator("entry", "new", name, "--profile", name, *([] if once else ["--reusable"]), "--out", file)
        return file

    # ---- the agent ----
    def configure(self, *sections, **agent):
        """[agent] with these keys (dashes for underscores), then the sections as text."""
        keys = {"check-interval": "10s", "notify": "off", **{k.replace("_", "-"): v for k, v in agent.items()}}
        self.conf.write_text("[agent]\n" + "".join(f"{k} = {v}\n" for k, v in keys.items()) + "\n" + "\n".join(sections))

    def ca(self, proto="scep", name=None, **more):
        """A [ca] section of the demo."""
        url = {"scep": f"{self.base}/app/cert/scep/", "est": f"https://127.0.0.1:{self.est_port}", "cmp": self.base}[proto]
        keys = {"protocol": proto, "url": url, "trust": self.root, **{k.replace("_", "-"): v for k, v in more.items()}}
        return f'[ca "{name or proto}"]\n' + "".join(f"{k} = {v}\n" for k, v in keys.items())

    def start(self, ready=True, prefix=()):
        env = {**CLEAN, "MUSTER_CLOCK_SHIFT": str(self.shift), "MUSTER_RECIPES": str(self.dir / "recipes")}
        self.log = open(self.out, "ab")
        self.logs = self.out.stat().st_size
        self.agent = subprocess.Popen([*prefix, str(self.musterd), "-F", "--demo", "--config", str(self.conf), "--store", str(self.store), "--socket", str(self.socket)],
                                      stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log, env=env)
        if ready:
            wait_for(lambda: self.answers() or self.agent.poll() is not None, self.text)
            assert self.agent.poll() is None, self.text()

    def answers(self):
        try:
            with socket.socket(socket.AF_UNIX) as s:
                s.connect(str(self.socket))
                return True
        except OSError:
            return False

    def text(self):
        """What the agent has said since it was started last."""
        return self.out.read_bytes()[self.logs:].decode(errors="replace")

    def stop(self, sig=signal.SIGTERM):
        if self.agent is None:
            return
        self.agent.send_signal(sig)
        code = self.agent.wait(30)
        self.agent = None
        self.log.close()
        text = self.text()
        assert "Sanitizer" not in text and "runtime error:" not in text and code == (0 if sig == signal.SIGTERM else -sig), (code, text)

    def reload(self):
        self.agent.send_signal(signal.SIGHUP)

    def at(self, seconds, ca=True):
        """Both stop, and come back at this time after the beginning."""
        had = self.agent is not None
        self.stop()
        if ca:
            self.stop_ca()
        self.shift = int(seconds)
        if ca:
            self.start_ca()
        if had:
            self.start()

    def end(self):
        try:
            self.stop()
        finally:
            self.stop_ca()

    # ---- muster ----
    def __call__(self, *args, **kw):
        env = {"MUSTER_CLOCK_SHIFT": str(self.shift), "MUSTER_RECIPES": str(self.dir / "recipes"), **kw.pop("env", {})}
        return run(self.muster, "--config", self.conf, "--store", self.store, "--socket", self.socket, "--no-input", *args, env=env, **kw)

    def facts(self, name):
        r = self("show", name, "--json")
        return json.loads(r.out)["certificates"][0] if r.code == 0 else {"state": None, "serial": None}

    def life(self, name):
        f = self.store / f"state/{name}.life"
        return dict(line.split(" = ", 1) for line in f.read_text().splitlines() if " = " in line) if f.exists() else {}

    def serial(self, name):
        try:
            return os.readlink(self.store / "certs" / name / "current").rsplit("/", 1)[1]
        except OSError:
            return None

    def serials(self, name):
        d = self.store / "certs" / name
        return sorted(p.stem for p in d.glob("*.crt") if re.fullmatch(r"[0-9A-F]+(-\d+)?", p.stem))

    def events(self, *args):
        """Events of certificates, oldest first."""
        r = self("log", "--json", *args)
        return [e for e in json.loads(r.out)["events"] if "name" in e] if r.code == 0 else []

    def wait_serial(self, name, old=None, seconds=30):
        return wait_for(lambda: self.serial(name) if self.serial(name) not in (None, old) else None,
                        lambda: f"a new certificate of {name}: {self.facts(name)}\n{self.text()}", seconds)

    def stays(self, name, old, seconds=5):
        """No new certificate within that time, which is more than a check interval."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            assert self.serial(name) == old, f"{name} was renewed: {self.facts(name)}\n{self.text()}"
            time.sleep(0.1)
