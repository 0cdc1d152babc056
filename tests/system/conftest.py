"""What the system tests share: where the programs are, how to run one, and a demo responder.

MUSTER_BUILD names the build directory (default: build). Nothing here waits for a guess: a program
that serves prints its address when it is ready, and that line is what a fixture waits for.
"""
import os
import re
import select
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


class Result:
    def __init__(self, args, code, out, err):
        self.args, self.code, self.out, self.err = args, code, out, err

    def __repr__(self):
        return f"exit {self.code}\n$ {' '.join(map(str, self.args))}\n--- stdout\n{self.out}\n--- stderr\n{self.err}"


def run(*args, env=None, input=None, timeout=60, cwd=None):
    """Runs to the end; never raises for an exit status. A sanitizer report is always a failure."""
    full = dict(os.environ)
    for name in list(full):
        if name.startswith("MUSTER_SECRET_") or name.lower().endswith("_proxy"):
            del full[name]
    full.update(env or {})
    p = subprocess.run([str(a) for a in args], env=full, input=input, capture_output=True, text=True,
                       timeout=timeout, cwd=cwd, errors="replace")
    r = Result(args, p.returncode, p.stdout, p.stderr)
    assert "Sanitizer" not in p.stderr and "runtime error:" not in p.stderr, r
    return r


class Server:
    """A program that serves until stopped, with its output collected in a file."""

    def __init__(self, args, log, ready, env=None, cwd=None, timeout=20):
        self.args = [str(a) for a in args]
        self.log = Path(log)
        full = dict(os.environ)
        full.update(env or {})
        self.file = open(self.log, "ab")
        self.process = subprocess.Popen(self.args, stdout=subprocess.PIPE, stderr=self.file, env=full, cwd=cwd)
        self.out = b""
        self.match = self._wait(re.compile(ready.encode()), timeout)

    def _wait(self, pattern, timeout):
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            m = pattern.search(self.out)
            if m:
                return m
            r, _, _ = select.select([self.process.stdout], [], [], max(0, end - time.monotonic()))
            if r:
                chunk = os.read(self.process.stdout.fileno(), 65536)
                if not chunk:
                    break
                self.out += chunk
        raise AssertionError(f"{self.args} did not get ready: {self.out!r}\n{self.stderr()}")

    def stderr(self):
        return self.log.read_text(errors="replace")

    def kill(self):
        self.process.kill()
        self.process.wait()

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                rest, _ = self.process.communicate(timeout=20)
                self.out += rest
            except subprocess.TimeoutExpired:
                self.kill()
                raise AssertionError(f"{self.args} did not stop\n{self.stderr()}")
        self.file.close()
        text = self.stderr()
        assert "Sanitizer" not in text and "runtime error:" not in text, text
        return self.process.returncode


class Demo(Server):
    """muster-ca demo on a free port, in a directory of its own."""

    def __init__(self, build, dir, *options, env=None):
        self.dir = Path(dir)
        self.dir.mkdir(parents=True, exist_ok=True)
        super().__init__([build / "src/cmd/muster-ca/muster-ca", "demo", "--dir", self.dir, "--port", "0", *options],
                         self.dir.parent / (self.dir.name + ".log"), r"SCEP +(http://\S+)", env=env)
        self.url = self.match.group(1).decode()
        self.host = re.match(r"(http://[^/]+)", self.url).group(1)
        self.port = int(self.host.rsplit(":", 1)[1])
        self.root = self.dir / "root.pem"
        self.est = self._wait(re.compile(rb"EST +(https://\S+)"), 20).group(1).decode()

    def secret(self, name, path):
        """Writes the challenge of this name ('challenge1') to a 0600 file and returns it."""
        for line in (self.dir / "credentials").read_text().splitlines():
            m = re.match(r"\s*([\w-]+)\s*[=:]\s*(\S+)", line)
            if m and m.group(1) == name:
                p = Path(path)
                p.touch(mode=0o600)
                p.write_text(m.group(2) + "\n")
                return p
        raise AssertionError(f"no {name} in credentials")


@pytest.fixture(scope="session")
def build():
    p = Path(os.environ.get("MUSTER_BUILD", ROOT / "build"))
    assert (p / "src/cmd/muster/muster").exists(), f"no build in {p}"
    return p


@pytest.fixture(scope="session")
def muster(build):
    return build / "src/cmd/muster/muster"


@pytest.fixture(scope="session")
def muster_ca(build):
    return build / "src/cmd/muster-ca/muster-ca"


@pytest.fixture(scope="session")
def sscep(muster, tmp_path_factory):
    link = tmp_path_factory.mktemp("bin") / "sscep"
    link.symlink_to(muster)
    return link


@pytest.fixture(scope="module")
def demo(build, tmp_path_factory):
    d = Demo(build, tmp_path_factory.mktemp("demo") / "demo")
    yield d
    d.stop()


@pytest.fixture
def start_demo(build, tmp_path):
    """A function that starts more responders, with options; all are stopped at the end."""
    started = []

    def start(*options, name="demo", env=None):
        d = Demo(build, tmp_path / name, *options, env=env)
        started.append(d)
        return d

    yield start
    for d in started:
        d.stop()


def need(program):
    """The path of a peer; a missing one is a failure, never a skip."""
    path = shutil.which(program, path=os.environ["PATH"] + ":/usr/sbin:/sbin")
    assert path, f"{program} is not installed: script/bootstrap installs it"
    return path
