"""Codes that only the agent's own work brings about, each provoked through musterd for real: servers at fault, keys and files
that do not fit, a clock that jumps, hooks that refuse. 'muster status' or 'muster doctor' says each with its next step."""
import json
import os
import shutil
import signal
import ssl
import tempfile
import time
from pathlib import Path

import pytest

from agent import DAY, HOUR, World, wait_for
from conftest import ROOT
from est_double import EstDouble, make_ca
from explained import explained
from relay import Relay
from test_agent_rows import cmp, entry, scep


class Site(World):
    """A world with doubles that end with it."""

    def __init__(self, build, dir):
        super().__init__(build, dir)
        self.stops = []

    def double(self, **more):
        d = EstDouble(self.dir / "double")
        for key, value in more.items():
            setattr(d, key, value)
        self.stops.append(d)
        return d, (f'[ca "est"]\nprotocol = est\nurl = {d.url}\ntrust = {d.root}\n')

    def file(self, name, text, mode=0o600):
        path = self.dir / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(mode=mode)
        path.write_text(text)
        path.chmod(mode)
        return path

    def program(self, name, text):
        return self.file(name, "#!/bin/sh\n" + text + "\n", 0o755)

    def wait_code(self, name, code):
        """What 'muster status' says once the last try has ended so."""
        return wait_for(lambda: (lambda out: out if code in out else None)(self("status", name).out),
                        lambda: f"{code}: {self.facts(name)}\n{self.text()}", 40)

    def end(self):
        super().end()
        for s in self.stops:
            s.stop()


@pytest.fixture
def site(build, tmp_path):
    w = Site(build, tmp_path)
    yield w
    w.end()


WAYS = {}


def way(code):
    def keep(f):
        WAYS[code] = f
        return f
    return keep


# ---- servers ----

@way(207)
def a_stranger(w):
    """client-cert is of a CA that the server does not know: it says so in the handshake."""
    d, ca = w.double()
    d.context.maximum_version = ssl.TLSVersion.TLSv1_2  # 1.3 tells after the handshake, to whom has sent a request meanwhile
    make_ca(w.dir, "stranger")
    pair = w.file("pair.pem", (w.dir / "stranger.pem").read_text() + (w.dir / "stranger.key").read_text())
    w.configure(ca, entry("x", "est", client_cert=pair))
    w.start()
    return w.wait_code("x", "M207")


@way(406)
def not_as_tls_client(w):
    """E101: the certificate lacks clientAuth: told, tried, and the server does not take it."""
    d, ca = w.double(extensions="basicConstraints=CA:FALSE\nkeyUsage=digitalSignature\nextendedKeyUsage=serverAuth\n", days=60)
    w.configure(ca, entry("x", "est"))
    w.start()
    old = w.wait_serial("x")
    d.answers["simplereenroll"] = (401, {"Content-Type": "text/plain"}, b"not with this one\n")
    w.at(40 * DAY, ca=False)
    out = w.wait_code("x", "M406")
    assert w.serial("x") == old and "clientAuth" in out
    return out


@way(503)
def signed_by_whom(w):
    """The demo's CA does not know the reference and signs what it says, and another CA is trusted here."""
    other = make_ca(w.dir, "other")
    w.configure(f'[ca "cmp"]\nprotocol = cmp\nurl = {w.base}\ntrust = {other}\nref = nobody\nsecret = file:{w.file("pw", "wrong")}\n', entry("x", "cmp"))
    w.start()
    return w.wait_code("x", "M503")


@way(508)
def confirmed_too_late(w):
    """The confirmation is held up on its way until the CA has revoked what nobody confirmed."""
    posts = []
    relay = Relay(w.base, media="application/pkixcmp")
    w.stops.append(relay)
    forward = relay.answer

    def answer(method, target, body):
        posts.append(method)
        if len(posts) == 2:
            w.stop_ca()
            w.shift = HOUR
            w.start_ca()
            w.shift = 0
            wait_for(lambda: "not confirmed in time" in w.demo.stderr(), lambda: w.demo.stderr())
        return forward(method, target, body)

    relay.answer = answer
    w.configure(cmp(w).replace(w.base, relay.url.removesuffix("/scep").rstrip("/")), entry("x", "cmp"))
    w.start()
    out = w.wait_code("x", "M508")
    assert w.serial("x") is None and w.issued("x")
    return out


# ---- what the CA made of it ----

@way(609)
def lacks_usage(w):
    """nginx needs digitalSignature: its recipe is not run."""
    d, ca = w.double(extensions="basicConstraints=CA:FALSE\nkeyUsage=keyAgreement\nextendedKeyUsage=serverAuth\n")
    w.program("recipes/nginx", f"echo ran >>{w.dir}/ran")
    w.configure(ca, entry("x", "est", deploy="nginx"))
    w.start()
    w.wait_serial("x")
    out = w.wait_code("x", "M609")
    assert not (w.dir / "ran").exists() and w.facts("x")["state"] == "RENEWED-STALE"
    return out


@way(610)
def san_dropped(w):
    d, ca = w.double()
    w.configure(ca, entry("x", "est", san="DNS:x.example"))
    w.start()
    w.wait_serial("x")
    return w("status", "x").out


@way(802)
def not_valid_yet(w):
    """The CA's clock is an hour ahead and it dates nothing back: stored, and deployed when it is valid."""
    file = w.profile("ahead", "backdate=0", "max-requests=100/h")
    w.stop_ca()
    w.shift = HOUR
    w.start_ca()
    w.shift = 0
    w.program("recipes/thing", f"echo ran >>{w.dir}/ran")
    w.configure(w.ca("scep", challenge=f"file:{file}"), entry("x", "scep", deploy="thing"))
    w.start()
    out = w.wait_code("x", "M802")
    assert not (w.dir / "ran").exists() and w.serial("x") is None and w.facts("x")["state"] == "RENEWED-STALE"
    w.at(HOUR + 60)
    wait_for(lambda: (w.dir / "ran").exists(), lambda: f"deployed once it is valid: {w.facts('x')}\n{w.text()}")
    assert "M802" not in w("status", "x").out
    return out


