"""Rows that need bytes looked at by somebody else than us (openssl, a DER reader of a page), or a second
program: SCEP-08, 23, 25, 33, 42, 55, 57, 74, 75, 78, S010, S022, S029, S046, S080, S081. The table is docs/protocol/scep.md."""
import base64
import http.client
import re
import socket
import subprocess
import time
import urllib.parse

import pytest
from conftest import Server, need, run
from relay import VERISIGN, Relay, attribute_of, oid, take
from test_muster_cli import Cli, in_order, trace
from test_sscep import Sscep

OPENSSL = need("openssl")
DATA, SIGNED, ENVELOPED = "1.2.840.113549.1.7.1", "1.2.840.113549.1.7.2", "1.2.840.113549.1.7.3"
FAIL_INFO_TEXT = "1.3.6.1.5.5.7.24.1"


def openssl(*args, input=None):
    return subprocess.run([OPENSSL, *map(str, args)], input=input, capture_output=True, check=True).stdout


def children(data):
    """The elements of a constructed value, as (tag, content)."""
    out, at = [], 0
    while at < len(data):
        tag, content, _, at = take(data, at)
        out.append((tag, content))
    return out


def content_info(der):
    """(type as an OID element's content, content) of a ContentInfo, which must be all there is."""
    tag, body, _, end = take(der)
    assert tag == 0x30 and end == len(der)
    (t, kind), (e, explicit) = children(body)
    assert t == 6 and e == 0xA0
    return kind, take(explicit)[1]


def is_oid(content, dotted):
    return content == take(oid(dotted))[1]


@pytest.fixture
def cli(muster, demo, tmp_path):
    return Cli(muster, demo, tmp_path)


@pytest.fixture
def s(sscep, demo, tmp_path):
    return Sscep(sscep, demo, tmp_path)


@pytest.fixture
def relay(demo):
    made = []

    def make(change=None):
        made.append(Relay(demo.url, change))
        return made[-1]

    yield make
    for r in made:
        r.stop()


def ask(demo, method, target, body=None, headers=None):
    c = http.client.HTTPConnection("127.0.0.1", demo.port, timeout=20)
    c.putrequest(method, target, skip_accept_encoding=True)
    for name, value in (headers or {}).items():
        c.putheader(name, value)
    if body is not None:
        c.putheader("Content-Length", str(len(body)))
    c.endheaders(body)
    r = c.getresponse()
    out = r.status, r.getheader("Content-Type"), r.read()
    c.close()
    return out


def reply_of(r, operation="PKIOperation"):
    return [reply["body"] for _, t, _, reply in r.seen if operation in t][-1]


def opened(s, name, reply):
    """What the envelope of a SUCCESS holds, by openssl and the key that signed the request."""
    (s.dir / "reply.der").write_bytes(reply)
    envelope = openssl("cms", "-verify", "-inform", "DER", "-in", s.dir / "reply.der", "-CAfile", s.demo.root, "-purpose", "any", "-binary")
    return openssl("cms", "-decrypt", "-inform", "DER", "-inkey", s.dir / f"{name}.key", "-binary", input=envelope)


def signed_data(der):
    """version, digestAlgorithms, encapContentInfo, [0] certificates, [1] crls, signerInfos of certs-only."""
    kind, body = content_info(der)
    assert is_oid(kind, SIGNED)
    parts = children(body)
    certs = [c for tag, c in parts if tag == 0xA0]
    crls = [c for tag, c in parts if tag == 0xA1]
    return parts[0][1], parts[1][1], parts[2][1], certs, crls, parts[-1][1]


# ---- messages ----

def test_SCEP_08_raw_der_and_media_type_both_ways(s, relay):
    s.ca()
    s.request("raw")
    p = relay()
    assert s.enroll("raw", url=p.url).code == 0
    message = p.messages()[0]
    assert take(message)[3] == len(message)
    status, media, body = ask(s.demo, "POST", "/app/cert/scep/?operation=PKIOperation", message, {"Content-Type": "application/x-pki-message"})
    assert (status, media) == (200, "application/x-pki-message")
    assert take(body)[3] == len(body) and attribute_of(body, 3) == b"0"


