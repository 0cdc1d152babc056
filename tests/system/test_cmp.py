"""CMP: our client against the mock server of `openssl cmp`, and against our own responder.

Rows of ACCEPTANCE (C...) and CONFORMANCE (CMP-..., IOP-...) stand in the names. The mock hands out one
certificate, which has to be for the client's key: so the client is given that key."""
import json
import os
import re
import signal
import socket
import subprocess
import time

import pytest

from conftest import need, run
from relay import Relay

OPENSSL = need("openssl")
KEYS = {
    "rsa": ["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"],
    "ec": ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"],
    "ed25519": ["-algorithm", "ED25519"],
}


def openssl(*args, cwd=None):
    r = subprocess.run([OPENSSL, *map(str, args)], capture_output=True, text=True, cwd=cwd)
    assert r.returncode == 0, r.stderr
    return r.stdout


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def make_certificate(dir, name, subject, key, usage, more=""):
    openssl("genpkey", *KEYS[key], "-out", dir / f"{name}.key")
    openssl("req", "-new", "-key", dir / f"{name}.key", "-subj", subject, "-out", dir / f"{name}.csr")
    (dir / "ext").write_text(f"keyUsage=critical,{usage}\nsubjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n{more}")
    openssl("x509", "-req", "-in", dir / f"{name}.csr", "-CA", dir / "ca.crt", "-CAkey", dir / "ca.key", "-CAcreateserial",
            "-days", "30", "-extfile", dir / "ext", "-out", dir / f"{name}.crt")


@pytest.fixture(scope="module")
def pki(tmp_path_factory):
    """A CA, the mock's own certificate, and for each kind of key a client's; in folders by kind."""
    dirs = {}
    for kind in KEYS:
        d = tmp_path_factory.mktemp("pki-" + kind)
        server = "rsa" if kind == "ed25519" else kind  # 3.0 signs no message with EdDSA
        openssl("genpkey", *KEYS[kind], "-out", d / "ca.key")
        openssl("req", "-x509", "-new", "-key", d / "ca.key", "-subj", "/O=Mock/CN=cmpCA", "-days", "60", "-out", d / "ca.crt",
                "-addext", "keyUsage=critical,keyCertSign,cRLSign")
        make_certificate(d, "srv", "/O=Mock/CN=cmp server", server, "digitalSignature", "extendedKeyUsage=1.3.6.1.5.5.7.3.28\n")
        make_certificate(d, "plain", "/O=Mock/CN=cmp server", server, "digitalSignature")
        make_certificate(d, "agrees", "/O=Mock/CN=cmp server", server, "keyAgreement", "extendedKeyUsage=1.3.6.1.5.5.7.3.28\n")
        make_certificate(d, "cl", "/CN=client1", kind, "digitalSignature")
        make_certificate(d, "other", "/CN=client1", kind, "digitalSignature")
        dirs[kind] = d
    return dirs


