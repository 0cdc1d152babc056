"""muster as a person and a script meet it: rows S009 to S022 by their meaning, the trace rows S027 to
S067, S068, S080 to S084, R017 to R027, and what PRODUCT.md says of output, questions and exit codes."""
import json
import os
import pty
import re
import select
import signal
import subprocess
import time

import pytest
from conftest import ROOT, need, run
from relay import Forger, Relay, attribute_of

OPENSSL = need("openssl")


def openssl(*args, input=None):
    return subprocess.run([OPENSSL, *map(str, args)], input=input, capture_output=True, check=True).stdout


class Cli:
    """muster with a store of its own that trusts the demo's CA."""

    def __init__(self, muster, demo, dir):
        self.muster, self.demo, self.store = muster, demo, dir / "store"
        self.challenge = demo.secret("challenge1", dir / "challenge1")
        self.challenge2 = demo.secret("challenge2", dir / "challenge2")
        r = self("ca", "trust", demo.root, "--name", "demo-ca")
        assert r.code == 0, r

    def __call__(self, *args, **kw):
        return run(self.muster, "--store", self.store, "--no-input", *args, **kw)

    def enroll(self, name, *args, url=None, challenge=None, **kw):
        return self("enroll", name, "--url", url or self.demo.url, "--challenge-file", challenge or self.challenge, *args, **kw)

    def facts(self, name):
        r = self("show", name, "--json")
        assert r.code == 0, r
        return json.loads(r.out)["certificates"][0]

    def file(self, name, file="latest.crt"):
        return self.store / "certs" / name / file

    def csr(self, name, *args):
        """The request of these options, as text of openssl req."""
        r = self("csr", name, *args)
        assert r.code == 0, r
        return openssl("req", "-noout", "-text", "-verify", "-nameopt", "compat", input=r.out.encode()).decode()


@pytest.fixture
def cli(muster, demo, tmp_path):
    return Cli(muster, demo, tmp_path)


@pytest.fixture
def relay(demo):
    made = []

    def make(change=None, url=None):
        made.append(Relay(url or demo.url, change))
        return made[-1]

    yield make
    for r in made:
        r.stop()


@pytest.fixture
def forger(tmp_path):
    made = []

    def make(**attributes):
        made.append(Forger(tmp_path, **attributes))
        return made[-1]

    yield make
    for f in made:
        f.stop()


def approve(muster_ca, demo, verb="approve", *more):
    listing = json.loads(run(muster_ca, "--dir", demo.dir, "queue", "list", "--json").out)
    ids = [q["id"] for q in listing["queue"]]
    assert ids
    for i in ids:
        r = run(muster_ca, "--dir", demo.dir, "queue", verb, i, *more)
        assert r.code == 0, r


def trace(result, step=None):
    lines = [x[5:] for x in result.err.splitlines() if x.startswith("scep ")]
    return [x.split(": ", 1)[1] for x in lines if x.startswith(step + ":")] if step else lines


def in_order(lines, *patterns):
    """Each pattern matches a line behind the one before; returns the matches."""
    at, found = 0, []
    for p in patterns:
        for i in range(at, len(lines)):
            m = re.search(p, lines[i])
            if m:
                found.append(m)
                at = i + 1
                break
        else:
            raise AssertionError(f"no line {p!r} behind {lines[at - 1] if at else 'the start'!r} in\n" + "\n".join(lines))
    return found


# ---- S009 to S022: the values of an enrollment ----

def test_S001_S009_enroll_stores_key_certificate_and_chain_under_the_name(cli):
    r = cli.enroll("IPSECVPNTest", "--subject", "/CN=myvpn", "--key", "rsa:2048")
    assert r.code == 0, r
    for f in ("latest.key", "latest.crt", "ca.crt-0"):
        assert cli.file("IPSECVPNTest", f).exists()
    openssl("verify", "-CAfile", cli.demo.root, cli.file("IPSECVPNTest"))
    assert os.stat(cli.file("IPSECVPNTest", "latest.key")).st_mode & 0o777 == 0o600
    assert openssl("x509", "-in", cli.file("IPSECVPNTest"), "-noout", "-pubkey") == openssl(
        "pkey", "-in", cli.file("IPSECVPNTest", "latest.key"), "-pubout")


def test_S009_a_pending_request_returns_within_ten_seconds(cli):
    start = time.monotonic()
    r = cli.enroll("p", "--no-wait", challenge=cli.challenge2)
    assert r.code == 5, r
    assert time.monotonic() - start < 10
    assert cli.facts("p")["state"] == "PENDING"


def test_S010_key_sizes(cli):
    r = cli.enroll("k", "--key", "rsa:3072")
    assert r.code == 0, r
    assert b"3072 bit" in openssl("pkey", "-in", cli.file("k", "latest.key"), "-noout", "-text")
    r = cli.enroll("k2", "--key", "rsa:1000")
    assert r.code != 0 and "2048" in r.err and "4096" in r.err, r
    for small in ("rsa:1024", "rsa:1536"):
        r = cli.enroll("k2", "--key", small)
        assert r.code != 0 and "M705" in r.err and "allow-legacy" in r.err, r
    assert not (cli.store / "certs/k2/latest.key").exists()


def test_R016_key_of_4096_bits(cli):
    assert "4096 bit" in cli.csr("k4096", "--key", "rsa:4096")


def test_S014_country_has_two_letters(cli):
    assert re.search(r"Subject: .*C ?= ?NL", cli.csr("c", "--c", "NL", "--cn", "x"))
    r = cli("csr", "c2", "--c", "NLD", "--cn", "x")
    assert r.code != 0 and "two letters" in r.err, r


def test_S015_subject_parts(cli):
    text = cli.csr("s", "--cn", "myvpn", "--st", "NH", "--l", "Amsterdam", "--o", "Fortinet", "--email-dn", "ipsecvpntest@fortinet.com")
    for part in ("CN ?= ?myvpn", "ST ?= ?NH", "L ?= ?Amsterdam", "O ?= ?Fortinet", "emailAddress ?= ?ipsecvpntest@fortinet.com"):
        assert re.search(part, text), text