def test_SCEP_08_the_client_says_what_it_sends(cli, tmp_path):
    """The request as it stands on the wire, caught by a socket of our own."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        p = subprocess.Popen([str(cli.muster), "--store", str(cli.store), "--no-input", "enroll", "wire", "--url", f"http://127.0.0.1:{port}/app/cert/scep/",
                              "--challenge-file", str(cli.challenge)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        listener.settimeout(30)
        got = b""
        try:
            while b"POST " not in got:
                c, _ = listener.accept()
                with c:
                    c.settimeout(20)
                    got = b""
                    while b"\r\n\r\n" not in got:
                        chunk = c.recv(65536)
                        if not chunk:
                            break
                        got += chunk
                    m = re.match(rb"GET (\S+)", got)
                    if m:
                        status, media, body = ask(cli.demo, "GET", m.group(1).decode())
                        c.sendall(f"HTTP/1.1 {status} OK\r\nContent-Type: {media}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode() + body)
                    elif got:
                        n = int(re.search(rb"(?i)content-length: *(\d+)", got).group(1))
                        while len(got.split(b"\r\n\r\n", 1)[1]) < n:
                            got += c.recv(65536)
        finally:
            p.kill()
            p.wait()
    head, body = got.split(b"\r\n\r\n", 1)
    assert re.search(rb"(?mi)^content-type: application/x-pki-message\r?$", head), head
    assert take(body)[3] == len(body)


def test_SCEP_23_a_missing_scepstandard_ends_it_where_expected(cli, relay, tmp_path):
    """Taken out of the capabilities on the way: seen by the option, by a [ca] key, and by nobody else."""
    def cut(op, reply):
        if op == "GetCACaps":
            assert b"SCEPStandard" in reply["body"]
            reply["body"] = reply["body"].replace(b"SCEPStandard\n", b"")
        return reply

    p = relay(cut)
    conf = tmp_path / "muster.conf"
    conf.write_text(f'[ca "c"]\nprotocol = scep\nurl = {p.url}\nchallenge = file:{cli.challenge}\nscep-standard = expect\n')
    for args in (["--url", p.url, "--challenge-file", cli.challenge, "--expect-standard"], ["--config", conf, "--ca", "c"]):
        r = cli("enroll", "strict", "--cn", "strict", "--new", *args)
        assert r.code != 0 and "M303" in r.err and "SCEPStandard" in r.err, r
    assert p.messages() == []
    r = cli("enroll", "lax", "--cn", "lax", "--url", p.url, "--challenge-file", cli.challenge)
    assert r.code == 0, r


def test_SCEP_25_iis_is_asked_again_in_compat_mode(cli, relay):
    """A server that says it is IIS and knows no AES: 3DES and SHA-1 only with the mode and --allow-legacy."""
    def dumb(op, reply):
        return {"status": 500, "headers": [], "body": b""} if op == "PKIOperation" else reply

    des3, sha1 = oid("1.2.840.113549.3.7"), oid("1.3.14.3.2.26")
    for i, (n, args) in enumerate(((1, []), (1, ["--compat", "iis"]), (1, ["--allow-legacy"]), (2, ["--compat", "iis", "--allow-legacy"]))):
        p = relay(dumb)
        p.server.RequestHandlerClass.server_version = "Microsoft-IIS/10.0"
        r = cli("enroll", f"iis{i}", "--cn", "iis", "--url", p.url, "--challenge-file", cli.challenge, *args)
        assert r.code != 0, r
        messages = p.messages()
        assert len(messages) == n and des3 not in messages[0] and sha1 not in messages[0]
    assert des3 in messages[1] and sha1 in messages[1]


def test_SCEP_33_the_layers_of_a_message(s, relay):
    """SCEP-33, SCEP-35: signed over data over enveloped over data, one signer with attributes."""
    s.ca()
    s.request("layers")
    p = relay()
    assert s.enroll("layers", url=p.url).code == 0
    for message in (p.messages()[0], reply_of(p)):
        kind, body = content_info(message)
        assert is_oid(kind, SIGNED)
        parts = children(body)
        assert parts[0] == (2, b"\x01")
        (_, inner_type), (_, explicit) = children(parts[2][1])
        assert is_oid(inner_type, DATA)
        tag, envelope, _, _ = take(explicit)
        assert tag == 4
        kind, body = content_info(envelope)
        assert is_oid(kind, ENVELOPED)
        version, recipients, encrypted = children(body)
        assert version == (2, b"\x00") and len(children(recipients[1])) == 1
        assert is_oid(children(encrypted[1])[0][1], DATA)
        signers = children(parts[-1][1])
        assert len(signers) == 1
        assert [tag for tag, _ in children(signers[0][1])].count(0xA0) == 1


def test_SCEP_42_attributes_of_a_failure_on_the_wire(s, relay):
    """failInfo and failInfoText as another reader sees them; 8894 3.2.1."""
    s.ca()
    s.request("refused", challenge="not this one")
    p = relay()
    r = s.enroll("refused", url=p.url)
    assert r.code == 72, r
    status = [reply["status"] for _, t, _, reply in p.seen if "PKIOperation" in t]
    assert status == [200]  # SCEP-13, SCEP-56
    reply, message = reply_of(p), p.messages()[0]
    assert attribute_of(reply, 2) == b"3" and attribute_of(reply, 3) == b"2" and attribute_of(reply, 4) == b"2"
    assert attribute_of(reply, 6) == attribute_of(message, 5) and len(attribute_of(reply, 5)) == 16
    assert attribute_of(reply, 7) == attribute_of(message, 7)
    at = reply.index(oid(FAIL_INFO_TEXT)) + len(oid(FAIL_INFO_TEXT))
    tag, text, _, _ = take(take(reply, at)[1])
    assert tag == 0x0C and b"password" in text
    assert "not this one" not in r.err + r.out
    for number in (2, 3, 4, 7):  # PrintableString
        at = reply.index(oid(VERISIGN + str(number))) + len(oid(VERISIGN + str(number)))
        assert take(reply, at)[1][0] == 0x13
    kind, body = content_info(reply)
    assert len(children(children(body)[2][1])) == 1  # SCEP-34: eContent is absent


def test_SCEP_55_challenges_are_not_in_the_database(demo, muster_ca, cli, tmp_path):
    """Neither the entry's nor what came in a request, used or waiting, is in any file of the CA."""
    once, wait = tmp_path / "once", tmp_path / "wait"

    def operator(*args):
        r = run(muster_ca, "--dir", demo.dir, *args)
        assert r.code == 0, r

    operator("profile", "new", "rows-manual", "approval=manual")
    operator("entry", "new", "rows-once", "--out", once)
    operator("entry", "new", "rows-wait", "--profile", "rows-manual", "--out", wait)
    assert cli.enroll("rows-once", challenge=once).code == 0
    assert cli.enroll("rows-wait", "--no-wait", challenge=wait).code == 5
    r = cli.enroll("rows-again", "--cn", "rows-again", challenge=once)
    assert r.code == 2 and "reach" not in r.err, r
    assert "ossible breach" in demo.stderr()
    secrets = [f.read_text().strip() for f in (once, wait)]
    files = [f for f in demo.dir.rglob("*") if f.is_file()]
    assert len(files) > 3
    for secret in secrets:
        assert len(secret) >= 22  # 128 bits
        forms = [secret.encode(), base64.b64encode(secret.encode()), secret.encode().hex().encode(), secret.encode("utf-16-be")]
        for f in files:
            content = f.read_bytes()
            assert not any(form in content for form in forms), f
        assert secret not in demo.stderr()


