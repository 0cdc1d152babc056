"""EST peers against our responder: curl with openssl for each operation, strongSwan's pki, TLS-SRP by curl
and openssl s_client, Python's ssl for what they cannot do. Clients that lie, are late or hold on to old things."""
import base64
import os
import re
import signal
import socket
import ssl
import subprocess
from pathlib import Path

import pytest

from conftest import Demo, Server, need, run
from est_double import ASYMMETRIC_DECRYPT_KEY, DATA, DECRYPT_KEY, SIGNED_DATA, tlv, value_of

T1 = "MCYGBysGAQEBARYGCSqGSIb3DQEJAQYFK4EEACIGCWCGSAFlAwQCAg==\n"
T2 = """MIIBQDCB5gIBAjAbMRkwFwYDVQQDDBBmaXJld2FsbC1wb3J0YWwxMFkwEwYHKoZI
zj0CAQYIKoZIzj0DAQcDQgAEQoJQmPedxPNUcfCyRvpqyt1oiiJX/me+TdButUSu
8hg+9nPF6+xNf+5LmtG/YKHeXyCKG6xB9OmJf255Zmx+5qBpMGcGCSqGSIb3DQEJ
DjFaMFgwCQYDVR0TBAIwADALBgNVHQ8EBAMCB4AwHQYDVR0OBBYEFJv4OdUh5v9J
/6wCV1v8TBqLHl2PMB8GA1UdIwQYMBaAFBrfOYTCVuZszyq0JqX9DNJD9T0+MAoG
CCqGSM49BAMCA0kAMEYCIQCK3Li51F7fXsyKZwtIcYMFvDobY3cKKTTDixtN7QZ2
jwIhAKUkqfWPAzwcxQaNQw6pyYvo18ymB9aEheeIXZfGI+tV
"""
USER = ("-u", "estuser:estpwd")


def openssl(*args, input=None):
    r = subprocess.run(["openssl", *map(str, args)], capture_output=True, input=input)
    assert r.returncode == 0, r.stderr
    return r.stdout