def test_S018_organizational_units(cli):
    assert "OU" not in cli.csr("ou0", "--cn", "x").split("Subject:")[1].splitlines()[0]
    assert len(re.findall(r"OU ?= ?(?:102|203)", cli.csr("ou2", "--cn", "x", "--ou", "102", "--ou", "203"))) == 2


def test_S020_alternative_names(cli):
    assert "Alternative Name" not in cli.csr("a0", "--cn", "x")
    text = cli.csr("a2", "--cn", "x", "--dns", "a.example", "--ip", "192.0.2.1")
    assert "DNS:a.example" in text and "IP Address:192.0.2.1" in text


def test_S021_url_is_used_as_given(cli, relay):
    r = relay()
    result = cli.enroll("u", url=r.url)
    assert result.code == 0, result
    assert all(t.startswith("/app/cert/scep/?operation=") for _, t, _, _ in r.seen)
    assert "tls" not in result.err.lower()


def test_S022_challenge_right_and_wrong(cli, tmp_path):
    assert cli.enroll("right").code == 0
    wrong = tmp_path / "wrong"
    wrong.touch(mode=0o600)
    wrong.write_text("not-the-challenge\n")
    r = cli.enroll("wrong", "-d", challenge=wrong)
    assert r.code == 2 and "M311" in r.err, r
    assert any("FAILURE, badRequest" in x for x in trace(r, "reply")), r.err
    assert "not-the-challenge" not in r.err + r.out
    assert cli.facts("wrong")["state"] == "REJECTED"


# ---- R017 to R027: the request's subject and extensions ----

def test_R017_R018_subject_in_slash_form_with_escapes(cli):
    text = cli.csr("r17", "--subject", "/DC=org/DC=OpenXPKI/DC=Test Deployment/CN=router-1")
    assert re.search(r"DC ?= ?org.*DC ?= ?OpenXPKI.*DC ?= ?Test Deployment.*CN ?= ?router-1", text)
    r = cli("csr", "r18", "--subject", r"/O=a\/b/CN= c")
    subject = openssl("req", "-noout", "-subject", "-nameopt", "RFC2253", input=r.out.encode()).decode()
    assert "O=a/b" in subject and r"CN=\ c" in subject


def test_R021_every_kind_of_alternative_name(cli):
    text = cli.csr("r21", "--cn", "x", "--san", "DNS:one.domain.com,DNS:other.domain.org", "--email", "my@other.address", "--rid", "1.2.3.4",
                   "--uri", "urn:x", "--ip", "::1", "--dirname", "/C=NL/CN=x", "--othername", "1.2.3;UTF8:text")
    for part in ("DNS:one.domain.com", "DNS:other.domain.org", "email:my@other.address", "Registered ID:1.2.3.4", "URI:urn:x",
                 "IP Address:0:0:0:0:0:0:0:1", r"DirName:/?C ?= ?NL", "othername"):
        assert re.search(part, text), part
    r = cli("csr", "r21b", "--cn", "x", "--san", "HOST:x")
    assert r.code != 0 and "dirName" in r.err and "otherName" in r.err, r


def test_R024_certificate_template(cli):
    r = cli("csr", "r24", "--cn", "x", "--template-name", "tls-client")
    der = openssl("req", "-outform", "DER", input=r.out.encode())
    assert "tls-client".encode("utf-16-be") in der
    assert "1.3.6.1.4.1.311.20.2" not in cli.csr("r24b", "--cn", "x")


def test_R025_R027_usages_are_asked_for(cli):
    text = cli.csr("r25", "--cn", "x", "--key-usage", "digitalSignature,keyEncipherment", "--eku", "clientAuth,serverAuth")
    assert "Digital Signature, Key Encipherment" in text
    assert "TLS Web Client Authentication" in text and "TLS Web Server Authentication" in text
    assert "Key Usage" not in cli.csr("r25b", "--cn", "x")


# ---- S027 to S067: the trace ----

SEED = ["--subject", "/C=NL/ST=NH/L=Amsterdam/O=Fortinet/CN=myvpn/emailAddress=ipsecvpntest@fortinet.com"]


@pytest.fixture(scope="module")
def traced(muster, demo, tmp_path_factory):
    """One enrollment with all of its trace, and what passed on the wire."""
    tmp = tmp_path_factory.mktemp("traced")
    cli = Cli(muster, demo, tmp)
    r = Relay(demo.url)
    result = cli.enroll("IPSECVPNTest", *SEED, "-d", url=r.url)
    r.stop()
    assert result.code == 0, result
    return cli, r, result


def test_S027_to_S067_steps_come_in_their_order(traced):
    _, _, result = traced
    in_order(trace(result), r"^start: PKCSReq for 'IPSECVPNTest'", r"^connect: opened 127\.0\.0\.1:\d+",
             r"^http: GET http://.*operation=GetCACaps", r"^http: HTTP result code 200", r"^caps: ", r"^http: GET http://.*operation=GetCACert",
             r"^http: HTTP result code 200", r"^ca: Reply type 1, 1 certificate", r"^ca: \[1\] .*loaded for signing and encryption",
             r"^auth: challenge \*", r"^request: transaction id: [0-9A-F]{32}$", r"^request: payload \d+ bytes", r"^request: encrypted .* envelope \d+ bytes",
             r"^request: signed SHA-256, messageType 19", r"^request: message \d+ bytes", r"^http: POST http://.*operation=PKIOperation",
             r"^http: HTTP result code 200", r"^reply: \d+ bytes, enveloped \d+ bytes", r"^reply: signature ok", r"^reply: transaction id: ",
             r"^reply: messageType 3", r"^reply: senderNonce ", r"^reply: recipientNonce ", r"^reply: pkistatus: SUCCESS", r"^reply: decrypted",
             r"^cert: subject ", r"^cert: issuer ", r"^changed: ", r"^saved: IPSECVPNTest, ", r"^result: ok \(0\)")
    assert result.err.rstrip().endswith("Done.")