def test_SCEP_57_success_is_certs_only_with_the_leaf(s, relay):
    s.ca()
    s.request("leaf")
    p = relay()
    assert s.enroll("leaf", url=p.url).code == 0
    inside = opened(s, "leaf", reply_of(p))
    version, digests, content, certs, crls, signers = signed_data(inside)
    assert version == b"\x01" and digests == b"" and signers == b"" and crls == []  # COM-08
    assert content == oid(DATA)
    first = take(certs[0])[2]
    assert first == openssl("x509", "-in", s.dir / "leaf.crt", "-outform", "DER")


def test_SCEP_78_a_certificate_of_the_next_ca_waits(start_demo, muster, muster_ca, tmp_path):
    """Vouched for, enveloped to and issued by the successor; present only when it is said so. Renewals go on."""
    d = start_demo()
    c = Cli(muster, d, tmp_path)
    assert c.enroll("roll").code == 0
    r = c("renew", "roll", "--next-ca")
    assert r.code != 0 and "no successor" in r.err, r
    name = re.search(r'"name": ?"([^"]+)"', run(muster_ca, "--dir", d.dir, "ca", "list", "--json").out).group(1)
    assert run(muster_ca, "--dir", d.dir, "ca", "next", name).code == 0
    before = c.file("roll").read_bytes()
    r = c("renew", "roll", "--next-ca")
    assert r.code == 0 and "trusted as demo-ca-next" in r.err and "--activate" in r.err, r
    successor = c.store / "ca" / "demo-ca-next.crt"
    assert c.file("roll").read_bytes() == before
    serial = c.facts("roll")["next_serial"]
    waiting = c.file("roll", serial + ".crt")
    openssl("verify", "-CAfile", successor, waiting)
    r = c("renew", "roll", "--next-ca")
    assert r.code == 0 and "waits" in r.err, r
    r = c("install", "roll", "--activate")
    assert r.code == 0, r
    assert c.file("roll").read_bytes() == waiting.read_bytes() != before
    assert c.facts("roll")["next_serial"] is None
    assert c("install", "roll", "--activate").code != 0
    assert c("install", "roll").code == 64
    assert run(muster_ca, "--dir", d.dir, "ca", "activate", name).code == 0
    r = c("renew", "roll", "--force")
    assert r.code == 0, r
    openssl("verify", "-CAfile", successor, c.file("roll"))