class Answer:
    def __init__(self, raw):
        heads, self.body = raw, b""
        while heads.startswith(b"HTTP/"):  # 100 Continue, 401 of Digest
            head, _, heads = heads.partition(b"\r\n\r\n")
            lines = head.decode().split("\r\n")
            self.status = int(lines[0].split()[1])
            self.headers = {k.lower(): v.strip() for k, v in (l.split(":", 1) for l in lines[1:])}
            self.body = heads
        self.text = self.body.decode(errors="replace")

    def __repr__(self):
        return f"HTTP {self.status} {self.headers}\n{self.text}"

    def der(self):
        return base64.b64decode(self.body)

    def certs(self):
        pem = openssl("pkcs7", "-inform", "DER", "-print_certs", input=self.der()).decode()
        return re.findall(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----\n", pem, re.S)


class Device:
    """A directory with a key, CSRs and what was issued."""

    def __init__(self, dir, demo, name="dev", key="ec"):
        self.dir, self.demo, self.name = Path(dir), demo, name
        self.dir.mkdir(exist_ok=True)
        self.key, self.crt = self.dir / "key.pem", self.dir / "crt.pem"
        self.new_key(key)

    def new_key(self, kind="ec"):
        spec = ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"] if kind == "ec" else ["-algorithm", "RSA"]
        openssl("genpkey", *spec, "-out", self.key)

    def csr(self, subject=None, san=None, challenge=None):
        names = [p.split("=") for p in (subject or f"/CN={self.name}").strip("/").split("/")]
        conf = self.dir / "req.cnf"
        conf.write_text("[req]\ndistinguished_name=dn\nprompt=no\n"
                        + ("attributes=at\n" if challenge else "") + ("req_extensions=ex\n" if san else "")
                        + "[dn]\n" + "".join(f"{i}.{k}={v}\n" for i, (k, v) in enumerate(names))
                        + (f"[at]\nchallengePassword={challenge}\n" if challenge else "")
                        + (f"[ex]\nsubjectAltName={san}\n" if san else ""))
        return openssl("req", "-new", "-key", self.key, "-config", conf, "-outform", "DER")

    def curl(self, op, *options, body=None, root=None):
        args = ["curl", "-sS", "-i", "--cacert", root or self.demo.root, *options]
        if body is not None:
            path = self.dir / "body"
            path.write_bytes(body if isinstance(body, bytes) else body.encode())
            args += ["--data-binary", f"@{path}"]
            if not any("Content-Type" in str(o) for o in options):
                args += ["-H", "Content-Type: application/pkcs10"]
        r = subprocess.run([*map(str, args), f"{self.demo.est}/.well-known/est/{op}"], capture_output=True)
        assert r.returncode == 0, (args, r.stderr)
        return Answer(r.stdout)

    def ask(self, op="simpleenroll", *options, **csr):
        return self.curl(op, *options, body=base64.encodebytes(self.csr(**csr)))

    def save(self, answer):
        assert answer.status == 200, answer
        certs = answer.certs()
        assert len(certs) == 1
        self.crt.write_text(certs[0])
        return self

    def enroll(self, **csr):
        return self.save(self.ask("simpleenroll", *USER, **csr))

    def cert_options(self):
        return ("--cert", self.crt, "--key", self.key)

    def text(self):
        return openssl("x509", "-in", self.crt, "-noout", "-text").decode()

    def serial(self):
        return openssl("x509", "-in", self.crt, "-noout", "-serial").decode().strip().split("=")[1]

    def check(self):
        openssl("verify", "-CAfile", self.demo.root, self.crt)
        assert openssl("pkey", "-in", self.key, "-pubout") == openssl("x509", "-in", self.crt, "-noout", "-pubkey")
        return self


@pytest.fixture
def device(tmp_path, demo):
    return Device(tmp_path / "device", demo)


@pytest.fixture
def admin(muster_ca, demo, tmp_path):
    def ask(*args, ok=True, where=None):
        r = run(muster_ca, "--dir", (where or demo).dir, *args, cwd=tmp_path)
        assert (r.code == 0) == ok, r
        return r
    return ask


def entry(admin, tmp_path, name, profile, *options, where=None):
    file = tmp_path / f"{name}.pwd"
    file.touch(mode=0o600)
    file.write_text(f"pwd-of-{name}\n")
    admin("entry", "new", name, "--profile", profile, "--reusable", "--password-file", file, *options, where=where)
    return ("-u", f"{name}:pwd-of-{name}")


# ---- what nobody logs in for ----

def test_csrattrs_are_the_bytes_of_the_seed(device):
    """E059, E060"""
    a = device.curl("csrattrs")
    assert a.status == 200 and a.text == T1
    assert a.headers["content-type"] == "application/csrattrs"
    assert a.headers["content-transfer-encoding"] == "base64"
    assert a.headers["content-length"] == "57"


def test_cacerts_lead_to_the_root(device):
    """EST-33, EST-34, E050"""
    a = device.curl("cacerts")
    assert a.status == 200 and a.headers["content-type"].startswith("application/pkcs7-mime")
    assert [c.strip() for c in a.certs()] == [device.demo.root.read_text().strip()]


def test_the_root_is_in_the_tls_chain(demo):
    """E036: who does not know it sees the self-signed certificate"""
    r = subprocess.run(["openssl", "s_client", "-connect", demo.est[8:], "-showcerts"], input=b"", capture_output=True)
    assert r.stdout.count(b"-----BEGIN CERTIFICATE-----") == 2
    assert b"self-signed certificate in certificate chain" in r.stdout + r.stderr


@pytest.mark.parametrize("tls", ["1.2", "1.3"])
def test_both_versions_of_tls_serve(device, tls):
    assert device.curl("csrattrs", f"--tlsv{tls}", "--tls-max", tls).status == 200


@pytest.mark.parametrize("suites", ["aNULL", "eNULL"])
def test_suites_that_hide_or_prove_nothing_are_not_served(demo, suites):
    """EST-01, EST-77"""
    ask = lambda *what: subprocess.run(["openssl", "s_client", "-connect", demo.est[8:], "-tls1_2", *what], input=b"", capture_output=True, timeout=20)
    assert b"Cipher is ECDHE" in ask().stdout
    r = ask("-cipher", f"{suites}:@SECLEVEL=0")
    assert r.returncode != 0 and b"handshake failure" in r.stderr and b"Cipher is (NONE)" in r.stdout, r


def test_nobody_renegotiates(demo):
    """EST-57"""
    p = subprocess.Popen(["openssl", "s_client", "-connect", demo.est[8:], "-tls1_2"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                         stderr=subprocess.STDOUT)
    out = b""
    while b"Extended master secret" not in out:  # the last of what it tells of the handshake
        chunk = os.read(p.stdout.fileno(), 65536)
        assert chunk, out
        out += chunk
    p.stdin.write(b"R\n")
    p.stdin.flush()
    out += p.stdout.read()
    assert p.wait(timeout=20) != 0 and b"RENEGOTIATING" in out and b"no renegotiation" in out, out


def test_csrattrs_may_be_missing(device, admin):
    """E063"""
    admin("profile", "new", "silent", "protocols=est")
    a = device.curl("silent/csrattrs")
    assert a.status == 204 and a.body == b""


def test_labels(device):
    """E008, E025, EST-02"""
    assert device.curl("iot/csrattrs").text == T1
    assert device.ask("iot/simpleenroll", *USER).status == 200
    a = device.curl("G_CA_Cert_1/csrattrs")
    assert a.status == 404 and a.headers["content-type"] == "text/plain" and "G_CA_Cert_1" in a.text


def test_plain_http_serves_no_est(device, demo):
    """E004, EST-01"""
    r = subprocess.run(["curl", "-sS", "-i", f"{demo.host}/.well-known/est/cacerts"], capture_output=True)
    a = Answer(r.stdout)
    assert a.status == 400 and "https only" in a.text


# ---- enrolling ----

@pytest.mark.parametrize("scheme", ["--basic", "--digest", "--anyauth"])
def test_enroll_with_a_password(device, scheme):
    """E009, E071, E072, E074, E075, E022"""
    a = device.ask("simpleenroll", *USER, scheme, subject="/CN=firewall-portal1/DC=local/DC=COM",
                   san="DNS:firewall-portal1.local.ca,IP:172.18.60.184")
    assert a.headers["content-type"] == "application/pkcs7-mime; smime-type=certs-only"
    assert a.headers["content-transfer-encoding"] == "base64"
    assert max(len(l) for l in a.text.splitlines()) == 64
    text = device.save(a).check().text()
    assert "Subject: CN = firewall-portal1\n" in text
    names = re.findall(r"^            (X509v3 .*?): *(critical)?$", text, re.M)
    assert [n for n, _ in names] == ["X509v3 Basic Constraints", "X509v3 Key Usage", "X509v3 Subject Key Identifier",
                                     "X509v3 Authority Key Identifier"]
    assert not any(c for _, c in names)


def test_the_request_of_the_seed(device):
    """E109: PKCS #10 that calls itself version 3"""
    a = device.curl("simpleenroll", *USER, body=T2)
    text = device.save(a).text()
    openssl("verify", "-CAfile", device.demo.root, device.crt)
    root = openssl("x509", "-in", device.demo.root, "-noout", "-ext", "subjectKeyIdentifier").decode().split()[-1]
    assert "9B:F8:39:D5:21:E6:FF:49:FF:AC:02:57:5B:FC:4C:1A:8B:1E:5D:8F" in text
    assert re.search(r"Authority Key Identifier: *\n +" + root, text)


def test_wrong_passwords(device):
    """E009, EST-26"""
    a = device.ask("simpleenroll", "-u", "estuser:wrong")
    assert a.status == 401 and "password is wrong" in a.text
    assert device.ask("simpleenroll").status == 401
    assert device.ask("simpleenroll", "-u", "estuser:wrong", "--digest").status == 401
    assert device.ask("simpleenroll", "-u", "srpuser:srppwd").status == 401


def body_forms(csr):
    pem = openssl("req", "-inform", "DER", "-outform", "PEM", input=csr)
    return {"base64 in lines": base64.encodebytes(csr), "base64 in one line": base64.b64encode(csr),
            "base64 with CRLF": base64.encodebytes(csr).replace(b"\n", b"\r\n"), "PEM": pem, "DER": csr}


def test_bodies_of_any_sensible_form(device):
    """EST-08, EST-09, IOP-21, IOP-22, IOP-23"""
    for name, body in body_forms(device.csr()).items():
        assert device.curl("simpleenroll", *USER, body=body).status == 200, name


@pytest.mark.parametrize("options", [
    ("-H", "Content-Type:"), ("-H", "Content-Type: APPLICATION/PKCS10; charset=utf-8"), ("--http1.0",),
    ("-H", "Transfer-Encoding: chunked"), ("-H", "Expect: 100-continue"), ("-H", "Content-Transfer-Encoding: binary"),
], ids=["no type", "type in capitals", "HTTP 1.0", "chunked", "expect", "other encoding"])
def test_ways_of_http(device, options):
    """EST-06, EST-08, EST-11"""
    assert device.ask("simpleenroll", *USER, *options).status == 200


@pytest.mark.parametrize("body", ["", "hello", "MIIB", base64.b64encode(b"\x30\x03\x02\x01\x05").decode()])
def test_garbage_is_refused(device, body):
    """EST-47"""
    a = device.curl("simpleenroll", *USER, body=body)
    assert a.status == 400 and a.headers["content-type"] == "text/plain" and len(a.text) > 10


def test_a_request_signed_with_another_key(device):
    """EST-42"""
    csr = bytearray(device.csr())
    csr[-3] ^= 1
    a = device.curl("simpleenroll", *USER, body=base64.encodebytes(bytes(csr)))
    assert a.status == 400 and "own key" in a.text


def test_what_is_not_served(device):
    """EST-04, EST-80"""
    assert device.curl("fullcmc", *USER, body="x").status == 501
    assert device.curl("firmware").status == 404
    assert device.curl("simpleenroll").status == 405


# ---- renewing ----

@pytest.mark.parametrize("tls", ["1.2", "1.3"])
@pytest.mark.parametrize("key", ["ec", "rsa"])
def test_renew_with_the_certificate(tmp_path, demo, tls, key):
    """E099, E100, E101, E110, E113, E118: no password, a leaf without clientAuth"""
    d = Device(tmp_path / "d", demo, f"renew-{tls}-{key}", key).enroll()
    old, options = d.serial(), ("--tls-max", tls, *d.cert_options())
    a = d.ask("simplereenroll", *options)
    assert a.headers["content-type"] == "application/pkcs7-mime; smime-type=certs-only"
    assert d.save(a).check().serial() != old


def test_rekey(device):
    """EST-43"""
    device.name = "rekey"
    device.enroll()
    options = ("--cert", device.crt, "--key", device.dir / "old.pem")
    (device.dir / "old.pem").write_bytes(device.key.read_bytes())
    device.new_key("rsa")
    device.save(device.ask("simplereenroll", *options)).check()


def test_a_renewal_keeps_its_name(device):
    """EST-44, IOP-25"""
    device.name = "keeper"
    device.enroll()
    a = device.ask("simplereenroll", *device.cert_options(), subject="/CN=other")
    assert a.status == 400 and "subject differs" in a.text
    a = device.ask("simplereenroll", *device.cert_options(), san="DNS:more.example")
    assert a.status == 400 and "alternative names" in a.text


def test_a_lost_answer_is_given_again(device):
    """EST-50"""
    device.name = "again"
    one, two = device.enroll().serial(), device.enroll().serial()
    assert one == two


# ---- certificates that count for nothing ----

def other_ca(dir, demo, days="30", subject="/CN=Another CA"):
    openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", dir / "ca.key", "-out", dir / "ca.pem", "-days",
            "60", "-subj", subject)
    d = Device(dir / "stranger", demo, "stranger")
    (dir / "r.der").write_bytes(d.csr())
    openssl("x509", "-req", "-inform", "DER", "-in", dir / "r.der", "-CA", dir / "ca.pem", "-CAkey", dir / "ca.key",
            "-days", days, "-out", d.crt)
    return d


def test_a_certificate_of_another_ca(tmp_path, demo):
    """EST-23"""
    d = other_ca(tmp_path, demo)
    a = d.ask("simplereenroll", *d.cert_options())
    assert a.status == 403 and "issuer is" in a.text and "Another CA" in a.text
    assert d.ask("simpleenroll", *d.cert_options(), *USER).status == 200  # the password counts all the same


def test_a_certificate_that_only_bears_our_name(tmp_path, demo):
    d = other_ca(tmp_path, demo, subject="/C=NL/ST=NH/L=Amsterdam/O=Fortinet/OU=AS/CN=sceptest")
    assert d.ask("simplereenroll", *d.cert_options()).status == 403


def test_a_client_ca_is_trusted(tmp_path, start_demo, admin):
    """EST-31"""
    demo = start_demo()
    d = other_ca(tmp_path, demo)
    pem = "".join(f"  {l}\n" for l in (tmp_path / "ca.pem").read_text().splitlines())
    (tmp_path / "settings").write_text(f"default = yes\nest = est\nclient-ca =\n{pem}")
    admin("ca", "set", "demo", tmp_path / "settings", where=demo)
    d.save(d.ask("simpleenroll", *d.cert_options())).check()
    assert "Issuer: C = NL" in d.text()


def test_a_revoked_certificate(device, admin):
    device.name = "revoked"
    device.enroll()
    admin("revoke", device.serial(), "--reason", "keyCompromise")
    a = device.ask("simplereenroll", *device.cert_options())
    assert a.status == 403 and "revoked" in a.text


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_certificate_is_judged_at_each_request(device, demo, admin, version):
    """EST-23: revoked while its connection stands"""
    device.name = f"judged{int(version)}"
    device.enroll()
    with connect(demo, version, device) as s:
        assert post(s, "simplereenroll", device.csr(), user=None).status == 200
        admin("revoke", device.serial(), "--reason", "keyCompromise")
        a = post(s, "simplereenroll", device.csr(), user=None)
        assert a.status == 403 and "revoked" in a.text, a


def test_an_expired_certificate(tmp_path, build, start_demo):
    """The profile of the demo renews for a year after the end, and no longer."""
    demo = start_demo()
    d = Device(tmp_path / "d", demo).enroll()
    demo.stop()
    for days, status in ((500, 200), (365 * 2 + 30, 403)):
        d.demo = Demo(build, demo.dir, env={"MUSTER_CLOCK_SHIFT": str(days * 86400)})
        try:
            a = d.ask("simplereenroll", *d.cert_options(), "-k")
        finally:
            d.demo.stop()
        assert a.status == status, a
    assert "renewal was allowed until" in a.text


# ---- proof of possession linked to the session ----

def connect(demo, version=ssl.TLSVersion.TLSv1_2, client=None):
    context = ssl.create_default_context(cafile=str(demo.root))
    if client is not None:
        context.load_cert_chain(client.crt, client.key)
    context.maximum_version = version
    host, port = demo.est[8:].split(":")
    return context.wrap_socket(socket.create_connection((host, int(port))), server_hostname=host)


def post(s, op, csr, user=b"estuser:estpwd"):
    body = base64.b64encode(csr)
    auth = "" if user is None else f"Authorization: Basic {base64.b64encode(user).decode()}\r\n"
    s.sendall(f"POST /.well-known/est/{op} HTTP/1.1\r\nHost: x\r\n{auth}"
              f"Content-Type: application/pkcs10\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
    data = b""
    while b"\r\n\r\n" not in data or len(data.split(b"\r\n\r\n", 1)[1]) < Answer(data).length():
        chunk = s.recv(65536)
        assert chunk, data
        data += chunk
    return Answer(data)


Answer.length = lambda self: int(self.headers.get("content-length", 0))


def test_linking(device, demo):
    """EST-52, EST-54, EST-56, E068: of this session it is right, of another it is a replay"""
    with connect(demo) as one, connect(demo) as two:
        binding = base64.b64encode(one.get_channel_binding("tls-unique")).decode()
        csr = device.csr(subject="/CN=linked", challenge=binding)
        a = post(two, "simpleenroll", csr)
        assert a.status == 400 and "session" in a.text, a
        assert post(one, "simpleenroll", csr).status == 200


def test_linking_can_be_demanded(device, demo, admin, tmp_path):
    """EST-55"""
    admin("profile", "new", "linked", "protocols=est", "est=link", "max-requests=0")
    user = entry(admin, tmp_path, "linker", "linked")
    assert b"\x2a\x86\x48\x86\xf7\x0d\x01\x09\x07" in device.curl("linked/csrattrs").der()
    a = device.ask("linked/simpleenroll", *user)
    assert a.status == 400 and "challengePassword" in a.text


# ---- waiting ----

def test_approval(device, admin, tmp_path):
    """EST-48, EST-50"""
    admin("profile", "new", "careful", "protocols=est", "approval=manual", "max-requests=0")
    user = entry(admin, tmp_path, "careful", "careful", "--protocols", "est")
    device.name = "waiting"
    a = device.ask("simpleenroll", *user)
    assert a.status == 202 and int(a.headers["retry-after"]) > 0
    queue = admin("queue", "list").out
    assert "waiting" in queue
    number = re.search(r"^(\d+) .*waiting", queue, re.M).group(1)
    assert device.ask("simpleenroll", *user).status == 202
    admin("queue", "approve", number)
    device.save(device.ask("simpleenroll", *user)).check()
    assert "est" in admin("issued").out
    device.name = "rejected"
    assert device.ask("simpleenroll", *user).status == 202
    number = re.search(r"^(\d+) .*rejected", admin("queue", "list").out, re.M).group(1)
    admin("queue", "reject", number, "--reason", "not in the inventory")
    a = device.ask("simpleenroll", *user)
    assert a.status == 403 and "not in the inventory" in a.text


# ---- keys made here ----

def parts(answer):
    boundary = re.search(r"boundary=\"?([^\";]+)", answer.headers["content-type"]).group(1)
    out = {}
    for part in answer.text.split(f"--{boundary}")[1:-1]:
        head, _, body = part.strip("\r\n").partition("\r\n\r\n")
        kind = re.search(r"Content-Type: *([^;\r\n]+)", head, re.I).group(1).lower()
        out[kind] = base64.b64decode(body)
    return out


def test_serverkeygen(device):
    """EST-73, EST-74, EST-75, EST-77"""
    a = device.ask("serverkeygen", *USER, subject="/CN=keyless")
    assert a.status == 200 and a.headers["content-type"].startswith("multipart/mixed")
    p = parts(a)
    key = openssl("pkey", "-inform", "DER", "-pubout", input=p["application/pkcs8"])
    crt = openssl("pkcs7", "-inform", "DER", "-print_certs", input=p["application/pkcs7-mime"])
    assert key == openssl("x509", "-noout", "-pubkey", input=crt)
    assert key != openssl("pkey", "-in", device.key, "-pubout")


def test_a_generated_key_is_handed_over_once_after_its_approval(device, admin, tmp_path):
    """The client's own CSR says which request it is; curl posts the same one each time."""
    admin("profile", "new", "slowkeys", "protocols=est", "keygen=yes", "approval=manual", "max-requests=0")
    user = entry(admin, tmp_path, "keyless", "slowkeys")
    body = base64.encodebytes(device.csr(subject="/CN=keyless"))
    ask = lambda: device.curl("slowkeys/serverkeygen", *user, body=body)

    def waiting():
        return re.findall(r"^(\d+) ", admin("queue", "list").out, re.M)

    assert [ask().status, ask().status] == [202, 202] and len(waiting()) == 1
    admin("queue", "approve", waiting()[0])
    p = parts(ask())
    key = openssl("pkey", "-inform", "DER", "-pubout", input=p["application/pkcs8"])
    crt = openssl("pkcs7", "-inform", "DER", "-print_certs", input=p["application/pkcs7-mime"])
    assert key == openssl("x509", "-noout", "-pubkey", input=crt)
    assert ask().status == 202 and len(waiting()) == 1  # another key, and another approval
    admin("queue", "reject", waiting()[0], "--reason", "one is enough")
    a = ask()
    assert a.status == 403 and "one is enough" in a.text


def put_attributes(csr, *attributes):
    """The request with these attributes. Its signature no longer fits, which counts for nothing here (RFC 7030 4.4.1)."""
    info, signature = value_of(csr)[0], value_of(value_of(csr)[0])[1]
    info = value_of(info)[0]
    rest, parts = info, []
    for _ in range(3):  # version, subject, key
        size = len(rest) - len(value_of(rest)[1])
        parts.append(rest[:size])
        rest = rest[size:]
    return tlv(0x30, tlv(0x30, *parts, tlv(0xA0, *attributes)), signature)


def test_a_key_that_cannot_be_delivered_stays_where_it_waits(device, admin, tmp_path):
    """Asked for to a certificate that nothing can be encrypted to: refused each time, and not lost on the way."""
    admin("profile", "new", "edkeys", "protocols=est", "keygen=yes", "approval=manual", "max-requests=0", "keys=ec:P-256,ed25519")
    admin("profile", "new", "ed", "protocols=est", "max-requests=0", "keys=ed25519")
    user, other = entry(admin, tmp_path, "edkeyless", "edkeys"), entry(admin, tmp_path, "ed", "ed")
    openssl("genpkey", "-algorithm", "ED25519", "-out", device.key)
    device.save(device.ask("simpleenroll", *other, subject="/CN=ed"))
    skid = openssl("x509", "-in", device.crt, "-noout", "-ext", "subjectKeyIdentifier").decode().split("\n")[1].strip().replace(":", "")
    cipher = tlv(0x30, tlv(0x30, bytes.fromhex("060960864801650304012a")))
    csr = put_attributes(device.csr(subject="/CN=keyless"), tlv(0x30, ASYMMETRIC_DECRYPT_KEY[:-1], tlv(0x31, tlv(4, bytes.fromhex(skid)))),
                         tlv(0x30, bytes.fromhex("06092a864886f70d01090f"), tlv(0x31, cipher)))
    ask = lambda: device.curl("edkeys/serverkeygen", *user, *device.cert_options(), body=base64.encodebytes(csr))
    assert ask().status == 202
    admin("queue", "approve", re.search(r"^(\d+) ", admin("queue", "list").out, re.M).group(1))
    for _ in range(2):
        a = ask()
        assert a.status in (400, 501) and "PRIVATE" not in a.text, a


def test_EST76_openssl_opens_a_key_encrypted_to_a_shared_one(device, admin, tmp_path):
    """KEKRecipientInfo and SignedData as OpenSSL reads them."""
    file = tmp_path / "boot.secret"
    admin("entry", "new", "boot", "--shared-key", "--out", file)
    aes = tlv(0x30, tlv(0x30, bytes.fromhex("060960864801650304012a")), tlv(0x30, bytes.fromhex("060960864801650304012d")))
    csr = put_attributes(device.csr(subject="/CN=keyless"), tlv(0x30, DECRYPT_KEY[:-1], tlv(0x31, tlv(4, b"boot"))),
                         tlv(0x30, bytes.fromhex("06092a864886f70d01090f"), tlv(0x31, aes)))
    a = device.curl("serverkeygen", *USER, body=base64.encodebytes(csr))
    assert a.status == 200 and "server-generated-key" in a.text and "pkcs8" not in a.text, a
    boundary = re.search(r"boundary=\"?([^\";]+)", a.headers["content-type"]).group(1)
    key, certs = (base64.b64decode(p.partition("\r\n\r\n")[2]) for p in a.text.split(f"--{boundary}")[1:-1])
    if key[:2] == b"\x30\x82" and key[4] == 2:  # EnvelopedData by itself: openssl wants it in a ContentInfo
        key = tlv(0x30, bytes.fromhex("06092a864886f70d010703"), tlv(0xA0, key))
    bare = openssl("cms", "-decrypt", "-inform", "DER", "-secretkey", file.read_text().strip(), "-secretkeyid", b"boot".hex(),
                   input=key.replace(SIGNED_DATA, DATA))
    signed = tlv(0x30, SIGNED_DATA, tlv(0xA0, bare))
    package = openssl("cms", "-verify", "-inform", "DER", "-binary", "-CAfile", device.demo.root, "-purpose", "any", input=signed)
    made = openssl("pkey", "-inform", "DER", "-pubout", input=value_of(package)[0])  # AsymmetricKeyPackage holds this one key
    assert made == openssl("x509", "-noout", "-pubkey", input=openssl("pkcs7", "-inform", "DER", "-print_certs", input=certs))


# ---- TLS-SRP ----

def test_srp_with_curl(device):
    """E013, EST-29"""
    srp = ("--tlsauthtype", "SRP", "--tlsuser", "srpuser", "--tls-max", "1.2")
    device.name = "srp"
    device.save(device.ask("simpleenroll", *srp, "--tlspassword", "srppwd")).check()
    for user, password in (("srpuser", "wrong"), ("nobody", "srppwd"), ("estuser", "estpwd")):
        r = subprocess.run(["curl", "-sS", "--cacert", device.demo.root, "--tlsauthtype", "SRP", "--tlsuser", user,
                            "--tlspassword", password, "--tls-max", "1.2", f"{device.demo.est}/.well-known/est/cacerts"],
                           capture_output=True)
        assert r.returncode != 0, (user, r.stdout)


def test_srp_with_openssl(demo):
    """E013, EST-29: s_client of OpenSSL 3.0.19 ends itself in its own password prompt, with every server; what
    comes before that, the choice of the suite and the group of RFC 5054, is ours"""
    r = subprocess.run(["openssl", "s_client", "-connect", demo.est[8:], "-srpuser", "srpuser", "-srppass", "pass:srppwd",
                        "-tls1_2", "-cipher", "SRP", "-state"], input=b"", capture_output=True, timeout=30)
    text = (r.stdout + r.stderr).decode(errors="replace")
    assert "read server key exchange" in text and re.search(r"SRP parameters:\s+N=F{16}", text), text


# ---- strongSwan's pki ----

def pki(*args, input=None):
    r = subprocess.run([need("pki"), *map(str, args)], input=input, capture_output=True, timeout=60)
    assert r.returncode == 0, r.stderr.decode(errors="replace")
    return r.stdout


def test_pki_of_strongswan(tmp_path, start_demo, admin):
    """IOP-21, INTEROP 3.19: it takes bodies in one line only"""
    demo = start_demo()
    (tmp_path / "settings").write_text("default = yes\nest = est+one-line\n")
    admin("ca", "set", "demo", tmp_path / "settings", where=demo)
    pki("--estca", "--url", demo.est, "--cacert", demo.root, "--caout", tmp_path / "ca.pem", "--outform", "pem")
    got = "".join(p.read_text() for p in tmp_path.glob("ca*.pem"))
    assert demo.root.read_text().strip() in got
    d = Device(tmp_path / "d", demo, "swan", "rsa")
    crt = pki("--est", "--url", demo.est, "--cacert", demo.root, "--userpass", "estuser:estpwd", "--outform", "pem",
              input=d.csr())
    d.crt.write_bytes(crt)
    old = d.check().serial()
    crt = pki("--est", "--url", demo.est, "--cacert", demo.root, "--cert", d.crt, "--key", d.key, "--outform", "pem",
              input=d.csr())
    d.crt.write_bytes(crt)
    assert d.check().serial() != old


# ---- the operator's side ----

def test_est_is_switched(device, admin):
    admin("est", "disable")
    try:
        a = device.curl("cacerts")
        assert a.status == 503 and "switched off" in a.text
    finally:
        admin("est", "enable")
    assert device.curl("cacerts").status == 200


def test_entries_of_srp(admin, tmp_path, device):
    file = tmp_path / "pwd"
    file.touch(mode=0o600)
    file.write_text("correct horse\n")
    r = admin("entry", "new", "horse", "--profile", "est", "--srp", "--reusable", "--password-file", file)
    assert "est, srp" in r.out
    srp = ("--tlsauthtype", "SRP", "--tlsuser", "horse", "--tlspassword", "correct horse", "--tls-max", "1.2")
    assert device.ask("simpleenroll", *srp, subject="/CN=horse").status == 200
    assert device.ask("simpleenroll", "-u", "horse:correct horse").status == 401


class Serve(Server):
    def __init__(self, muster_ca, dir, log):
        self.dir, self.root = dir, dir / "root.pem"
        super().__init__([muster_ca, "--dir", dir, "serve"], log, r"EST +(https://\S+)")
        self.est = self.match.group(1).decode()


@pytest.fixture
def instance(muster_ca, tmp_path):
    dir = tmp_path / "instance"
    r = run(muster_ca, "--dir", dir, "init", "--name", "main", "--subject", "CN=Main Root", "--listen", "127.0.0.1:0",
            "--listen-tls", "127.0.0.1:0")
    assert r.code == 0, r
    return dir


def test_serve_issues_its_own_tls_certificate(muster_ca, instance, tmp_path, admin):
    s = Serve(muster_ca, instance, tmp_path / "log")
    try:
        d = Device(tmp_path / "d", s)
        assert d.curl("cacerts").status == 200
        assert d.curl("csrattrs").status == 204
        user = entry(admin, tmp_path, "someone", "default", where=s)
        d.save(d.ask("simpleenroll", *user))
    finally:
        s.stop()


def test_serve_takes_its_tls_certificate_from_files(muster_ca, instance, tmp_path):
    """and takes new ones at SIGHUP"""
    def make(name):
        openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", instance / "tls.key", "-out", instance / "tls.pem",
                "-subj", f"/CN={name}", "-addext", "subjectAltName=IP:127.0.0.1")
        (instance / "tls.key").chmod(0o600)

    def subject():
        r = subprocess.run(["openssl", "s_client", "-connect", s.est[8:]], input=b"", capture_output=True)
        return re.search(rb"subject=(.*)", r.stdout).group(1)

    make("first")
    conf = instance / "muster-ca.conf"
    conf.write_text(conf.read_text() + "tls-cert = tls.pem\ntls-key = tls.key\n")
    s = Serve(muster_ca, instance, tmp_path / "log")
    try:
        assert subject() == b"CN = first"
        make("second")
        s.process.send_signal(signal.SIGHUP)
        for _ in range(100):
            if subject() == b"CN = second":
                break
        assert subject() == b"CN = second", s.stderr()
    finally:
        s.stop()


def test_no_password_in_log_or_recording(tmp_path, start_demo):
    """E067: the log at its most talkative, every message kept"""
    demo = start_demo("--verbose", "--record", tmp_path / "record")
    d = Device(tmp_path / "d", demo)
    d.enroll()
    assert d.ask("simpleenroll", *USER, "--digest", subject="/CN=two").status == 200
    key = parts(d.ask("serverkeygen", *USER, subject="/CN=three"))["application/pkcs8"]
    text = demo.stderr() + "".join(p.read_text(errors="replace") for p in (tmp_path / "record").rglob("*") if p.is_file())
    assert "simpleenroll" in text
    for secret in (b"estpwd", b"estuser:estpwd", key[40:70]):
        for form in (secret.decode(errors="replace"), base64.b64encode(secret).decode().rstrip("=")):
            assert form not in text