def test_S027_status_and_content_type_of_each_answer(traced, cli, relay):
    _, _, result = traced
    http = trace(result, "http")
    assert http.count("HTTP result code 200") == 3
    in_order(http, "Content-Type: text/plain", "Content-Type: application/x-x509-ca-cert", "Content-Type: application/x-pki-message")
    missing = relay(lambda op, reply: {"status": 404, "headers": [], "body": b""})
    r = cli.enroll("s27", "-d", url=missing.url)
    assert r.code != 0 and "HTTP result code 404" in trace(r, "http"), r
    assert "M304" in r.err and "404" in r.err


def test_S029_reply_type_of_one_ca(traced):
    _, _, result = traced
    in_order(trace(result, "ca"), r"Reply type 1, 1 certificate", r"\[1\] version 3, serial .*, issuer itself", r"\[1\] subject /", r"loaded for signing and encryption")


def test_S033_transaction_id_is_32_hex_digits_and_of_the_key(traced, cli):
    _, _, result = traced
    other = cli.enroll("s33", "-d")
    ids = [{m.group(1) for x in trace(r) if (m := re.match(r"request: transaction id: ([0-9A-F]{32})$", x))} for r in (result, other)]
    assert len(ids[0]) == 1 and len(ids[1]) == 1 and ids[0] != ids[1]


def test_S035_sizes_of_envelope_and_message_are_those_on_the_wire(traced, tmp_path):
    _, r, result = traced
    message = r.messages()[0]
    envelope = openssl("cms", "-verify", "-noverify", "-inform", "DER", "-binary", input=message)
    in_order(trace(result, "request"), r"payload \d+ bytes, PKCS #10", rf"encrypted AES-128-CBC, envelope {len(envelope)} bytes",
             r"signed SHA-256", rf"message {len(message)} bytes")
    assert f"{len(message)} bytes" in [x for x in trace(result, "http") if "POST" in x][0]


def test_S040_signed_attributes(traced):
    _, r, result = traced
    message = r.messages()[0]
    assert attribute_of(message, 2) == b"19"
    nonce = attribute_of(message, 5)
    assert len(nonce) == 16
    in_order(trace(result, "request"), rf"messageType 19, senderNonce {nonce.hex().upper()}")


def test_S045_get_when_post_is_not_offered(cli, relay):
    def no_post(op, reply):
        if op == "GetCACaps":
            reply["body"] = b"SHA-256\nAES\n"
        return reply

    r = relay(no_post)
    result = cli.enroll("s45", "-d", url=r.url)
    assert result.code == 0, result
    get = [t for m, t, _, _ in r.seen if "PKIOperation" in t]
    assert [m for m, t, _, _ in r.seen if "PKIOperation" in t] == ["GET"]
    value = get[0].split("message=")[1]
    assert not set("+/=\n\r") & set(value)
    unescaped = len(re.sub("%..", "x", value))
    in_order(trace(result, "request"), rf"base64 {unescaped} bytes")


def test_S047_content_type_without_application_is_taken_and_shown(cli, relay):
    def short(op, reply):
        if op == "PKIOperation":
            reply["headers"] = [("Content-Type", "x-pki-message")]
        return reply

    r = cli.enroll("s47", "-d", url=relay(short).url)
    assert r.code == 0, r
    assert "header: Content-Type: x-pki-message" in trace(r, "http")