def test_SCEP_74_the_crl_comes_alone(s, relay):
    s.enrolled("crl")
    p = relay()
    r = s("getcrl", "-u", p.url, "-c", "ca.crt", "-k", "crl.key", "-l", "crl.crt", "-w", "got.crl")
    assert r.code == 0, r
    inside = opened(s, "crl", reply_of(p))
    version, digests, content, certs, crls, signers = signed_data(inside)
    assert certs == [] and len(crls) == 1 and len(children(crls[0])) == 1
    assert take(crls[0])[2] == openssl("crl", "-in", s.dir / "got.crl", "-outform", "DER")


def test_SCEP_75_the_successor_as_openssl_sees_it(start_demo, muster_ca, tmp_path):
    """SCEP-75, SCEP-77: signed by the current CA, certs-only inside; nothing before there is a successor."""
    d = start_demo()
    assert ask(d, "GET", "/scep?operation=GetNextCACert")[0] == 404
    assert b"GetNextCACert" not in ask(d, "GET", "/scep?operation=GetCACaps")[2].split()
    name = re.search(r'"name": ?"([^"]+)"', run(muster_ca, "--dir", d.dir, "ca", "list", "--json").out).group(1)
    r = run(muster_ca, "--dir", d.dir, "ca", "next", name)
    assert r.code == 0, r
    assert b"GetNextCACert" in ask(d, "GET", "/scep?operation=GetCACaps")[2].split()
    status, media, body = ask(d, "GET", "/scep?operation=GetNextCACert")
    assert (status, media) == (200, "application/x-x509-next-ca-cert")
    inside = openssl("cms", "-verify", "-inform", "DER", "-CAfile", d.root, "-purpose", "any", "-binary", input=body)
    version, digests, content, certs, crls, signers = signed_data(inside)
    assert digests == b"" and signers == b"" and crls == [] and len(children(certs[0])) == 1
    (tmp_path / "next.der").write_bytes(take(certs[0])[2])
    subject = openssl("x509", "-inform", "DER", "-in", tmp_path / "next.der", "-noout", "-subject")
    assert subject == openssl("x509", "-in", d.root, "-noout", "-subject")
    assert openssl("x509", "-inform", "DER", "-in", tmp_path / "next.der", "-noout", "-pubkey") != openssl("x509", "-in", d.root, "-noout", "-pubkey")