# ---- here ----

@way(704)
def not_readable(w):
    """An agent that is not root, and a password that another user's directory keeps from it."""
    user = [] if os.geteuid() != 0 else [shutil.which("setpriv"), "--reuid=65534", "--regid=65534", "--clear-groups"]
    d = Path(tempfile.mkdtemp(prefix="muster-user-"))
    try:
        os.mkdir(d / "closed", 0o700)
        (d / "closed/pw").write_text("x\n")
        os.chmod(d / "closed", 0)
        w.store, w.socket, w.conf = d / "store", d / "control.sock", d / "muster.conf"
        shutil.copy(w.root, d / "root.pem")
        w.root = d / "root.pem"
        w.configure(w.ca("scep", challenge=f"file:{d}/closed/pw"), entry("x", "scep"))
        for p in (d, w.conf, w.root):
            os.chmod(p, 0o755)
        if user:
            os.chown(d, 65534, 65534)
        w.start(prefix=user)
        out = w.wait_code("x", "M704")
        assert "closed" in out
        w.stop()
        return out
    finally:
        shutil.rmtree(d)


@way(708)
def anothers_key(w):
    """client-cert: a certificate, and beside it the key of another one."""
    d, ca = w.double()
    make_ca(w.dir, "one")
    make_ca(w.dir, "two")
    pair = w.file("pair.pem", (w.dir / "one.pem").read_text() + (w.dir / "two.key").read_text())
    w.configure(ca, entry("x", "est", client_cert=pair))
    w.start()
    return w.wait_code("x", "M708")


@way(709)
def no_token(w):
    d, ca = w.double()
    w.configure(ca, entry("x", "est", key_file="pkcs11:token=none;object=k?module-path=/nowhere/libnone.so"))
    w.start()
    return w.wait_code("x", "M709")


@way(803)
def the_clock_jumps(w):
    """The program sleeps for a minute and a half, as on a machine that was suspended."""
    w.configure(scep(w), entry("x", "scep"))
    w.start()
    w.wait_serial("x")
    os.kill(w.agent.pid, signal.SIGSTOP)
    time.sleep(95)
    os.kill(w.agent.pid, signal.SIGCONT)
    said = wait_for(lambda: [e for e in map_events(w) if e.get("code") == "M803"], lambda: f"{map_events(w)}\n{w.text()}")[0]
    assert "the clock jumped by +" in said["reason"] and "<" not in said["reason"], said
    return w("doctor", "x").out


def map_events(w):
    return json.loads(w("log", "--json").out)["events"]


# ---- deployment ----

@way(901)
def vetoed(w):
    """A script of hooks.d/pre says no: the new pair is kept and not used; it says yes: it is."""
    gate = w.program("hooks.d/pre/10-gate", f"[ -e {w.dir}/open ] || {{ echo the gate is closed; exit 1; }}")
    gate.parent.chmod(0o755)
    w.configure(scep(w), entry("x", "scep"))
    w.start()
    out = w.wait_code("x", "M901")
    assert "the gate is closed" in out and w.serial("x") is None and len(w.serials("x")) == 1, out
    assert w.facts("x")["state"] == "RENEWED-STALE"
    (w.dir / "open").touch()
    assert w("deploy", "x").code == 0
    wait_for(lambda: w.facts("x")["state"] == "OK", lambda: w.facts("x"))
    return out


@way(903)
def no_such_parameter(w):
    """scep_replace_pem in a script, and a file that does not have the parameter."""
    settings = w.file("settings", 'IPSEC_KEY="x"\n')
    (w.dir / "bin").mkdir()
    (w.dir / "bin/scep_replace_pem").symlink_to(w.muster)
    w.configure(scep(w), entry("x", "scep", success_script=f"export ASAN_OPTIONS=detect_leaks=0\n  {w.dir}/bin/scep_replace_pem {settings} IPSEC_LOCAL_KEY pkey"))
    w.start()
    out = w.wait_code("x", "M903")
    assert settings.read_text() == 'IPSEC_KEY="x"\n' and w.facts("x")["state"] == "RENEWED-STALE"
    return out


@way(905)
def restarted(w):
    """The recipe of FreeRADIUS itself, beside a stub of its program."""
    stubs = w.dir / "stubs"
    w.program("stubs/freeradius", f'echo "$*" >>{w.dir}/called')
    w.file("conf/freeradius.conf", f"CERT_FILE={w.dir}/c.crt KEY_FILE={w.dir}/c.key KEY_GROUP={os.getegid()} ACT='freeradius restart'\n", 0o644)
    w.program("recipes/freeradius", f"export MUSTER={w.muster} ASAN_OPTIONS=detect_leaks=0 MUSTER_RECIPE_CONF={w.dir}/conf PATH={stubs}:$PATH\nexec {ROOT}/share/recipes/freeradius")
    w.configure(scep(w), entry("x", "scep", deploy="freeradius"))
    w.start()
    out = w.wait_code("x", "M905")
    assert w.facts("x")["state"] == "OK" and (w.dir / "called").read_text().splitlines()[-1] == "restart"
    return out


@pytest.mark.parametrize("code", sorted(WAYS))
def test_each_code_of_the_agent_is_explained(site, code):
    explained(WAYS[code](site), code)
