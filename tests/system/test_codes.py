"""Each code of the catalog is provoked once, and explained by 'muster status' or 'muster doctor' with its likely cause and
next step: WAYS says how, here and in test_codes_agent.py (through musterd); a test compares both with the catalog."""
import fcntl
import os
import re
import socket
import ssl
import threading

import pytest

from conftest import ROOT, run
from est_double import EstDouble, make_ca
from explained import explained
from relay import Forger, Relay
from test_cmp import Client, mock, pki  # noqa: F401
from test_est import Unit, attrs, oid, template, tlv
from test_muster_cli import Cli
import test_codes_agent

DAY = 86400
PAGE = (ROOT / "docs/man/muster-errors.7").read_text()


def test_manual_of_codes_is_that_of_the_table(muster):
    assert run(muster, "errors", "--as", "man").out == PAGE, "muster errors --as man > docs/man/muster-errors.7"
    for code in catalog():
        assert re.search(rf"^\.B M{code}$", PAGE, re.M), code
    assert run(muster, "errors", "M312").out.startswith("M312: ")
    assert run(muster, "errors", "M999").code == 1


def catalog():
    return [int(c) for c in re.findall(r"\bM\((\d+),", (ROOT / "src/base/err_table.c").read_text())]


class World:
    """A unit that speaks SCEP to the demo, and what lies between and instead."""

    def __init__(self, muster, demo, mock, dir):  # noqa: F811
        self.muster, self.demo, self.mock, self.dir = muster, demo, mock, dir
        self.cli = Cli(muster, demo, dir)
        self.stops = []

    # -- peers --
    def relay(self, change=None):
        self.stops.append(Relay(self.demo.url, change))
        return self.stops[-1]

    def forger(self, **attributes):
        self.stops.append(Forger(self.dir, **attributes))
        assert self.cli("ca", "trust", self.stops[-1].root).code == 0
        return self.stops[-1]

    def double(self, **kw):
        d = EstDouble(self.dir / "double", **kw)
        d.user = ("estuser", "estpwd")
        self.stops.append(d)
        return d

    def est(self, double=None, trust=True):
        if double is None:
            u = Unit(self.muster, self.dir, self.demo.est, None)
            u.ca = ["--ca-cert", "demo-ca"]
            return u
        return Unit(self.muster, self.dir, double.url, double.root if trust else None)

    def cmp(self, *options, trust=True):
        return Client(self.muster, self.dir, self.mock("rsa", *options), trust=trust)

    def raw(self, answer):
        """A server that says these octets to whoever connects; None: nothing at all."""
        s = socket.create_server(("127.0.0.1", 0))
        self.stops.append(s)

        def serve():
            held = []
            while True:
                try:
                    c, _ = s.accept()
                except OSError:
                    return
                held.append(c)
                if answer is not None:
                    c.recv(65536)
                    c.sendall(answer)
                    c.close()

        threading.Thread(target=serve, daemon=True).start()
        return s.getsockname()[1]

    # -- what is seen --
    def status(self, name, days=0, config=()):
        r = self.cli("--demo", *config, "status", name, env={"MUSTER_CLOCK_SHIFT": str(int(days * DAY))})
        assert r.code == 0, r
        return r.out

    def doctor(self, name, *options, shift=0):
        """What is wrong in the configuration itself stops every command: it is told in the same three parts."""
        r = run(self.muster, "--store", self.cli.store, "--demo", *options, "doctor", name, env={"MUSTER_CLOCK_SHIFT": str(shift)})
        return r.out + r.err

    def refused(self, name="x", **attributes):
        """SCEP, answered by a CertRep made by hand."""
        assert self.cli.enroll(name, url=self.forger(**attributes).url).code != 0
        return self.status(name)

    def answered(self, operation, *, status=200, media="text/plain", body=b"", headers=()):
        """SCEP, with one operation answered so."""
        def change(op, reply):
            if op == operation:
                return {"status": status, "headers": [("Content-Type", media), *headers], "body": body}
            return reply

        assert self.cli.enroll("x", url=self.relay(change).url).code != 0
        return self.status("x")

    def conf(self, text):
        path = self.dir / "muster.conf"
        path.write_text(text)
        return ["--config", str(path)]

    def settings(self, name, **values):
        """As if the entry had been made so."""
        path = self.cli.store / f"state/{name}.conf"
        text = path.read_text()
        for key, value in values.items():
            key = key.replace("_", "-")
            text = re.sub(rf"(?m)^{key} *=.*\n", "", text) + f"{key} = {value}\n"
        path.write_text(text)

    def life(self, name, line):
        """As if that had happened over the years."""
        path = self.cli.store / f"state/{name}.life"
        path.write_text(path.read_text().replace("whole = yes", f"{line}\nwhole = yes"))

    def deployed(self, name, agent="", **values):
        """Enrolled, and brought into use as the configuration says."""
        assert self.cli.enroll(name).code == 0
        more = "".join(f"{k.replace('_', '-')} = {v}\n" for k, v in values.items())
        c = self.conf(f"[agent]\n{agent}\n[ca \"s\"]\nprotocol = scep\nurl = {self.demo.url}\n[certificate \"{name}\"]\n"
                      f"ca = s\nsubject = /CN={name}\n{more}")
        assert self.cli(*c, "deploy", name).code == 6
        return self.status(name, config=c)

    def free_port(self):
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            return s.getsockname()[1]