# ---- the rest of the acceptance rows ----

def test_S010_rsa_2048_is_made(cli):
    assert cli.enroll("k2048", "--key", "rsa:2048").code == 0
    assert b"2048 bit" in openssl("pkey", "-in", cli.file("k2048", "latest.key"), "-noout", "-text")
    assert b"Public Key Algorithm: rsaEncryption" in openssl("x509", "-in", cli.file("k2048"), "-noout", "-text")


def test_S014_to_S022_the_request_that_enroll_sends(cli, relay, tmp_path):
    """S014, S015, S018, S020 to S022: the PKCS #10 in the envelope, opened with the CA's key; SCEP-09: only the
    message goes by POST."""
    p = relay()
    secret = cli.challenge.read_text().strip()
    r = cli.enroll("values", "--cn", "myvpn", "--c", "NL", "--st", "NH", "--l", "Amsterdam", "--o", "Fortinet", "--ou", "102", "--ou", "203",
                   "--email-dn", "ipsecvpntest@fortinet.com", "--dns", "a.example", "--ip", "192.0.2.1", "--key", "rsa:2048", url=p.url)
    assert r.code == 0, r
    assert [m for m, _, _, _ in p.seen] == ["GET", "GET", "POST"]
    envelope = openssl("cms", "-verify", "-noverify", "-inform", "DER", "-binary", input=p.messages()[0])
    text = None
    for key in (cli.demo.dir / "keys").iterdir():
        d = subprocess.run([OPENSSL, "cms", "-decrypt", "-inform", "DER", "-inkey", key, "-binary"], input=envelope, capture_output=True)
        q = subprocess.run([OPENSSL, "req", "-inform", "DER", "-noout", "-text", "-verify", "-nameopt", "compat"], input=d.stdout, capture_output=True)
        if q.returncode == 0:
            text = q.stdout.decode()
    assert text, "no key of the CA opens it"
    for part in ("CN ?= ?myvpn", "C ?= ?NL", "ST ?= ?NH", "L ?= ?Amsterdam", "O ?= ?Fortinet", "OU ?= ?102", "OU ?= ?203",
                 "emailAddress ?= ?ipsecvpntest@fortinet.com", "DNS:a.example", "IP Address:192.0.2.1", "Public-Key: .2048 bit", "challengePassword.*" + re.escape(secret)):
        assert re.search(part, text), (part, text)
    before = len(p.seen)
    r = cli.enroll("nld", "--cn", "x", "--c", "NLD", url=p.url)
    assert r.code != 0 and "two letters" in r.err and len(p.seen) == before, r


def test_S022_the_ca_says_challenge_ok(start_demo, muster, tmp_path):
    d = start_demo("--debug", "scep")
    cli = Cli(muster, d, tmp_path)
    assert cli.enroll("right").code == 0
    assert "challenge: ok" in d.stderr()
    wrong = tmp_path / "wrong"
    wrong.touch(mode=0o600)
    wrong.write_text("guess-4711\n")
    before = d.stderr().count("challenge: ok")
    assert cli.enroll("wrong", challenge=wrong).code == 2
    assert d.stderr().count("challenge: ok") == before
    assert "guess-4711" not in d.stderr()


@pytest.fixture
def deep(muster_ca, tmp_path):
    """Root, issuing CA and RA; (URL, directory, file with a challenge)."""
    d = tmp_path / "deep"
    assert run(muster_ca, "--dir", d, "init", "--cn", "Deep", "--listen", "127.0.0.1:0").code == 0
    server = Server([muster_ca, "--dir", d, "serve"], tmp_path / "deep.log", r"SCEP +(http://\S+)")
    try:
        assert run(muster_ca, "--dir", d, "entry", "new", "e1", "--out", tmp_path / "ch").code == 0
        yield server.match.group(1).decode(), d, tmp_path / "ch"
    finally:
        server.stop()