def test_S050_S059_S060_pending_then_success_by_itself(cli, muster_ca, relay):
    r = relay()
    p = subprocess.Popen([str(cli.muster), "--store", str(cli.store), "--no-input", "-d", "enroll", "slow", "--url", r.url, "--challenge-file",
                          str(cli.challenge2), "--await-result", "1s", "--max-await-result", "60s"], stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    err = ""
    while "poll: again in" not in err:
        line = p.stderr.readline()
        assert line, err
        err += line
    approve(muster_ca, cli.demo)
    err += p.communicate(timeout=60)[1]
    assert p.returncode == 0, err
    lines = [x[5:] for x in err.splitlines() if x.startswith("scep ")]
    found = in_order(lines, r"^request: transaction id: (\w+)", r"^request: payload (\d+) bytes, PKCS #10", r"messageType 19, senderNonce (\w+)",
                     r"^reply: \d+ bytes, enveloped 0 bytes", r"^reply: pkistatus: PENDING", r"^poll: again in 1 s", r"^request: transaction id: (\w+)",
                     r"^request: payload (\d+) bytes, issuer and subject", r"messageType 20, senderNonce (\w+)")
    assert found[0].group(1) == found[6].group(1)
    assert int(found[7].group(1)) < int(found[1].group(1))
    assert found[2].group(1) != found[8].group(1)
    in_order(lines, r"pkistatus: PENDING", r"^reply: \d+ bytes, enveloped [1-9]\d* bytes", r"^reply: pkistatus: SUCCESS", r"^reply: decrypted, [1-9]\d* bytes")
    wire = [attribute_of(reply["body"], 3) for _, t, _, reply in r.seen if "PKIOperation" in t]
    assert wire[0] == b"3" and wire[-1] == b"0"
    assert cli.facts("slow")["state"] == "OK"


def test_S059_a_refusal_shows_FAILURE_with_failInfo(cli, tmp_path, muster_ca):
    assert cli.enroll("refused", "--no-wait", challenge=cli.challenge2).code == 5
    approve(muster_ca, cli.demo, "reject", "--reason", "not on the list")
    r = cli("-d", "poll", "refused")
    assert r.code == 2, r
    in_order(trace(r, "reply"), r"enveloped 0 bytes", r"pkistatus: FAILURE, bad\w+")
    assert "not on the list" in r.err


def test_S051_tampered_reply_is_M321_and_unused(cli, relay):
    def damage(op, reply):
        if op == "PKIOperation":
            reply["body"] = reply["body"][:-5] + bytes([reply["body"][-5] ^ 1]) + reply["body"][-4:]
        return reply

    r = cli.enroll("s51", "-d", url=relay(damage).url)
    assert r.code == 7 and "M321" in r.err, r
    assert not any("signature ok" in x for x in trace(r, "reply"))
    assert not cli.file("s51").exists()


@pytest.mark.parametrize("row,attributes,code", [
    ("S054", {"transaction": b"0123456789ABCDEF"}, "M323"), ("S055", {"type": 19}, "M324"), ("S057", {"nonce": b"x" * 16}, "M325")])
def test_replies_that_are_not_ours(muster, demo, tmp_path, forger, row, attributes, code):
    """S054: another transaction id; S055: not a CertRep; S057: a foreign recipientNonce."""
    f = forger(**attributes)
    cli = Cli(muster, demo, tmp_path)
    assert cli("ca", "trust", f.root).code == 0
    r = cli.enroll("x", url=f.url)
    assert r.code != 0 and code in r.err, r
    assert not cli.file("x").exists()


def test_S054_S057_reply_repeats_ours(traced):
    _, _, result = traced
    lines = trace(result)
    sent = in_order(lines, r"request: transaction id: (\w+)", r"senderNonce (\w+)")
    in_order(lines, rf"reply: transaction id: {sent[0].group(1)}, as sent", r"reply: senderNonce [0-9A-F]{32}", rf"reply: recipientNonce {sent[1].group(1)}, as sent")


def test_S065_subject_and_issuer_in_slash_form(traced):
    _, _, result = traced
    cert = trace(result, "cert")
    assert "subject /ST=NH/L=Amsterdam/O=Fortinet/OU=AS/CN=myvpn/emailAddress=ipsecvpntest@fortinet.com" in cert
    assert any(re.match(r"issuer /", x) for x in cert)


def test_S066_what_the_ca_changed_is_shown(traced):
    cli, _, result = traced
    assert re.search(r"C=NL removed.*OU=AS added", trace(result, "changed")[0])
    r = cli("show", "IPSECVPNTest")
    assert re.search(r"changed +by the CA: .*C=NL removed.*OU=AS added", r.out), r
    assert cli.facts("IPSECVPNTest")["changed"] == ["C=NL removed", "OU=AS added"]


def test_S067_where_it_was_saved_and_nothing_under_tmp(cli, tmp_path):
    """By the calls that make files, so what others put under /tmp meanwhile does not count."""
    r = cli.enroll("s67", "-d")
    m = re.match(r"s67, (\S+), new", trace(r, "saved")[0])
    assert m and os.path.exists(m.group(1)) and str(cli.store) in m.group(1)
    calls = tmp_path / "calls"
    p = subprocess.run([need("strace"), "-f", "-qq", "-s", "4096", "-e", "trace=%file", "-o", calls, str(cli.muster), "--store", str(cli.store), "--no-input", "enroll",
                        "s67b", "--url", cli.demo.url, "--challenge-file", str(cli.challenge)],
                       capture_output=True, text=True, timeout=120, env={**os.environ, "ASAN_OPTIONS": "detect_leaks=0"})
    assert p.returncode == 0, p.stderr
    made = [x for x in calls.read_text(errors="replace").splitlines() if re.search(r"O_CREAT|\b(mkdir|mkdirat|symlinkat?|linkat|renameat2?|rename|creat|mknodat?)\(", x)]
    assert len(made) > 5
    outside = [x for x in made if '"/tmp/' in x.replace(f'"{cli.store}', "")]
    assert not outside, outside


# ---- S068, S080 to S084 ----

def test_S068_missing_root_is_named(muster, muster_ca, tmp_path):
    from conftest import Server
    d = tmp_path / "ca"
    assert run(muster_ca, "--dir", d, "init", "--cn", "Deep", "--no-ra", "--listen", "127.0.0.1:0").code == 0
    settings = tmp_path / "settings"
    settings.write_text("single-ca-cert = yes\n")
    s = Server([muster_ca, "--dir", d, "serve"], tmp_path / "log", r"SCEP +(http://\S+)")
    try:
        url = s.match.group(1).decode()
        assert run(muster_ca, "--dir", d, "ca", "set", "ca", settings).code == 0
        out = tmp_path / "ch"
        assert run(muster_ca, "--dir", d, "entry", "new", "e1", "--out", out).code == 0
        store = tmp_path / "store"
        one = run(muster, "--store", store, "ca", "fetch", url, "-o", tmp_path / "fetched")
        assert one.code == 0, one
        names = sorted((tmp_path / "fetched").iterdir())
        assert len(names) == 1 and b"Issuing" in openssl("x509", "-in", names[0], "-noout", "-subject")
        r = run(muster, "--store", store, "--no-input", "enroll", "x", "--url", url, "--challenge-file", out)
        assert r.code == 7 and "M212" in r.err and "Deep Root CA" in r.err and "ca trust" in r.err, r
        root = d / "root.pem"
        assert run(muster, "--store", store, "--no-input", "ca", "trust", root).code == 0
        r = run(muster, "--store", store, "--no-input", "enroll", "x", "--url", url, "--challenge-file", out)
        assert r.code == 0, r
    finally:
        s.stop()


def test_S081_not_reachable_says_why(cli, tmp_path):
    import socket
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    r = cli.enroll("down", url=f"http://127.0.0.1:{port}/scep")
    assert r.code == 3 and "M102" in r.err, r
    assert re.search(r"^  likely ", r.err, re.M) and re.search(r"^  do ", r.err, re.M)
    r = cli.enroll("down2", url="http://no-such-host.invalid/scep")
    assert r.code == 3 and "M101" in r.err, r


def test_S082_S084_a_refusal_without_a_reason_lists_causes(muster, demo, tmp_path, forger):
    f = forger(fail_info=2)
    cli = Cli(muster, demo, tmp_path)
    cli("ca", "trust", f.root)
    r = cli.enroll("null", url=f.url)
    assert r.code == 2 and "M312" in r.err and "(null)" in r.err and "challenge" in r.err.split("likely")[1], r
    last = cli.facts("null")["last"]
    assert last["code"] == "M312" and re.fullmatch("[0-9A-F]{32}", last["transaction"]) and last["time"]
    assert last["transaction"] in r.err.split("  do ")[1]
    # a renewal has other causes: too early while the certificate is good, and later that it is expired
    assert cli("csr", "old", "--cn", "old", "--url", f.url, "-o", tmp_path / "old.csr").code == 0
    f.issue(tmp_path / "old.csr", tmp_path / "old.crt", days=10)
    r = cli("install", "old", tmp_path / "old.crt")
    assert r.code == 0, r
    r = cli("renew", "old", "--force")
    assert r.code == 2 and "M312" in r.err and "too early" in r.err.split("likely")[1], r
    assert cli.facts("old")["last"]["causes"][0].startswith("too early")
    r = cli("--demo", "renew", "old", "--force", env={"MUSTER_CLOCK_SHIFT": str(20 * 86400)})
    assert r.code == 2 and "M312" in r.err and "expired" in r.err.split("likely")[1], r


def test_S082_a_reason_takes_the_place_of_null(muster, demo, tmp_path, forger):
    f = forger(fail_info=2, text="renewal allowed from 2026-01-07T00:00Z")
    cli = Cli(muster, demo, tmp_path)
    cli("ca", "trust", f.root)
    r = cli.enroll("text", url=f.url)
    assert r.code == 2 and "renewal allowed from 2026-01-07T00:00Z" in r.err, r


# ---- PRODUCT: sessions, questions, exit codes ----

def test_session_of_a_success(cli):
    r = cli.enroll("vpn", *SEED)
    assert r.code == 0 and r.out == "", r
    words = [x.split()[0] for x in r.err.splitlines() if x.startswith("  ")]
    for w in ("responder", "key", "request", "status", "issued", "changed", "saved", "renewal"):
        assert w in words, r
    assert r.err.rstrip().endswith("Done.")


def test_enroll_twice_does_not_enroll_twice(cli, relay):
    r = relay()
    assert cli.enroll("once", url=r.url).code == 0
    n = len(r.seen)
    again = cli.enroll("once", url=r.url)
    assert again.code == 0 and "nothing to do" in again.err, again
    assert len(r.seen) == n


def test_json_of_enroll_status_and_error(cli):
    r = cli.enroll("j", "--json")
    document = json.loads(r.out)
    assert r.code == 0 and document["schema"] == "muster/1" and document["result"] == "issued"
    c = json.loads(cli("status", "j", "--json").out)["certificates"][0]
    for key in ("name", "protocol", "ca", "state", "subject", "serial", "sha256", "not_before", "not_after", "days_left", "renew_days", "due_since",
                "held", "pending", "attempts", "next_try", "legacy", "changed", "last", "deploy"):
        assert key in c, key
    assert c["state"] == "OK" and re.fullmatch("[0-9A-F]{64}", c["sha256"]) and c["not_after"].endswith("Z")
    e = cli("show", "nobody", "--json")
    assert e.code == 1 and json.loads(e.out)["error"]["what"]


def test_quiet_says_nothing(cli):
    r = cli.enroll("q", "-q")
    assert (r.code, r.out, r.err) == (0, "", "")


def test_list_and_show(cli):
    cli.enroll("a1")
    r = cli("list")
    assert r.code == 0
    assert re.search(r"^NAME +VIA +STATE +EXPIRES +RENEWS", r.out) and re.search(r"^a1 +scep +OK ", r.out, re.M), r
    assert "1 certificate: 1 fine" in r.out
    assert "\033" not in r.out
    pem = cli("show", "a1", "--as", "pem").out
    assert openssl("x509", "-noout", "-serial", input=pem.encode()).decode().strip().split("=")[1] == cli.facts("a1")["serial"]


def test_renew_not_due_forced_and_regenerate(cli):
    cli.enroll("r")
    first = cli.facts("r")
    r = cli("renew", "r")
    assert r.code == 0 and "nothing to do" in r.err, r
    r = cli("renew", "r", "--force", "-d")
    assert r.code == 0, r
    second = cli.facts("r")
    assert second["serial"] != first["serial"]
    in_order(trace(r), r"start: RenewalReq for 'r'", r"signed with the certificate of serial|challenge", r"saved: r, .*, replaces " + first["serial"])
    key = openssl("pkey", "-in", cli.file("r", "latest.key"), "-pubout")
    r = cli("regenerate", "r")
    assert r.code == 64 and "--yes" in r.err, r
    r = cli("regenerate", "r", "--yes")
    assert r.code == 0, r
    assert openssl("pkey", "-in", cli.file("r", "latest.key"), "-pubout") == key
    assert cli.facts("r")["serial"] not in (first["serial"], second["serial"])
    assert cli("renew", "--all").code == 0
    d = cli("diff", "r", first["serial"], second["serial"])
    assert d.code == 0 and "- serial: " + first["serial"] in d.out, d


def test_pending_poll_and_cancel(cli, muster_ca):
    assert cli.enroll("p1", "--no-wait", challenge=cli.challenge2).code == 5
    assert cli("poll", "p1").code == 5
    r = cli("list")
    assert re.search(r"^p1 +scep +PENDING", r.out, re.M) and "1 waiting" in r.out
    first = cli.facts("p1")["pending"]["transaction"]
    approve(muster_ca, cli.demo)
    r = cli("poll", "p1")
    assert r.code == 0, r
    assert cli.facts("p1")["state"] == "OK" and re.fullmatch("[0-9A-F]{32}", first)
    assert cli.enroll("p2", "--no-wait", challenge=cli.challenge2).code == 5
    assert cli("cancel", "p2").code == 64
    assert cli("cancel", "p2", "--yes").code == 0
    assert not re.search("^p2 ", cli("list").out, re.M)
    r = cli("poll", "p2")
    assert r.code != 0 and "there is no certificate 'p2'" in r.err, r
    approve(muster_ca, cli.demo, "reject", "--reason", "x")


def test_ctrl_c_keeps_the_request(cli, muster_ca):
    p = subprocess.Popen([str(cli.muster), "--store", str(cli.store), "--no-input", "enroll", "c", "--url", cli.demo.url, "--challenge-file",
                          str(cli.challenge2)], stderr=subprocess.PIPE, text=True)
    err = ""
    while "PENDING" not in err:
        line = p.stderr.readline()
        assert line, err
        err += line
    p.send_signal(signal.SIGINT)
    err += p.communicate(timeout=20)[1]
    assert p.returncode == 5 and "muster poll c" in err, err
    before = cli.facts("c")["pending"]["transaction"]
    approve(muster_ca, cli.demo)
    r = cli("-d", "enroll", "c", "--url", cli.demo.url, "--challenge-file", cli.challenge2)
    assert r.code == 0, r
    assert f"request: transaction id: {before}" in trace(r)


def test_unknown_ca_is_M209_with_the_command_that_accepts_it(muster, demo, tmp_path):
    challenge = demo.secret("challenge1", tmp_path / "ch")
    fp = openssl("x509", "-in", demo.root, "-noout", "-fingerprint", "-sha256").decode().split("=")[1].strip()
    args = [muster, "--store", tmp_path / "s", "--no-input", "enroll", "n", "--url", demo.url, "--challenge-file", challenge]
    r = run(*args)
    assert r.code == 7 and "M209" in r.err and f"--pin {fp}" in r.err, r
    assert not (tmp_path / "s/certs/n/latest.crt").exists()
    r = run(*args, "--pin", "00" * 32)
    assert r.code == 7 and "M211" in r.err, r
    r = run(*args, "--pin", fp)
    assert r.code == 0, r


def test_a_failed_try_does_not_shine_through_the_next_command(cli):
    assert cli.enroll("again", "--pin", "00" * 32).code == 7
    r = cli.enroll("again")
    assert r.code == 0, r
    r = cli("enroll", "bare", "--url", cli.demo.url.removeprefix("http://"))
    assert r.code == 64 and f"--url {cli.demo.url}" in r.err, r


def test_all_asks_once_about_each_pending_request(cli):
    """Nobody waits for another's approval, least of all a timer that runs renew --all."""
    for name in ("p1", "p2"):
        assert cli.enroll(name, "--no-wait", challenge=cli.challenge2).code == 5
    r = cli("renew", "--all", timeout=30)
    assert r.code == 5 and "muster poll p1" in r.err and "muster poll p2" in r.err, r


def test_ctrl_c_ends_all_and_not_only_the_first(cli):
    for name in ("p1", "p2"):
        assert cli.enroll(name, "--no-wait", challenge=cli.challenge2).code == 5
    p = subprocess.Popen([str(cli.muster), "--store", str(cli.store), "--no-input", "poll", "--all", "--wait"], stderr=subprocess.PIPE, text=True)
    seen = ""
    while "asking again" not in seen:
        line = p.stderr.readline()
        assert line, seen
        seen += line
    p.send_signal(signal.SIGINT)
    _, rest = p.communicate(timeout=20)
    assert p.returncode == 5 and "muster poll p1" in rest and "p2" not in rest, rest


def test_json_is_one_object_also_for_diff_csr_and_usage(cli):
    assert cli.enroll("o").code == 0
    for words, code in ((["diff", "o"], 0), (["csr", "c", "--subject", "CN=c"], 0), (["enrol"], 64), (["enroll"], 64), (["enroll", "x", "--via", "acme"], 64)):
        r = cli(*words, "--json")
        assert r.code == code and json.loads(r.out)["schema"] == "muster/1", r


def terminal(args, answers, env=None):
    """Runs on a terminal; answers is a list of (what to wait for, what to type). Returns (exit code, text)."""
    pid, fd = pty.fork()
    if pid == 0:
        os.environ.update(env or {})
        os.environ["TERM"] = "dumb"
        os.execv(str(args[0]), [str(a) for a in args])
    text, end, todo = "", time.monotonic() + 60, list(answers)
    while time.monotonic() < end:
        ready, _, _ = select.select([fd], [], [], 1)
        if ready:
            try:
                chunk = os.read(fd, 4096)
            except OSError:
                break
            if not chunk:
                break
            text += chunk.decode(errors="replace")
        if todo and todo[0][0] in text:
            os.write(fd, todo.pop(0)[1].encode())
    else:
        os.kill(pid, signal.SIGKILL)
    _, status = os.waitpid(pid, 0)
    os.close(fd)
    assert "Sanitizer" not in text, text
    return os.waitstatus_to_exitcode(status), text


def test_terminal_asks_for_challenge_and_trust(muster, demo, tmp_path):
    args = [muster, "--store", tmp_path / "s", "enroll", "t", "--url", demo.url]
    secret = demo.secret("challenge1", tmp_path / "ch").read_text().strip()
    code, text = terminal(args, [("Challenge password", secret + "\n"), ("(y/n)", "n\n")])
    assert code == 7 and "M209" in text, text
    code, text = terminal(args, [("(y/n)", "y\n")])  # the challenge is kept with the request
    assert code == 0 and "SHA-256" in text and "Done." in text, text
    assert json.loads(run(muster, "--store", tmp_path / "s", "ca", "list", "--json").out)["cas"]


def test_secrets_from_stdin_descriptor_and_environment(cli, demo, tmp_path):
    secret = cli.challenge.read_text()
    assert cli("enroll", "s1", "--url", demo.url, "--challenge-file", "-", input=secret).code == 0
    r, w = os.pipe()
    os.write(w, secret.encode())
    os.close(w)
    p = subprocess.run([str(cli.muster), "--store", str(cli.store), "--no-input", "enroll", "s2", "--url", demo.url, "--challenge-fd", str(r)],
                       pass_fds=[r], capture_output=True, text=True)
    os.close(r)
    assert p.returncode == 0, p.stderr
    e = cli("enroll", "s3", "--url", demo.url, env={"MUSTER_SECRET_CHALLENGE": secret.strip()})
    assert e.code == 0 and re.search("warning.*MUSTER_SECRET_CHALLENGE", e.err), e
    e = cli("enroll", "s4", "--url", demo.url, "--challenge", "x")
    assert e.code == 64, e
    loose = tmp_path / "loose"
    loose.write_text(secret)
    loose.chmod(0o644)
    e = cli("enroll", "s5", "--url", demo.url, "--challenge-file", loose)
    assert e.code != 0 and "M701" in e.err, e


def test_a_protocol_that_nobody_knows_lists_the_known(cli):
    r = cli.enroll("e", "--via", "acme")
    assert r.code == 64 and "scep, est, cmp" in r.err, r
    r = cli.enroll("e", "--via", "est")  # the URL is that of SCEP, without TLS
    assert r.code == 4 and "M201" in r.err, r


def test_usage_errors_are_64_and_name_the_way_out(cli):
    for args, word in ((["enrol", "x"], "enroll"), (["enroll"], "name is missing"), (["enroll", "x", "--ulr", "y"], "--url"), (["ca"], "ca trust"),
                       (["show", "x", "--url", "y"], "does not belong"), (["show", "x", "--as", "dvi"], "pem")):
        r = cli(*args)
        assert r.code == 64 and word in r.err, r
    assert cli("--help").code == 0
    for command in ("enroll", "renew", "ca trust", "probe"):
        r = cli(*command.split(), "--help")
        assert r.code == 0 and r.out.startswith("muster " + command), r


def test_no_url_is_a_sentence(cli):
    r = cli("enroll", "nourl")
    assert r.code != 0 and "--url" in r.err, r


def test_configuration_file_gives_ca_and_certificate(cli, tmp_path):
    conf = tmp_path / "muster.conf"
    conf.write_text(f'[ca "branch"]\nprotocol = scep\nurl = {cli.demo.url}\nchallenge = file:{cli.challenge}\n'
                    '[template "gw"]\nca = branch\nsubject = /O=Example/CN=gw\n[certificate "gw1"]\ntemplate = gw\nsubject = /O=Example/CN=gw1\n'
                    '[certificate "gw2"]\ntemplate = gw\n')
    for name in ("gw1", "gw2"):
        r = cli("--config", conf, "enroll", name)
        assert r.code == 0, r
    assert "CN=gw1" in cli.facts("gw1")["subject"]
    r = cli("--config", conf, "enroll", "other", "--ca", "branch", "--cn", "other")
    assert r.code == 0, r
    conf.write_text('[certificate "gw3"]\nsubjcet = /CN=x\n')
    r = cli("--config", conf, "enroll", "gw3")
    assert r.code in (4, 78) and "M706" in r.err and ":2" in r.err, r


@pytest.mark.parametrize("via", ["scep", "est", "cmp"])
def test_the_root_of_the_demo_may_be_trusted_under_another_name(cli, demo, via):
    """One that was imported before as "demo-ca" stays so, and is the one that is meant."""
    r = cli("enroll", "t1", "--demo", "--via", via, env={"MUSTER_DEMO": str(demo.dir)})
    assert r.code == 0, r
    assert [c["name"] for c in json.loads(cli("ca", "list", "--json").out)["cas"]] == ["demo-ca"]
    assert cli("renew", "t1", "--force").code == 0


def test_demo_switch(muster, demo, tmp_path):
    env = {"MUSTER_DEMO": str(demo.dir)}
    r = run(muster, "--store", tmp_path / "s", "--no-input", "enroll", "t1", "--demo", env=env)
    assert r.code == 0, r
    assert json.loads(run(muster, "--store", tmp_path / "s", "show", "t1", "--json").out)["certificates"][0]["state"] == "OK"
    r = run(muster, "--store", tmp_path / "s", "enroll", "t2", "--demo", env={"MUSTER_DEMO": str(tmp_path)})
    assert r.code != 0 and "muster-ca demo" in r.err, r


def test_ca_fetch_trust_list_remove(muster, demo, tmp_path):
    m = [muster, "--store", tmp_path / "s", "--no-input"]
    r = run(*m, "ca", "fetch", demo.url, "-o", tmp_path / "out")
    assert r.code == 0 and (tmp_path / "out/ca.crt-0").exists(), r
    fp = openssl("x509", "-in", demo.root, "-noout", "-fingerprint", "-sha256").decode().split("=")[1].strip()
    assert fp in r.out
    assert run(*m, "ca", "trust", tmp_path / "out/ca.crt-0", "--sha256", "11" * 32).code == 7
    r = run(*m, "ca", "trust", tmp_path / "out/ca.crt-0", "--sha256", fp)
    assert r.code == 0 and "CA_Cert_1" in r.out, r
    r = run(*m, "ca", "list")
    assert "CA_Cert_1" in r.out and fp in r.out
    assert run(*m, "ca", "remove", "CA_Cert_1").code == 64
    assert run(*m, "ca", "remove", "CA_Cert_1", "--yes").code == 0
    assert run(*m, "ca", "remove", "CA_Cert_1", "--yes").code != 0


def test_probe_crl_and_cert_query(cli, tmp_path):
    r = cli("probe", cli.demo.url)
    assert r.code == 0 and "SCEP" in r.out and "SHA-256" in r.out, r
    assert json.loads(cli("probe", cli.demo.url, "--json").out)["probe"]["capabilities"]
    cli.enroll("q1")
    serial = cli.facts("q1")["serial"]
    r = cli("cert", "query", "q1", "--serial", str(int(serial, 16)))
    assert r.code == 0 and openssl("x509", "-noout", "-serial", input=r.out.encode()).decode().strip() == "serial=" + serial, r
    colons = ":".join(re.findall("..", serial if len(serial) % 2 == 0 else "0" + serial))
    r = cli("cert", "query", "--serial", colons, "-o", tmp_path / "c.pem")
    assert r.code == 0 and (tmp_path / "c.pem").exists(), r
    assert cli("cert", "query", "q1", "--serial", "12345").code == 2
    r = cli("crl", "fetch", "q1", "-o", tmp_path / "crl.pem")
    assert r.code == 0, r
    openssl("crl", "-in", tmp_path / "crl.pem", "-CAfile", cli.demo.root, "-noout", "-verify")


def test_csr_by_file_and_install(cli, tmp_path):
    r = cli("csr", "byfile", "--cn", "byfile", "-o", tmp_path / "r.pem")
    assert r.code == 0, r
    again = cli("csr", "byfile", "--cn", "byfile")
    assert openssl("req", "-noout", "-pubkey", input=again.out.encode()) == openssl("req", "-in", tmp_path / "r.pem", "-noout", "-pubkey")
    openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", tmp_path / "ca.key", "-out", tmp_path / "ca.pem", "-subj", "/CN=Paper CA", "-days", "30")
    openssl("x509", "-req", "-in", tmp_path / "r.pem", "-CA", tmp_path / "ca.pem", "-CAkey", tmp_path / "ca.key", "-set_serial", "0x1234", "-days", "10", "-out", tmp_path / "c.pem")
    assert cli("ca", "trust", tmp_path / "ca.pem").code == 0
    r = cli("install", "byfile", tmp_path / "c.pem", tmp_path / "ca.pem")
    assert r.code == 0, r
    assert cli.facts("byfile")["serial"] == "1234"
    r = cli("install", "byfile", tmp_path / "ca.pem")
    assert r.code != 0


def test_existing_key_file_is_used(cli, tmp_path):
    openssl("genrsa", "-out", tmp_path / "k.pem", "2048")
    (tmp_path / "k.pem").chmod(0o600)
    r = cli.enroll("kf", "--key-file", tmp_path / "k.pem")
    assert r.code == 0, r
    assert openssl("x509", "-in", cli.file("kf"), "-noout", "-pubkey") == openssl("pkey", "-in", tmp_path / "k.pem", "-pubout")
    r = cli.enroll("kf2", "--key-file", tmp_path / "none.pem")
    assert r.code != 0 and "none.pem" in r.err


def test_key_in_a_token(cli, tmp_path):
    from test_sscep import token
    uri, env = token(tmp_path)
    r = cli.enroll("hsm", "--key", uri, env=env)
    assert r.code == 0, r
    text = cli.file("hsm", "latest.key").read_text()
    assert "PRIVATE KEY" not in text
    assert "40718253" not in r.err + r.out
    r = cli("renew", "hsm", "--force", env=env)
    assert r.code == 0, r


def test_proxy_sees_the_absolute_request(cli, relay):
    p = relay(url="http://127.0.0.1:9/")
    r = cli.enroll("proxied", "--proxy", f"127.0.0.1:{p.port}")
    assert r.code == 0, r
    assert all(t.startswith(cli.demo.url) for _, t, _, _ in p.seen)


def test_debug_words_choose_the_lines(cli):
    r = cli.enroll("d1", "--debug", "http")
    kinds = {x.split(":")[0] for x in trace(r)}
    assert "http" in kinds and "request" not in kinds
    r = cli.enroll("d2", "--debug", "scep")
    assert {"http", "request", "reply"} <= {x.split(":")[0] for x in trace(r)}
    assert cli.enroll("d3", "--debug", "smtp").code == 64


def test_challenge_is_nowhere_in_output_or_trace(cli, tmp_path):
    secret = "Qx7-very-secret-word"
    ch = tmp_path / "c"
    ch.touch(mode=0o600)
    ch.write_text(secret)
    r = cli.enroll("sec", "-d", "-vv", challenge=ch)
    import base64
    import binascii
    for form in (secret, base64.b64encode(secret.encode()).decode(), binascii.hexlify(secret.encode()).decode()):
        assert form not in r.err + r.out
    assert "challenge *" in r.err


def test_store_default_follows_xdg(muster, demo, tmp_path):
    if os.geteuid() == 0:
        r = run(muster, "list", env={"MUSTER_STORE": str(tmp_path / "x")})
    else:
        r = run(muster, "list", env={"XDG_DATA_HOME": str(tmp_path)})
    assert r.code == 0 and "No certificates here" in r.err, r


def test_version_and_licenses(muster):
    """R094: each library that the program loads is listed."""
    assert re.match(r"muster \d", run(muster, "--version").out)
    text = run(muster, "--licenses").out
    loaded = subprocess.run(["ldd", str(muster)], capture_output=True, text=True).stdout
    for lib, name in (("libcrypto", "OpenSSL"), ("libcurl", "libcurl"), ("libevent", "libevent"), ("libjansson", "jansson"), ("libsqlite3", "SQLite")):
        if lib in loaded:
            assert name in text


def test_manual_names_every_option_and_command(muster):
    page = (ROOT / "docs/man/muster.1").read_text().replace("\\-", "-")
    text = run(muster, "--help").out
    commands = re.findall(r"^  ([a-z]+(?: [a-z]+)?)  +\S", text, re.M)
    assert len(commands) > 15
    for c in commands:
        assert c in page, c
        for option in re.findall(r"--[\w-]+", run(muster, *c.split(), "--help").out if c not in ("sscep", "help COMMAND") else ""):
            assert option in page, option


@pytest.mark.parametrize("words", [
    ["enroll", "x", "--url", "ldap://ca"],
    ["enroll", "x", "--url", "http://ca/", "--via", "acme"],
    ["enroll", "x", "--url", "http://ca/", "--key", "rsa:banana"],
    ["enroll", "x", "--url", "http://ca/", "--subject", "no name"],
    ["enroll", "x", "--url", "http://ca/", "--san", "WHAT:x"],
    ["enroll", "x", "--url", "http://ca/", "--timeout", "soon"],
    ["enroll", "x", "--url", "http://ca/", "--digest", "md17"],
    ["enroll", "x", "--url", "http://ca/", "--eku", "flying"],
    ["enroll", "x", "--url", "http://ca/", "--key", "rsa:2048", "--key-file", "k"],
    ["csr", "x", "--key-usage", "flying"],
    ["ca", "fetch", "http://ca/", "--pin", "zz"],
    ["probe", "http://ca/", "--tls-min", "9"],
    ["place", "/tmp/x", "/etc/hostname", "--mode", "9"],
    ["log", "--since", "whenever"],
], ids=lambda w: " ".join(w[-2:]))
def test_a_wrong_value_of_an_option_is_usage(cli, words):
    """Exit 64, as for a wrong option; nothing was asked and nothing is kept."""
    r = cli(*words)
    assert r.code == 64 and "--help" in r.err, r
    assert json.loads(cli("--json", *words).out)["error"]["exit"] == 64
    assert json.loads(cli("list", "--json").out)["certificates"] == []