@pytest.fixture
def world(muster, demo, mock, tmp_path):  # noqa: F811
    w = World(muster, demo, mock, tmp_path)
    yield w
    for s in w.stops:
        s.close() if isinstance(s, socket.socket) else s.stop()


WAYS = {}


def way(code):
    def keep(f):
        WAYS[code] = f
        return f
    return keep


# ---- network ----

def enroll_at(w, url, *options):
    assert w.cli.enroll("x", *options, url=url).code != 0
    return w.status("x")


way(101)(lambda w: enroll_at(w, "http://no-such-host.invalid/scep"))
way(102)(lambda w: enroll_at(w, f"http://127.0.0.1:{w.free_port()}/scep"))
way(103)(lambda w: enroll_at(w, f"http://127.0.0.1:{w.raw(None)}/scep", "--timeout", "1s"))
way(105)(lambda w: w.answered("GetCACert", media="text/html", body=b"<html><title>Log in</title></html>"))
way(106)(lambda w: enroll_at(w, w.demo.url, "--source-ip", "192.0.2.1"))
way(107)(lambda w: w.answered("GetCACert", status=301, headers=[("Location", "https://elsewhere.example/")]))


@way(104)
def proxy(w):
    port = w.raw(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
    u = w.est()
    assert u.enroll("x", "--proxy", f"127.0.0.1:{port}").code != 0
    return w.status("x")


@way(108)
def too_long(w):
    def change(op, reply):
        if op == "GetCACaps":
            return dict(reply, body=b"SHA-256\nAES\n")
        return {"status": 414, "headers": [], "body": b""} if op == "PKIOperation" else reply

    assert w.cli.enroll("x", url=w.relay(change).url).code != 0
    return w.status("x")


# ---- TLS and trust ----

@way(201)
def est_without_s(w):
    c = w.conf(f"[ca \"e\"]\nprotocol = est\nurl = {w.demo.host}\n[certificate \"x\"]\nca = e\nsubject = /CN=x\n")
    return w.doctor("x", *c)


@way(202)
def other_name(w):
    d = w.double()
    u = w.est(d)
    assert u.enroll("x", "--server-name", "elsewhere.example").code != 0
    return w.status("x")


@way(203)
def other_ca(w):
    u = w.est()
    make_ca(w.dir, "someother")
    assert u("ca", "trust", w.dir / "someother.pem", "--name", "wrong").code == 0
    assert u.enroll("x", "--ca-cert", "wrong").code == 7
    return w.status("x")


@way(204)
def unknown_tls_ca(w):
    d = w.double()
    u = w.est(d, trust=False)
    assert u.enroll("x", "--ca-cert", "demo-ca").code == 7 or True
    assert u("enroll", "y", "--via", "est", "--url", u.url, *u.auth()).code == 7
    return w.status("y")


@way(205)
def no_common_tls(w):
    d = w.double(version=ssl.TLSVersion.TLSv1_1)
    assert w.est(d).enroll("x").code != 0
    return w.status("x")


@way(206)
def srp(w):
    u = w.est()
    assert u.enroll("x", auth=["--srp-user", "srpuser", "--srp-password-file", u.secret("bad", "wrong-one")]).code != 0
    return w.status("x")


@way(209)
def unknown_ca(w):
    assert w.cli("ca", "remove", "demo-ca", "--yes").code == 0
    assert w.cli.enroll("x").code == 7
    return w.status("x")


@way(210)
def no_such_ca(w):
    c = w.conf(f"[ca \"s\"]\nprotocol = scep\nurl = {w.demo.url}\ntrust = nobody\n[certificate \"x\"]\nca = s\nsubject = /CN=x\n")
    return w.doctor("x", *c)


@way(211)
def wrong_pin(w):
    assert w.cli.enroll("x").code == 0
    w.settings("x", pin_sha256="ab" * 32)
    return w.doctor("x")


@way(213)
def elsewhere(w):
    d = w.double()
    make_ca(d.dir, "elsewhere")
    d.issuer = "elsewhere"
    assert w.est(d).enroll("x").code == 7
    return w.status("x")


@way(214)
def another_key(w):
    d = w.double()
    u = w.est(d)
    u.ok("first")
    d.answers["simpleenroll"] = d.pkcs7(d.issued[0])
    assert u.enroll("x").code == 7
    return w.status("x")


# ---- SCEP ----

way(301)(lambda w: w.answered("GetCACert", media="application/x-x509-ca-cert", body=b""))
way(302)(lambda w: w.refused(fail_info=1))
way(303)(lambda w: w.refused(fail_info=0))
way(304)(lambda w: w.answered("GetCACert", status=404))
way(311)(lambda w: w.refused(text="the challenge password is wrong"))
way(312)(lambda w: w.refused())
way(314)(lambda w: w.refused(text="renewal allowed from 2026-01-07T00:00Z"))
way(315)(lambda w: w.refused(text="subject differs from the certificate"))
way(316)(lambda w: w.refused(text="there is one already"))
way(317)(lambda w: w.refused(fail_info=3))
way(318)(lambda w: w.refused(fail_info=4))
way(322)(lambda w: w.answered("PKIOperation", media="application/x-pki-message", body=b"nothing of the kind"))
way(323)(lambda w: w.refused(transaction=b"0123456789ABCDEF"))
way(324)(lambda w: w.refused(type=19))
way(325)(lambda w: w.refused(nonce=b"x" * 16))
way(608)(lambda w: w.refused(text="The certificate that signed the request is revoked."))


@way(305)
def ec_key(w):
    assert w.cli.enroll("x", "--key", "ec:P-256", url=w.forger(fail_info=0).url).code != 0
    return w.status("x")


@way(313)
def pending_too_long(w):
    r = w.cli.enroll("x", "--await-result", "1s", "--max-await-result", "1s", challenge=w.cli.challenge2)
    assert r.code == 5, r
    return w.status("x")


@way(319)
def garbled_get(w):
    def change(op, reply):
        if op == "GetCACaps":
            return dict(reply, body=b"SHA-256\nAES\n")
        return {"status": 400, "headers": [], "body": b""} if op == "PKIOperation" else reply

    assert w.cli.enroll("x", url=w.relay(change).url).code != 0
    return w.status("x")


@way(321)
def tampered(w):
    def change(op, reply):
        if op == "PKIOperation":
            reply["body"] = reply["body"][:-5] + bytes([reply["body"][-5] ^ 1]) + reply["body"][-4:]
        return reply

    assert w.cli.enroll("x", url=w.relay(change).url).code == 7
    return w.status("x")


# ---- EST ----

def est_answers(w, status, headers=None, body=b"", options=()):
    d = w.double()
    u = w.est(d)
    d.answers["simpleenroll"] = (status, headers or {"Content-Type": "text/plain"}, body)
    assert u.enroll("x", *options).code != 0
    return w.status("x")


way(401)(lambda w: est_answers(w, 404))
way(403)(lambda w: est_answers(w, 401, {"WWW-Authenticate": 'Basic realm="e"'}))
way(404)(lambda w: est_answers(w, 202, {"Retry-After": "3600"}, options=("--no-wait",)))
way(405)(lambda w: est_answers(w, 503, {"Retry-After": "120"}))
way(409)(lambda w: est_answers(w, 400, body=b"SAN not allowed\n"))


@way(406)
def not_as_client(w):
    d = w.double()
    u = w.est(d)
    u.ok("x")
    d.answers["simplereenroll"] = (401, {"Content-Type": "text/plain"}, b"no\n")
    assert u.renew("x").code == 2
    return w.status("x")


@way(407)
def not_linked(w):
    d = w.double(version=ssl.TLSVersion.TLSv1_2)
    d.user = None
    d.csrattrs = attrs(oid("1.2.840.113549.1.9.7"))
    u = w.est(d)
    d.answers["simpleenroll"] = (400, {"Content-Type": "text/plain"}, b"channel binding does not match\n")
    assert u.enroll("x", auth=[]).code == 2
    return w.status("x")


@way(408)
def wish_not_met(w):
    d = w.double()
    d.csrattrs = attrs(template(tlv(0x30, oid("2.5.29.17"))))
    assert w.est(d).enroll("x").code != 0
    return w.status("x")


# ---- CMP ----

@way(501)
def unprotected(w):
    c = w.cmp("-send_error", "-send_unprotected")
    assert c.enroll(*c.mac(), name="x").code == 2
    return w.status("x")


@way(502)
def wrong_secret(w):
    c = w.cmp()
    assert c.enroll("--ref", "1234", "--secret-file", c.file("wrong", "geheim-falsch\n"), name="x").code == 7
    return w.status("x")


@way(504)
def no_cmp(w):
    c = w.cmp()
    assert c("enroll", "x", "--via", "cmp", "--url", f"{w.demo.host}/app/cert/other", "--subject", "/CN=x", *c.mac()).code != 0
    return w.status("x")


@way(505)
def no_enrollment(w):
    c = w.cmp()
    assert c("enroll", "x", "--via", "cmp", "--url", w.demo.host, "--ref", "nobody", "--secret-file", c.secret, "--subject", "/CN=x").code != 0
    return w.status("x")


@way(506)
def cut_off(w):
    port = w.raw(b"HTTP/1.1 200 OK\r\nContent-Type: application/pkixcmp\r\nContent-Length: 5000\r\n\r\n0123456789")
    c = w.cmp()
    assert c("enroll", "x", "--via", "cmp", "--url", f"http://127.0.0.1:{port}/pkix/", "--subject", "/CN=x", *c.mac()).code != 0
    return w.status("x")


@way(509)
def asked_to_wait(w):
    c = w.cmp("-poll_count", "1", "-check_after", "100")
    assert c.enroll(*c.mac(), "--no-wait", name="x").code == 5
    return w.status("x")


# ---- lifecycle ----

@way(601)
def expired(w):
    assert w.cli.enroll("x").code == 0
    return w.status("x", days=w.cli.facts("x")["days_left"] + 3)


@way(603)
def policies_differ(w):
    assert w.cli.enroll("x").code == 0
    c = w.conf(f"[ca \"s\"]\nprotocol = scep\nurl = {w.demo.url}\nrenew-window = 7d\n[certificate \"x\"]\nca = s\nsubject = /CN=x\nrenew-days = 60\n")
    return w.status("x", config=c)


@way(604)
def is_off(w):
    assert w.cli.enroll("x").code == 0
    w.settings("x", renew_days="0")
    return w.status("x")


@way(605)
def many_failures(w):
    assert w.cli.enroll("x").code == 0
    w.settings("x", url=w.relay(lambda op, reply: dict(reply, status=503)).url)
    for _ in range(3):
        assert w.cli("renew", "x", "--force").code != 0
    return w.status("x")


@way(606)
def ca_ends(w):
    assert w.cli.enroll("x").code == 0
    c = ["-days", "20", "-subj", "/CN=ends soon", "-addext", "basicConstraints=critical,CA:TRUE"]
    run("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", w.dir / "k", "-out", w.dir / "soon.pem", *c)
    assert w.cli("ca", "trust", w.dir / "soon.pem", "--name", "soon").code == 0
    return w.doctor("x")


@way(610)
def san_dropped(w):
    d = w.double()
    w.est(d).ok("x", "--san", "DNS:x.example")
    return w.status("x")


@way(602)
def hasty(w):
    assert w.cli.enroll("x").code == 0
    w.life("x", "by-agent = yes")
    w.settings("x", renew_days="400")
    return w.status("x")


@way(607)
def does_not_renew_expired_ones(w):
    assert w.cli.enroll("x").code == 0
    w.life("x", "expired-refused = yes")
    return w.status("x", days=w.cli.facts("x")["days_left"] + 3)


# ---- deployment ----

way(901)(lambda w: w.deployed("x", success_script="echo no such service; exit 3"))
way(904)(lambda w: w.deployed("x", agent="hook-timeout = 1s", success_script="sleep 20"))

# ---- local ----

@way(701)
def open_key(w):
    assert w.cli.enroll("x").code == 0
    os.chmod((w.cli.store / "certs/x/latest.key").resolve(), 0o644)
    return w.doctor("x")


@way(703)
def wrong_key_password(w):
    pw = w.dir / "pw"
    pw.touch(mode=0o600)
    pw.write_text("right\n")
    assert w.cli.enroll("x", "--key-pass-file", pw).code == 0
    (w.cli.store / "secrets/x.key-password").write_text("wrong\n")
    return w.doctor("x")


@way(706)
def no_url(w):
    return w.doctor("x", *w.conf("[certificate \"x\"]\nsubject = /CN=x\n"))


@way(801)
def clock_differs(w):
    assert w.cli.enroll("x").code == 0
    return w.doctor("x", shift=3600)


@way(802)
def not_yet(w):
    assert w.cli.enroll("x").code == 0
    return w.status("x", days=-20)


@way(902)
def still_the_old_one(w):
    d = w.double()
    port = d.url.rsplit(":", 1)[1].split("/")[0]
    assert w.cli.enroll("x").code == 0
    w.settings("x", verify=f"tls:127.0.0.1:{port}")
    return w.doctor("x")


@way(702)
def not_written(w):
    """No file may grow beyond a KiB, as on a full disk: the request cannot be kept, and nothing is sent."""
    words = [w.muster, "--store", w.cli.store, "--no-input", "enroll", "x", "--url", w.demo.url, "--challenge-file", w.cli.challenge]
    assert run("bash", "-c", "trap '' XFSZ; ulimit -f 1; exec \"$@\"", "-", *words).code == 6
    return w.status("x")


@way(705)
def legacy(w):
    w.cli.enroll("x", "--allow-legacy", "--cipher", "des3")
    return w.status("x")


@way(707)
def busy(w):
    assert w.cli.enroll("x").code == 0
    with open(w.cli.store / "state/x.lock", "r+") as f:
        fcntl.flock(f, fcntl.LOCK_EX)
        f.write(str(os.getpid()))
        f.flush()
        return w.doctor("x")


@way(212)
def no_root(w):
    make_ca(w.dir, "top")
    make_ca(w.dir, "middle", issuer="top")
    assert w.cli("csr", "x", "--cn", "x", "--url", w.demo.url, "-o", w.dir / "x.csr").code == 0
    run("openssl", "x509", "-req", "-in", w.dir / "x.csr", "-CA", w.dir / "middle.pem", "-CAkey", w.dir / "middle.key",
        "-CAcreateserial", "-days", "9", "-out", w.dir / "x.crt")
    assert w.cli("install", "x", w.dir / "x.crt", w.dir / "middle.pem").code == 0
    return w.doctor("x")


@way(507)
def old_version(w):
    der = (ROOT / "tests/vectors/openssl-cmp/rsa/ir-1.rsp.der").read_bytes().replace(b"\x02\x01\x02", b"\x02\x01\x01", 1)
    port = w.raw(b"HTTP/1.1 200 OK\r\nContent-Type: application/pkixcmp\r\nContent-Length: %d\r\n\r\n" % len(der) + der)
    c = w.cmp()
    assert c("enroll", "x", "--via", "cmp", "--url", f"http://127.0.0.1:{port}/pkix/", "--subject", "/CN=x", *c.mac()).code != 0
    return w.status("x")


@pytest.mark.parametrize("code", sorted(WAYS))
def test_each_code_is_explained(world, code):
    explained(WAYS[code](world), code)


def test_every_code_has_a_way():
    assert set(WAYS) | set(test_codes_agent.WAYS) == set(catalog())