def test_S029_reply_type_of_ca_and_ra(deep, muster, tmp_path):
    url, d, challenge = deep
    store = tmp_path / "store"
    root = next(d.rglob("root*.pem"))
    assert run(muster, "--store", store, "--no-input", "ca", "trust", root).code == 0
    r = run(muster, "--store", store, "--no-input", "-d", "enroll", "x", "--url", url, "--challenge-file", challenge)
    assert r.code == 0, r
    ca = trace(r, "ca")
    in_order(ca, r"Reply type 3, 3 certificates", r"\[1\] version 3", r"\[1\] subject .*RA", r"\[1\] RA, loaded for signing and encryption")
    assert "header: Content-Type: application/x-x509-ca-ra-cert" in trace(r, "http")
    in_order(trace(r, "reply"), r"signature ok, CN=.*RA")


def test_S046_broken_base64_and_blanks_are_taken(s, relay):
    """Lines of 64 characters with a last line break, raw or escaped; '+' turned into a blank; the path's tail."""
    s.ca()
    p = relay()
    while True:
        s.request("lines", subject="lines")
        assert s.enroll("lines", url=p.url).code == 0
        message = p.messages()[-1]
        plain = base64.b64encode(message).decode()
        if "+" in plain and "/" in plain:
            break
    lines = base64.encodebytes(message).decode().replace("\n", "")
    broken = "".join(lines[i:i + 64] + "\n" for i in range(0, len(lines), 64))
    assert len(broken) > len(plain)
    forms = [urllib.parse.quote(broken, safe=""), urllib.parse.quote(plain, safe=""), plain, plain.replace("+", "%20"),
             urllib.parse.quote(broken.replace("\n", "\r\n"), safe="").replace("%2B", "+")]
    for form in forms:
        status, media, body = ask(s.demo, "GET", f"/cgi-bin/pkiclient.exe?operation=PKIOperation&message={form}")
        assert (status, media) == (200, "application/x-pki-message"), form[:80]
        assert attribute_of(body, 3) == b"0" and attribute_of(body, 6) == attribute_of(message, 5)
    with socket.create_connection(("127.0.0.1", s.demo.port), timeout=20) as c:  # IOP-01: HTTP/1.0, without a Host
        c.sendall(f"GET /cgi-bin/pkiclient.exe?operation=PKIOperation&message={forms[0]} HTTP/1.0\r\n\r\n".encode())
        got = b""
        while chunk := c.recv(65536):
            got += chunk
    head, body = got.split(b"\r\n\r\n", 1)
    assert head.split()[1] == b"200" and attribute_of(body, 3) == b"0"


def test_R084_polls_are_so_many_seconds_apart(s, relay):
    s.ca()
    s.request("pace", "challenge2")
    times = []
    p = relay(lambda op, reply: times.append(time.monotonic()) if op == "PKIOperation" else None)
    assert s.enroll("pace", "-t", "2", "-n", "2", url=p.url).code == 3
    assert len(times) == 3
    assert all(1.9 < b - a < 4 for a, b in zip(times, times[1:])), times


def test_S080_success_is_kept_after_enrollment_and_renewal(cli):
    assert cli.enroll("kept").code == 0
    first = cli.facts("kept")
    assert first["last"]["result"] == "issued", first
    assert cli("renew", "kept", "--force").code == 0
    second = cli.facts("kept")
    assert second["last"]["result"] in ("issued", "renewed") and second["serial"] != first["serial"], second


def test_S081_no_answer_is_a_timeout(cli):
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        r = cli.enroll("silent", "--timeout", "2s", url=f"http://127.0.0.1:{silent.getsockname()[1]}/scep")
    assert r.code == 3 and "M103" in r.err, r