class Mock:
    def __init__(self, dir, *options):
        self.port, self.dir = free_port(), dir
        env = {k: v for k, v in os.environ.items() if not k.lower().endswith("_proxy")}
        self.log = open(dir / "mock.log", "ab")
        self.process = subprocess.Popen(
            [OPENSSL, "cmp", "-port", str(self.port), "-srv_ref", "1234", "-srv_secret", "pass:test", "-srv_cert", "srv.crt",
             "-srv_key", "srv.key", "-srv_trusted", "ca.crt", "-rsp_cert", "cl.crt", "-rsp_capubs", "ca.crt", "-rsp_extracerts",
             "ca.crt", *options], cwd=dir, env=env, stdout=self.log, stderr=self.log)
        end = time.monotonic() + 20
        listening = f":{self.port:04X} "  # asked of the kernel: a connection would be its first client
        while not any(listening in line and " 0A " in line for t in ("tcp", "tcp6") for line in open("/proc/net/" + t)):
            assert time.monotonic() < end and self.process.poll() is None, "the mock does not serve"
            time.sleep(0.01)

    def stop(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        self.log.close()


@pytest.fixture
def mock(pki):
    started = []

    def start(kind="rsa", *options):
        m = Mock(pki[kind], *options)
        started.append(m)
        return m

    yield start
    for m in started:
        m.stop()


class Client:
    """muster with a store of its own that knows the CA as fac.root."""

    def __init__(self, muster, dir, mock, trust=True):
        self.muster, self.dir, self.mock, self.store = muster, dir, mock, dir / "store"
        self.secret = self.file("secret", "test\n")
        if trust:
            assert self("ca", "trust", mock.dir / "ca.crt", "--name", "fac.root", "--yes").code == 0

    def file(self, name, text):
        p = self.dir / name
        p.touch(mode=0o600)
        p.write_text(text)
        return p

    def __call__(self, *args):
        return run(self.muster, "--store", self.store, *args)

    @property
    def url(self):
        return f"127.0.0.1:{self.mock.port}/pkix/"

    def mac(self):
        return ["--ref", "1234", "--secret-file", self.secret]

    def sign(self):
        return ["--client-cert", self.mock.dir / "cl.crt"]

    def enroll(self, *args, name="cmptest1", key="cl.key", subject="/CN=client1"):
        return self("enroll", name, "--via", "cmp", "--url", self.url, "--subject", subject, "--key-file", self.mock.dir / key,
                    "--trace", *args)

    def latest(self, name="cmptest1"):
        return self.store / "certs" / name / "latest.crt"


@pytest.fixture
def client(muster, tmp_path):
    return lambda mock, **how: Client(muster, tmp_path, mock, **how)


def trace(r):
    return [line for line in r.err.splitlines() if line.startswith("cmp ")]


def in_order(lines, *patterns):
    at = 0
    for pattern in patterns:
        while at < len(lines) and not re.search(pattern, lines[at]):
            at += 1
        assert at < len(lines), f"no {pattern!r} (in this place) in\n" + "\n".join(lines)
        at += 1


def is_issued(c, r):
    assert r.code == 0, r
    assert openssl("x509", "-in", c.latest(), "-noout", "-serial") == openssl("x509", "-in", c.mock.dir / "cl.crt", "-noout",
                                                                             "-serial")


# ---- our client against the mock ----

@pytest.mark.parametrize("kind", KEYS)
@pytest.mark.parametrize("request_kind", ["ir", "cr", "p10cr"])
def test_requests_by_mac_against_openssl(client, mock, kind, request_kind):
    """CMP-48, CMP-56, CMP-61, CMP-75, CMP-76: RSA, EC, Ed25519, of the CA too, so certHash is by SHA-256 or SHA-512;
    explicitly confirmed, and the mock compares the hash."""
    c = client(mock(kind))
    r = c.enroll(*c.mac(), "--cmp-request", request_kind)
    is_issued(c, r)
    in_order(trace(r), f"start: {request_kind} for", "auth: reference 1234, secret \\*", "reply: [ic]p, protection ok, pkistatus: SUCCESS",
             "confirm: needed", "saved: cmptest1, .*, new", "confirm: certConf sent", "confirm: accepted", "result: ok")


@pytest.mark.parametrize("kind", ["rsa", "ec"])
@pytest.mark.parametrize("request_kind", ["ir", "cr", "p10cr"])
def test_C015_requests_by_signature_against_openssl(client, mock, kind, request_kind):
    c = client(mock(kind))
    r = c.enroll(*c.sign(), "--cmp-request", request_kind)
    is_issued(c, r)
    in_order(trace(r), f"start: {request_kind} for", "auth: signed with the certificate of serial", "reply: .*protection ok",
             "confirm: accepted")


def test_CMP22_messages_signed_by_rsa_pss_against_openssl(client, mock):
    c = client(mock())
    for digest in ("sha256", "sha512"):
        r = c.enroll(*c.sign(), "--rsa-pss", "--digest", digest, "--replace")
        is_issued(c, r)
        in_order(trace(r), "auth: signed with the certificate of serial", "reply: .*protection ok", "confirm: accepted")


def test_CMP33_an_ordinary_certificate_of_the_ca_is_not_the_server(client, mock):
    """CMP-23: without cmcCA and cmcRA it has to be the one that was named."""
    c = client(mock("rsa", "-srv_cert", "plain.crt", "-srv_key", "plain.key"))
    r = c.enroll(*c.sign())
    assert r.code == 7 and "M502" in r.err and "no cmcCA, no cmcRA" in r.err and "server-cert" in r.err, r
    assert not c.latest().exists()
    is_issued(c, c.enroll(*c.sign(), "--server-cert", c.mock.dir / "plain.crt", "--replace"))


@pytest.mark.parametrize("kind", ["rsa", "ec"])
def test_C058_a_renewal_is_a_kur_signed_with_the_current_certificate(client, mock, kind):
    c = client(mock(kind))
    is_issued(c, c.enroll(*c.mac()))
    (c.store / "secrets" / "cmptest1.secret").unlink()
    r = c("renew", "cmptest1", "--force", "--trace")
    is_issued(c, r)
    in_order(trace(r), "start: kur for 'cmptest1'", "auth: signed with the certificate of serial", "reply: kup, protection ok",
             "confirm: accepted", "result: ok")
    assert "reference" not in r.err


def test_revoke_is_an_rr_signed_with_the_certificate(client, mock):
    """CMP-87, CMP-88"""
    c = client(mock())
    is_issued(c, c.enroll(*c.mac()))
    r = c("revoke", "cmptest1", "--reason", "superseded", "--yes", "--trace")
    assert r.code == 0 and "revoked      cmptest1" in r.out, r
    in_order(trace(r), "start: rr for 'cmptest1'", "auth: signed", "reply: rp, protection ok, pkistatus: SUCCESS")
    assert c("revoke", "cmptest1", "--reason", "superseeded", "--yes").code == 64
    assert c("revoke", "nobody", "--yes").code != 0


def test_ca_fetch_asks_by_genm(client, mock):
    """CMP-91, CMP-92: the mock has none to give, and says so in a protected genp."""
    c = client(mock())
    r = c("ca", "fetch", c.url, "--via", "cmp", *c.mac(), "--trace")
    in_order(trace(r), "start: genm caCerts", "reply: genp, protection ok")
    assert r.code != 0 and "no certificates to hand out" in r.err, r


def test_pbmac1_is_what_the_mock_does_not_know_and_says(client, mock):
    """CMP-25: 3.0 has no PBMAC1; its refusal is shown, whatever its protection."""
    c = client(mock())
    r = c.enroll(*c.mac(), "--mac", "pbmac1")
    assert r.code != 0 and "no suitable sender cert" in r.err, r


def test_C039_implicit_confirm_granted_and_not(client, mock):
    """CMP-15, CMP-73"""
    c = client(mock("rsa", "-grant_implicitconf"))
    r = c.enroll(*c.mac(), "--implicit-confirm")
    is_issued(c, r)
    in_order(trace(r), "confirm: implicit", "saved:", "result: ok")
    assert "confirm: needed" not in r.err and "certConf" not in r.err
    c.mock.stop()
    other = client(mock("rsa"), trust=False)
    r = other.enroll(*other.mac(), "--implicit-confirm", "--replace")
    is_issued(other, r)
    in_order(trace(r), "confirm: needed", "confirm: certConf sent", "confirm: accepted")


def test_polling_until_it_is_issued(client, mock):
    """CMP-100..104"""
    c = client(mock("rsa", "-poll_count", "2", "-check_after", "1"))
    r = c.enroll(*c.mac(), "--await-result", "1s")
    is_issued(c, r)
    in_order(trace(r), "reply: ip, protection ok, pkistatus: PENDING", "poll: again in 1 s", "reply: pollRep, protection ok.*check after 1 s", "reply: ip, protection ok, pkistatus: SUCCESS", "confirm: accepted")


def test_IOP36_no_confirmation_where_it_is_switched_off(client, mock):
    c = client(mock())
    r = c.enroll(*c.mac(), "--no-confirm")
    is_issued(c, r)
    in_order(trace(r), "reply: ip", "confirm: switched off, none is sent", "result: ok")
    assert "certConf" not in r.err and "gets none" in r.err


def test_IOP34_a_signer_without_digitalSignature_by_switch_only(client, mock):
    c = client(mock("rsa", "-srv_cert", "agrees.crt", "-srv_key", "agrees.key"))
    r = c.enroll(*c.sign())
    assert r.code == 7 and "digitalSignature" in r.err, r
    is_issued(c, c.enroll(*c.sign(), "--ignore-key-usage", "--replace"))


def test_IOP35_iterations_are_configurable(client, mock):
    m = mock()
    c = client(m)
    relay = Relay(f"http://127.0.0.1:{m.port}/pkix/", media="application/pkixcmp")
    for n, der in (("777", bytes.fromhex("02020309")), ("100000", bytes.fromhex("02030186a0"))):
        r = c("enroll", "it" + n, "--via", "cmp", "--url", relay.url, "--subject", "/CN=client1", "--key-file", m.dir / "cl.key", "--mac-iterations",
              n, "--no-confirm", *c.mac())  # the mock forgets a transaction with its connection
        assert r.code == 0, r
        assert der in relay.seen[-1][2][:300]
    relay.stop()
    for wrong in ("99", "100001", "many"):
        assert c.enroll(*c.mac(), "--mac-iterations", wrong, name="wrong").code != 0


@pytest.mark.parametrize("options", [["--mac-owf", "sha512", "--mac-hmac", "sha384"], ["--mac-hmac", "sha1", "--allow-legacy"]])
def test_IOP35_functions_of_the_mac_are_configurable(client, mock, options):
    """SHA-1 as HMAC is what `openssl cmp` itself sends by default; it has to be asked for."""
    c = client(mock())
    is_issued(c, c.enroll(*c.mac(), *options))
    r = c.enroll(*c.mac(), "--mac-hmac", "sha1", name="weak")
    assert r.code == 4 and "M705" in r.err, r
    assert c.enroll(*c.mac(), "--mac-owf", "md5", name="weak").code != 0


@pytest.mark.parametrize("options", [["--mac-owf", "sha512", "--mac-hmac", "sha512"],
                                     ["--mac", "pbmac1", "--mac-owf", "sha512", "--mac-hmac", "sha384"]])
def test_IOP35_IOP39_functions_of_the_mac_against_the_demo(of_demo, options):
    r = of_demo.enroll(*options)
    assert r.code == 0, r
    in_order(trace(r), "reply: ip, protection ok", "confirm: accepted")


def test_CMP71_the_root_that_comes_with_a_mac_by_switch_only(client, mock):
    c = client(mock(), trust=False)
    r = c.enroll(*c.mac())
    assert r.code == 4 and "M210" in r.err, r
    r = c.enroll(*c.mac(), "--trust-ca-pubs", "--replace")
    is_issued(c, r)
    assert "cmpCA" in c("ca", "list").out
    r = c("renew", "cmptest1", "--force", "--trace")  # what was learned serves the signed renewal
    is_issued(c, r)
    in_order(trace(r), "start: kur", "reply: kup, protection ok")


def test_M509_no_wait_ends_with_what_the_server_asks(client, mock):
    """The mock forgets a transaction with its connection, so that it goes on is tried elsewhere."""
    c = client(mock("ec", "-poll_count", "1", "-check_after", "1"))
    r = c.enroll(*c.sign(), "--no-wait")
    assert r.code == 5 and "M509" in r.err, r
    assert "PENDING" in c("list").out


def test_C017_a_wrong_secret_is_M502_and_never_shown(client, mock):
    c = client(mock())
    wrong = c.file("wrong", "geheim-falsch\n")
    r = c.enroll("--ref", "1234", "--secret-file", wrong)
    assert r.code == 7 and "M502" in r.err and "1234" in r.err, r
    assert "geheim" not in r.err + r.out


def test_M501_an_error_without_protection_is_shown_and_not_believed(client, mock):
    """CMP-39, IOP-29"""
    c = client(mock("rsa", "-send_error", "-send_unprotected"))
    r = c.enroll(*c.mac())
    assert r.code == 2 and "M501" in r.err and "not authenticated" in r.err, r


def test_a_protected_refusal_shows_bit_and_words(client, mock):
    """CMP-40, CMP-41, CMP-70"""
    c = client(mock("rsa", "-pkistatus", "2", "-failure", "9", "-statusstring", "no proof"))
    r = c.enroll(*c.mac())
    assert r.code != 0 and "badPOP" in r.err and "no proof" in r.err, r
    in_order(trace(r), 'pkistatus: FAILURE, badPOP, "no proof"')
    assert not c.latest().exists()


def test_IOP38_a_certificate_for_another_key_is_rejected_by_certConf(client, mock):
    c = client(mock())
    r = c.enroll(*c.mac(), key="other.key")
    assert r.code != 0 and "M214" in r.err, r
    in_order(trace(r), "confirm: certConf sent, certificate rejected")
    assert not c.latest().exists()


def test_a_certificate_of_another_ca_is_rejected_by_certConf(client, mock, pki, tmp_path):
    """CMP-72: the MAC is right, the chain is not."""
    m = mock()
    c = client(m, trust=False)
    assert c("ca", "trust", pki["ec"] / "ca.crt", "--name", "other", "--yes").code == 0
    r = c.enroll(*c.mac())
    assert r.code != 0, r
    in_order(trace(r), "confirm: certConf sent, certificate rejected")
    assert not c.latest().exists()


def test_M504_nothing_of_cmp_behind_the_path(client, mock, demo):
    m = mock()
    c = client(m)
    r = c("enroll", "x", "--via", "cmp", "--url", f"{demo.host}/app/cert/other", "--subject", "/CN=x", *c.mac())
    assert "M504" in r.err and "404" in r.err, r


def test_C002_C014_a_ca_that_is_not_here(client, mock):
    c = client(mock(), trust=False)
    r = c.enroll(*c.mac())
    assert r.code == 4 and "M210" in r.err and "muster ca trust" in r.err, r
    for _ in range(2):
        assert c("ca", "trust", c.mock.dir / "ca.crt", "--yes").code == 0
    r = c.enroll(*c.mac(), "--ca-cert", "nowhere", "--replace")
    assert r.code == 4 and "M210" in r.err and ("cmpCA" in r.err or "CA_Cert_1" in r.err), r


def test_C022_to_C045_the_trace_in_its_order(client, mock):
    """C022 C025 C027 C029 C032 C034 C037 C039 C040 C043 C044 C045; the mock keeps its connection."""
    c = client(mock())
    r = c.enroll(*c.mac(), "--server-cert", "fac.root", "--ca-cert", "fac.root")
    is_issued(c, r)
    lines = trace(r)
    in_order(
        lines,
        "^cmp start: ir for 'cmptest1'$",  # C025
        "^cmp trust: fac.root expected from the server, fac.root trusted$",  # C022
        "^cmp resolve: 127.0.0.1 is 127.0.0.1$",  # C027
        "^cmp connect: opened 127.0.0.1:\\d+ for 'cmptest1', socket \\d+$",  # C029
        "^cmp auth: reference 1234, secret \\*$",
        "^cmp request: transaction id: [0-9A-F]{32}, senderNonce [0-9A-F]{32}$",
        "^cmp http: POST http://127.0.0.1:\\d+/pkix/, \\d+ bytes$",  # C032
        "^cmp http: sent (\\d+) bytes, pos 0 of \\1$",
        "^cmp http: HTTP result code 200$",  # C034
        "^cmp http: header: Content-type: application/pkixcmp$",
        "^cmp http: body \\d+ bytes, complete",  # C037
        "^cmp reply: ip, protection ok, pkistatus: SUCCESS$",
        "^cmp confirm: needed$",  # C039
        "^cmp saved: cmptest1, .*/certs/cmptest1/[0-9A-F]+.crt, new$",  # C040
        "^cmp connect: (reused|closed|opened) ?",  # C043
        "^cmp confirm: certConf sent$",  # C044
        "^cmp http: POST .*, \\d+ bytes$",
        "^cmp http: HTTP result code 200$",
        "^cmp confirm: accepted$",
        "^cmp result: ok \\(0\\)$",  # C045
    )
    sent = re.search(r"POST \S+, (\d+) bytes", "\n".join(lines)).group(1)
    assert f"cmp http: sent {sent} bytes, pos 0 of {sent}" in lines
    assert r.err.rstrip().endswith("Done.")


def test_C012_C018_url_without_scheme_and_whole_subjects(client, mock):
    c = client(mock())
    r = c("enroll", "p", "--via", "cmp", "--url", f"127.0.0.1:{c.mock.port}", "--path", "pkix/", "--subject", "CN=client1,O=b",
          "--key-file", c.mock.dir / "cl.key", "--trace", *c.mac())
    assert r.code == 0, r
    assert f"POST http://127.0.0.1:{c.mock.port}/pkix/" in r.err
    r = c("enroll", "q", "--via", "cmp", "--url", f"127.0.0.1:{c.mock.port}", "--subject", "CN=client1", "--trace", *c.mac())
    assert f"POST http://127.0.0.1:{c.mock.port}/app/cert/cmp2" in r.err and "M504" in r.err, r


# ---- our client against our responder ----

class OfDemo:
    def __init__(self, muster, demo, dir):
        self.muster, self.demo, self.dir, self.store = muster, demo, dir, dir / "store"

    def __call__(self, *args):
        return run(self.muster, "--store", self.store, *args, env={"MUSTER_DEMO": str(self.demo.dir)})

    def enroll(self, *args, name="cmptest1", subject="/CN=fgt100f.local"):
        return self("enroll", name, "--via", "cmp", "--demo", "--subject", subject, "--key", "rsa:2048", "--trace", *args)

    def secret(self, text):
        p = self.dir / "secret"
        p.touch(mode=0o600)
        p.write_text(text + "\n")
        return p

    def crt(self, name="cmptest1"):
        return self.store / "certs" / name / "latest.crt"


@pytest.fixture
def of_demo(muster, demo, tmp_path):
    return OfDemo(muster, demo, tmp_path)


def test_C003_C009_C016_an_entry_with_its_password_is_issued(of_demo):
    r = of_demo.enroll()
    assert r.code == 0, r
    in_order(trace(r), "start: ir for 'cmptest1'", "auth: reference fgt100f, secret \\*", "POST http://127.0.0.1:\\d+/app/cert/cmp2",
             "reply: ip, protection ok, pkistatus: SUCCESS", "confirm: needed", "saved: cmptest1, .*, new", "confirm: accepted")
    text = openssl("x509", "-in", of_demo.crt(), "-noout", "-text")
    assert "CN = fgt100f.local" in text and "(2048 bit)" in text
    assert "fortinet1" not in r.err + r.out


def test_C036_C043_the_service_closes_and_the_confirmation_opens_a_connection(of_demo):
    """C036, C037, C043, C044: the responder's own path says close."""
    r = of_demo.enroll()
    assert r.code == 0, r
    in_order(trace(r), "connect: opened", "http: header: Connection: close", "http: body \\d+ bytes, complete", "reply: ip",
             "saved:", "connect: closed by the server", "connect: opened", "confirm: certConf sent", "HTTP result code 200",
             "confirm: accepted", "connect: closed$", "result: ok")


def test_C005_M505_an_unknown_reference_is_not_found(of_demo):
    r = of_demo.enroll("--ref", "fgt999", "--secret-file", of_demo.secret("fortinet1"))
    assert r.code == 2 and "M505" in r.err and "Enrollment not found." in r.err, r
    assert not of_demo.crt().exists()


def test_C017_the_demo_s_wrong_secret_is_M502(of_demo):
    r = of_demo.enroll("--ref", "fgt100f", "--secret-file", of_demo.secret("falsch-geheim"))
    assert r.code == 7 and "M502" in r.err, r
    assert "falsch" not in r.err + r.out


def test_C001_the_service_is_switched_off_and_on(of_demo, muster_ca):
    assert run(muster_ca, "--dir", of_demo.demo.dir, "cmp", "disable").code == 0
    r = of_demo.enroll()
    on = run(muster_ca, "--dir", of_demo.demo.dir, "cmp", "enable")
    assert r.code == 3 and "M504" in r.err and "(HTTP 503)" in r.err, r
    assert on.code == 0
    r = of_demo.enroll()
    assert r.code == 0, r


def test_C058_the_demo_renews_by_kur_with_the_certificate_alone(of_demo):
    assert of_demo.enroll().code == 0
    before = openssl("x509", "-in", of_demo.crt(), "-noout", "-serial", "-pubkey")
    (of_demo.store / "secrets" / "cmptest1.secret").unlink()
    r = of_demo("renew", "cmptest1", "--force", "--trace")
    assert r.code == 0, r
    in_order(trace(r), "start: kur for", "auth: signed with the certificate of serial", "reply: kup, protection ok",
             "saved: .*, replaces [0-9A-F]+$", "confirm: accepted", "result: ok")
    after = openssl("x509", "-in", of_demo.crt(), "-noout", "-serial", "-pubkey")
    assert before.splitlines()[0] != after.splitlines()[0] and before.splitlines()[1:] != after.splitlines()[1:]


@pytest.mark.parametrize("key", ["ec:P-256", "ed25519"])
def test_pbmac1_and_other_keys_against_the_demo(of_demo, key):
    """CMP-22, CMP-25, CMP-76: also the renewal is signed by that key."""
    r = of_demo("enroll", "k", "--via", "cmp", "--demo", "--subject", "/CN=k", "--key", key, "--mac", "pbmac1", "--trace")
    assert r.code == 0, r
    in_order(trace(r), "confirm: accepted")
    r = of_demo("renew", "k", "--force", "--rekey", "--trace")
    assert r.code == 0, r
    in_order(trace(r), "start: kur", "confirm: accepted")


def test_revoked_by_rr_it_stands_in_the_crl(of_demo, muster_ca):
    assert of_demo.enroll().code == 0
    number = openssl("x509", "-in", of_demo.crt(), "-noout", "-serial").strip().split("=")[1]
    r = of_demo("revoke", "cmptest1", "--reason", "keyCompromise", "--yes")
    assert r.code == 0, r
    crl = of_demo.dir / "crl"
    r = of_demo("crl", "fetch", of_demo.demo.host + "/crl/demo.crl", "-o", crl)
    assert r.code == 0, r
    form = "DER" if crl.read_bytes()[:1] == b"\x30" else "PEM"
    assert "verify OK" in subprocess.run([OPENSSL, "crl", "-in", crl, "-inform", form, "-noout", "-CAfile", of_demo.demo.root],
                                         capture_output=True, text=True).stderr
    entry = re.search(rf"Serial Number: {number}\n((?: {{8,}}.*\n)*)", openssl("crl", "-in", crl, "-inform", form, "-noout", "-text"))
    assert entry and "CRL Reason Code: \n                Key Compromise" in entry.group(1), "this certificate, for this reason"
    shown = json.loads(run(muster_ca, "--dir", of_demo.demo.dir, "issued", "show", number, "--json").out)["certificate"]
    assert shown["state"] == "revoked" and shown["revoke_reason"] == "keyCompromise"
    r = of_demo("renew", "cmptest1", "--force")
    assert r.code != 0 and "certRevoked" in r.err, r


def test_ca_certificates_come_by_genm(of_demo):
    """CMP-92"""
    assert of_demo.enroll().code == 0
    r = of_demo("ca", "fetch", of_demo.demo.host + "/app/cert/cmp2", "--via", "cmp", "--ref", "fgt100f", "--secret-file",
                of_demo.secret("fortinet1"))
    assert r.code == 0 and "CN" in r.out, r


def test_CMP92_probe_tells_where_and_by_whom(of_demo):
    """Without a secret the refusal tells; with one the CA's certificates come. Nothing is trusted by it."""
    host = of_demo.demo.host
    r = of_demo("probe", host, "--via", "cmp")
    assert r.code == 0, r
    assert "protocol     CMP" in r.out and "paths        /.well-known/cmp /pkix/ /app/cert/cmp2" in r.out, r
    assert re.search(r"^protection   signed by .*no CA is known here", r.out, re.M), r
    assert re.search(r"^needs        a reference and its secret, or a certificate to sign with \(it says: ", r.out, re.M), r
    r = of_demo("probe", host + "/app/cert/cmp2", "--ref", "fgt100f", "--secret-file", of_demo.secret("fortinet1"), "--json")
    p = json.loads(r.out)["probe"]
    assert p["protocol"] == "cmp" and p["capabilities"] == ["version 2", "genm", "caCerts"] and p["cas"], p
    assert p["protection"] == "by the secret of fgt100f, and that is right" and p["needs"].startswith("nothing more"), p
    assert "fortinet1" not in r.out + r.err
    r = of_demo("probe", host + "/nothing/here", "--via", "cmp")
    assert r.code != 0 and "M504" in r.err, r
    assert json.loads(of_demo("ca", "list", "--json").out)["cas"] == []


def test_CMP92_probe_of_a_server_with_a_certificate(client, mock):
    """The mock answers a MAC by a MAC, a signature by a signature, and no question without either."""
    m = mock()
    c = client(m)
    r = c("probe", c.url, "--via", "cmp", "--client-cert", m.dir / "cl.crt")
    assert r.code == 0 and re.search(r"^protection   signed by .*who may answer", r.out, re.M), r
    r = c("probe", c.url, "--via", "cmp")
    assert r.code == 0 and re.search(r"^needs        a reference and its secret", r.out, re.M), r


def test_server_key_by_the_secret(of_demo):
    """CMP-80..86: the CA makes the key, enveloped to the password."""
    r = of_demo("enroll", "sk", "--via", "cmp", "--demo", "--subject", "/CN=sk", "--server-key", "--trace")
    assert r.code == 0, r
    key, crt = of_demo.store / "certs/sk/latest.key", of_demo.crt("sk")
    assert openssl("pkey", "-in", key, "-pubout") == openssl("x509", "-in", crt, "-noout", "-pubkey")


def test_CMP94_CMP96_a_request_is_made_by_the_template(muster, muster_ca, start_demo, tmp_path):
    """RFC 9483 4.3.3: key and usages are the profile's; what is asked for explicitly counts, and is told."""
    d = start_demo()
    c = OfDemo(muster, d, tmp_path)
    assert run(muster_ca, "--dir", d.dir, "profile", "set", "cmp", "keys=ec:P-384, rsa:3072", "key-usage=digitalSignature",
               "renew-before=any").code == 0
    ask = ["--via", "cmp", "--demo", "--subject", "/CN=fgt100f.local", "--trace"]
    r = c("enroll", "t", *ask, "--ask-template")
    assert r.code == 0, r
    in_order(trace(r), "start: genm certReqTemplate for 't'", "reply: genp, protection ok", "csrattrs: template: key EC P-384 or RSA 3072",
             "start: ir for 't'", "confirm: accepted")
    assert "(384 bit)" in openssl("x509", "-in", c.crt("t"), "-noout", "-text")
    r = c("renew", "t", "--force")
    assert r.code == 0 and "(384 bit)" in openssl("x509", "-in", c.crt("t"), "-noout", "-text"), r
    r = c("enroll", "u", *ask, "--ask-template", "--key", "ec:P-256")
    assert "the CA's template has another kind of key than the one asked for, which is used" in r.out + r.err, r
    assert r.code != 0 and not c.crt("u").exists(), r  # what the CA wants is what it takes
    r = c("enroll", "v", *ask)
    assert "certReqTemplate" not in r.err, r


def test_CMP96_no_template_is_no_obstacle(client, mock):
    """The mock answers the question with none; the request is made as if it had not been asked."""
    c = client(mock())
    r = c.enroll(*c.mac(), "--ask-template")
    is_issued(c, r)


@pytest.mark.parametrize("key", ["rsa:2048", "ec:P-256"])
def test_CMP66_a_certificate_comes_encrypted_to_its_key(of_demo, key):
    """RFC 9810 5.2.8.3.2, for keys that must not sign; the renewal in the same way, and its confirmation cannot be left out."""
    ask = ["--via", "cmp", "--demo", "--subject", "/CN=enc", "--key", key, "--pop", "encrypted", "--implicit-confirm", "--trace"]
    r = of_demo("enroll", "enc", *ask)
    assert r.code == 0, r
    in_order(trace(r), "reply: ip, protection ok, pkistatus: SUCCESS", "cert: came encrypted, opened with our key", "confirm: needed",
             "saved: enc", "confirm: accepted")
    assert openssl("pkey", "-in", of_demo.store / "certs/enc/latest.key", "-pubout") == openssl(
        "x509", "-in", of_demo.crt("enc"), "-noout", "-pubkey")
    r = of_demo("renew", "enc", "--force", "--trace")
    assert r.code == 0, r
    in_order(trace(r), "start: kur", "cert: came encrypted", "confirm: accepted")
    r = of_demo("enroll", "never", *ask, "--no-confirm")
    assert r.code != 0 and "proof of possession" in r.err, r


def test_CMP93_the_successor_is_learned_before_it_issues(muster, muster_ca, start_demo, tmp_path):
    """rootCaKeyUpdate: the present root vouches for the next one; from then on what that signs is believed, and not before."""
    d = start_demo()
    c = OfDemo(muster, d, tmp_path)
    for name in ("knows", "late"):
        assert c.enroll(name=name, subject=f"/CN={name}").code == 0
    before = c.crt("knows").read_bytes()
    r = c("renew", "knows", "--next-ca", "--trace")
    assert r.code == 0 and "no successor is announced" in r.err, r
    in_order(trace(r), "start: genm rootCaCert for 'knows'", "auth: signed with the certificate")
    ca = json.loads(run(muster_ca, "--dir", d.dir, "ca", "list", "--json").out)["cas"][0]["name"]
    assert run(muster_ca, "--dir", d.dir, "ca", "next", ca).code == 0
    r = c("renew", "knows", "--next-ca")
    assert r.code == 0 and re.search(r"next: .*, SHA-256 .*, trusted as demo-next: the present CA vouches for it", r.err), r
    assert "it is not due" in r.err + r.out and c.crt("knows").read_bytes() == before, r
    assert c("renew", "knows", "--next-ca").code == 0
    assert len(json.loads(c("ca", "list", "--json").out)["cas"]) == 2, "known once is known"
    assert run(muster_ca, "--dir", d.dir, "ca", "activate", ca).code == 0
    r = c("renew", "knows", "--force")
    assert r.code == 0 and c.crt("knows").read_bytes() != before, r
    openssl("verify", "-partial_chain", "-CAfile", c.store / "ca" / "demo-next.crt", c.crt("knows"))


def test_M509_waiting_for_approval_goes_on_in_another_process(muster, muster_ca, start_demo, tmp_path):
    """CMP-100..104: each question is a process of its own."""
    d = start_demo()
    c = OfDemo(muster, d, tmp_path)
    assert run(muster_ca, "--dir", d.dir, "profile", "set", "cmp", "approval=manual").code == 0
    r = c.enroll("--no-wait")
    assert r.code == 5 and "M509" in r.err, r
    first = re.search(r"transaction id: (\w+)", r.err).group(1)
    assert c("poll", "cmptest1").code == 5
    queue = json.loads(run(muster_ca, "--dir", d.dir, "queue", "list", "--json").out)["queue"]
    assert len(queue) == 1
    assert run(muster_ca, "--dir", d.dir, "queue", "approve", queue[0]["id"]).code == 0
    r = c("poll", "cmptest1", "--trace")
    assert r.code == 0, r
    in_order(trace(r), "start: pollReq for 'cmptest1'", f"transaction id: {first}", "reply: ip, protection ok, pkistatus: SUCCESS",
             "saved: cmptest1", "confirm: accepted", "result: ok")
    assert c.crt().exists()
