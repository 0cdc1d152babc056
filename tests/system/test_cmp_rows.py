"""CMP rows of ACCEPTANCE (C...) and CONFORMANCE (CMP-...) that ask for exact lines, octets or headers: what our client puts
on the wire and into its trace, through something that records or reshapes the answers of the demo."""
import json
import re
import socketserver
import threading

import pytest

from conftest import run
from relay import Relay, elements, oid, tlv
from test_cmp import KEYS, in_order, openssl, trace


def message(der):
    """(header as {tag: content}, pvno, tag of the body, its content)"""
    header, body = elements(elements(der)[0][1])[:2]
    fields = elements(header[1])
    return dict(fields[3:]), fields[0][1][0], body[0] & 0x1F, body[1], fields[1][1]


class Shaped:
    """Forwards to the demo and answers with the octets that shape(reply) makes of its answer, then closes."""

    def __init__(self, url, shape):
        relay = Relay(url, media="application/pkixcmp")
        relay.stop()

        class Handler(socketserver.StreamRequestHandler):
            def handle(self):
                head = b""
                while not head.endswith(b"\r\n\r\n"):
                    line = self.rfile.readline()
                    if not line:
                        return
                    head += line
                n = int(re.search(rb"(?i)content-length: *(\d+)", head).group(1))
                method, target = head.split(b" ")[:2]
                self.wfile.write(shape(relay.answer(method.decode(), target.decode(), self.rfile.read(n))))

        self.server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/app/cert/cmp2"

    def stop(self):
        self.server.shutdown()
        self.server.server_close()


class Client:
    """muster with a store of its own; the demo's root is fac.root, the secret that of fgt100f."""

    def __init__(self, muster, demo, dir):
        self.muster, self.demo, self.dir, self.store = muster, demo, dir, dir / "store"
        self.secret = self.file("secret", "fortinet1\n")
        assert self("ca", "trust", demo.root, "--name", "fac.root", "--yes").code == 0

    def file(self, name, text):
        p = self.dir / name
        p.touch(mode=0o600)
        p.write_text(text)
        return p

    def __call__(self, *args):
        return run(self.muster, "--store", self.store, *args)

    def enroll(self, url, *args, name="cmptest1", subject="/CN=fgt100f.local", key="ec:P-256", ref="fgt100f", ca="fac.root"):
        how = ["--ref", ref, "--secret-file", self.secret] if ref else []
        return self("enroll", name, "--via", "cmp", "--url", url, "--subject", subject, "--key", key, "--ca-cert", ca, "--trace", *how, *args)

    def crt(self, name="cmptest1"):
        return self.store / "certs" / name / "latest.crt"

    def x509(self, what, name="cmptest1"):
        return openssl("x509", "-in", self.crt(name), "-noout", what).strip()

    def serial(self, name="cmptest1"):
        return self.x509("-serial", name).split("=")[1]


@pytest.fixture
def client(muster, demo, tmp_path):
    return Client(muster, demo, tmp_path)


@pytest.fixture
def between(demo):
    """Relay(change) or Shaped(shape) in front of the demo."""
    started = []

    def start(change=None, shape=None):
        url = demo.host + "/app/cert/cmp2"
        started.append(Shaped(url, shape) if shape else Relay(url, change=change, media="application/pkixcmp"))
        return started[-1]

    yield start
    for s in started:
        s.stop()


# ---- what is on the wire ----

def test_C009_C016_an_ir_of_version_2_in_the_name_of_the_reference(client, between):
    """CMP-04, CMP-05, CMP-09, CMP-10, CMP-13, IOP-37: sender and senderKID of each message, nonces, transactionID."""
    relay = between()
    r = client.enroll(relay.url, key="rsa:2048")
    assert r.code == 0, r
    assert "Public-Key: (2048 bit)" in client.x509("-text")
    assert len(relay.seen) == 2
    asked = [message(m) for _, _, m, _ in relay.seen]
    assert [tag for _, _, tag, _, _ in asked] == [0, 24], "ir, certConf"
    for fields, pvno, _, _, sender in asked:
        assert pvno == 2
        assert fields[0xA2] == tlv(4, b"fgt100f")
        assert re.fullmatch(rb"\x18\x0f\d{14}Z", fields[0xA0]), "CMP-07: GeneralizedTime, no fraction"
        assert sender == tlv(0x30, tlv(0x31, tlv(0x30, b"\x06\x03\x55\x04\x03", tlv(0x0C, b"fgt100f")))), "CN=fgt100f"
        assert len(fields[0xA4]) == len(fields[0xA5]) == 18, "16 octets"
    first, second = asked[0][0], asked[1][0]
    assert first[0xA4] == second[0xA4] and first[0xA5] != second[0xA5] and 0xA6 not in first
    answered = message(relay.seen[0][3]["body"])[0]
    assert re.fullmatch(rb"\x18\x0f\d{14}Z", answered[0xA0])
    assert second[0xA6] == answered[0xA5] and answered[0xA6] == first[0xA5]


def test_CMP04_version_3_only_where_a_key_is_made(client, between):
    """IOP-40: from the first message on, and then throughout."""
    relay = between()
    r = client.enroll(relay.url, "--server-key")
    assert r.code == 0, r
    assert [message(m)[1] for _, _, m, _ in relay.seen] == [3, 3]
    assert [message(reply["body"])[1] for _, _, _, reply in relay.seen] == [3, 3]


def test_C012_ways_to_write_the_address(client):
    """With and without http://, with a port, and https://, where value 5 has to vouch for the server."""
    port, est = client.demo.port, client.demo.est
    for i, url in enumerate((f"127.0.0.1:{port}", f"http://127.0.0.1:{port}", f"http://127.0.0.1:{port}/app/cert/cmp2")):
        r = client.enroll(url, name=f"w{i}")
        assert r.code == 0, r
        assert f"POST http://127.0.0.1:{port}/app/cert/cmp2, " in r.err
    r = client.enroll(est, name="tls")
    assert r.code == 0, r
    in_order(trace(r), "connect: opened", r"tls: TLSv1\.[23] .*, verified by .*CN=sceptest", f"POST {est}/app/cert/cmp2", "result: ok")
    openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", client.dir / "other.key", "-out", client.dir / "other.crt", "-subj",
            "/CN=other", "-days", "30", "-addext", "keyUsage=critical,keyCertSign")
    assert client("ca", "trust", client.dir / "other.crt", "--name", "other", "--yes").code == 0
    r = client.enroll(est, name="no", ca="other")
    assert r.code == 7 and re.search(r"^cmp result: M20\d: ", r.err, re.M), r
    assert not [line for line in trace(r) if "auth:" in line or "POST" in line], "nothing is said to a server that is not verified"
    assert not client.crt("no").exists()
    r = client.enroll(f"127.0.0.1:{port}/app/cert/other", name="no")
    assert "M504" in r.err and "HTTP 404" in r.err and r.code == 3, r


def test_C014_an_unknown_ca_lists_those_that_are_here(client):
    for _ in range(2):
        openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", client.dir / "o.key", "-out", client.dir / "o.crt", "-subj", "/CN=other",
                "-days", "30", "-addext", "keyUsage=critical,keyCertSign")
        assert client("ca", "trust", client.dir / "o.crt", "--yes").code == 0
    r = client.enroll(client.demo.host, ca="nowhere")
    assert r.code == 4 and 'M210: there is no CA certificate "nowhere" here' in r.err, r
    known = re.search(r"known: (.*?)\. Import: (.*)", r.err)
    assert sorted(known.group(1).split(", ")) == ["CA_Cert_1", "CA_Cert_2", "fac.root"]
    assert known.group(2).startswith("muster ca trust FILE --name nowhere")


def test_C015_a_certificate_s_name_means_a_signature(client):
    assert client.enroll(client.demo.host).code == 0
    first = ":".join(re.findall("..", client.serial())).lower()
    r = client.enroll(client.demo.host, "--client-cert", "cmptest1", "--cmp-request", "cr", name="second", ref=None)
    assert r.code == 0, r
    in_order(trace(r), "start: cr for 'second'", f"auth: signed with the certificate of serial {first}", "reply: cp, protection ok", "result: ok")
    assert "reference" not in r.err


def test_CMP22_rsa_pss_on_wish(client, between):
    """Of each message, certConf included, renewals too; a key that is not RSA says so."""
    relay = between()
    assert client.enroll(client.demo.host, name="rsa", key="rsa:2048").code == 0
    r = client.enroll(relay.url, "--client-cert", "rsa", "--cmp-request", "cr", "--rsa-pss", name="second", key="rsa:2048", ref=None)
    assert r.code == 0, r
    r = client("renew", "second", "--force")
    assert r.code == 0, r
    assert [message(m)[2] for _, _, m, _ in relay.seen] == [2, 24, 7, 24], "cr, certConf, kur, certConf"
    for _, _, m, _ in relay.seen:
        assert oid("1.2.840.113549.1.1.10") in message(m)[0][0xA1]
    assert client.enroll(client.demo.host, name="ec").code == 0
    r = client.enroll(client.demo.host, "--client-cert", "ec", "--cmp-request", "cr", "--rsa-pss", name="no", ref=None)
    assert r.code != 0 and "only an RSA key signs by RSASSA-PSS" in r.err, r


def test_C018_a_name_alone_and_a_whole_one(client):
    for subject, shown in (("CN=fgt100f.local", "subject=CN = fgt100f.local"), ("CN=a,O=b", "subject=CN = a, O = b")):
        r = client.enroll(client.demo.host, "--replace", subject=subject)
        assert r.code == 0, r
        assert client.x509("-subject") == shown


def test_CMP54_a_renewal_has_a_new_key_or_the_same_on_wish(client):
    assert client.enroll(client.demo.host).code == 0
    keys = [client.x509("-pubkey")]
    for more in ([], ["--reuse-key"], ["--rekey"]):
        r = client("renew", "cmptest1", "--force", "--trace", *more)
        assert r.code == 0 and "start: kur for 'cmptest1'" in r.err, r
        keys.append(client.x509("-pubkey"))
        assert openssl("pkey", "-in", client.crt().with_suffix(".key"), "-pubout").strip() == keys[-1]
    assert keys[0] != keys[1] == keys[2] != keys[3]
    r = client("renew", "cmptest1", "--force", "--reuse-key", "--rekey")
    assert r.code == 64 and "exclude each other" in r.err, r


def test_CMP52_what_the_ca_changed_is_told_and_is_no_fault(client):
    r = client.enroll(client.demo.host, "--eku", "serverAuth")
    assert r.code == 0, r
    in_order(trace(r), r"reply: ip, protection ok, pkistatus: SUCCESS \(grantedWithMods\)$", r"changed: the CA changed what was asked for \(grantedWithMods\)")
    assert "changed    the CA: extended key usage clientAuth added" in r.err
    shown = client("show", "cmptest1").out
    assert "extended key usage clientAuth added" in shown and "warning" not in shown and "legacy" not in client("list").out
    r = client.enroll(client.demo.host, name="as-asked")
    assert "grantedWithMods" not in r.err and r.code == 0, r


def test_CMP83_a_key_can_only_be_sent_to_a_certificate_that_can_open_it(client):
    """KTRI to RSA, PWRI by the secret; a certificate that can only sign gets none and hears why."""
    assert client.enroll(client.demo.host, name="rsa", key="rsa:2048").code == 0
    assert client.enroll(client.demo.host, name="ec").code == 0
    r = client.enroll(client.demo.host, "--client-cert", "rsa", "--cmp-request", "cr", "--server-key", name="made", ref=None)
    assert r.code == 0, r
    assert openssl("pkey", "-in", client.crt("made").with_suffix(".key"), "-pubout").strip() == client.x509("-pubkey", "made")
    r = client.enroll(client.demo.host, "--client-cert", "ec", "--cmp-request", "cr", "--server-key", name="none", ref=None)
    assert r.code == 2 and "badAlg" in r.err and "keyAgreement" in r.err and "enroll anew by reference and secret" in r.err, r
    assert not client.crt("none").exists()


# ---- the trace ----

def test_C022_C025_C027_what_is_told_before_the_request(client):
    """C029 too: each connection has its line, with address, entry and socket."""
    port = client.demo.port
    r = client.enroll(f"http://localhost:{port}/app/cert/cmp2", "--server-cert", "fac.root")
    assert r.code == 0, r
    lines = trace(r)
    assert lines[:2] == ["cmp start: ir for 'cmptest1'", "cmp trust: fac.root expected from the server, fac.root trusted"]
    assert re.fullmatch(r"cmp resolve: localhost is (127\.0\.0\.1|::1)", lines[2])
    opened = [line for line in lines if line.startswith("cmp connect: opened")]
    assert len(opened) == 2 and all(re.fullmatch(rf"cmp connect: opened \S+:{port} for 'cmptest1', socket \d+", line) for line in opened)
    r = client("renew", "cmptest1", "--force", "--trace")
    assert r.code == 0 and trace(r)[0] == "cmp start: kur for 'cmptest1'", r
    r = client.enroll("http://no-such-host.invalid", name="x")
    assert r.code == 3 and "M101" in r.err and "no-such-host.invalid" in r.err, r
    assert not [line for line in trace(r) if "connect:" in line]


def test_C034_each_header_once_and_in_its_order(client, between):
    names = ["Date", "X-B", "Server", "x-a", "Content-Type", "Connection"]
    values = ["Thu, 21 Nov 2024 11:52:11 GMT", "1; mode=block", "somebody", "", "application/pkixcmp", "close"]
    head = "".join(f"{n}: {v}\r\n" for n, v in zip(names, values))
    s = between(shape=lambda reply: b"HTTP/1.1 200 OK\r\n" + head.encode() + b"\r\n" + reply["body"])
    r = client.enroll(s.url)
    assert r.code == 0, r
    lines = trace(r)
    at = [i for i, line in enumerate(lines) if line == "cmp http: HTTP result code 200"]
    assert len(at) == 2
    for i in at:
        assert lines[i + 1:i + 7] == [f"cmp http: header: {n}: {v}" for n, v in zip(names, values)]
        assert lines[i + 7].startswith("cmp http: body ")
    r = client.enroll(client.demo.host + "/app/cert/other", name="x")
    assert "cmp http: HTTP result code 404" in trace(r) and "cmp http: HTTP result code 200" not in trace(r)


def test_C032_C044_the_sizes_of_what_goes_out(client, between):
    relay = between()
    r = client.enroll(relay.url)
    assert r.code == 0, r
    lines = trace(r)
    posted = [int(n) for n in re.findall(r"http: POST \S+, (\d+) bytes", "\n".join(lines))]
    assert posted == [len(m) for _, _, m, _ in relay.seen]
    for n in posted:
        assert lines.count(f"cmp http: sent {n} bytes, pos 0 of {n}") == 1
    came = [int(n) for n in re.findall(r"http: body (\d+) bytes, complete", "\n".join(lines))]
    assert came == [len(reply["body"]) for _, _, _, reply in relay.seen]
    assert posted[1] < posted[0] and came[1] < came[0]
    in_order(lines, "confirm: certConf sent", f"POST .*, {posted[1]} bytes", f"sent {posted[1]} bytes", "HTTP result code 200", "header: Content-Type: application/pkixcmp",
             f"header: Content-Length: {came[1]}", f"body {came[1]} bytes, complete", "confirm: accepted")
    colons = ":".join(re.findall("..", client.serial()))
    assert f'Certificate \\"CN=fgt100f.local\\" was confirmed ({colons})' in client.demo.stderr()


def test_C037_M506_an_answer_ended_by_close_and_one_cut_short(client, between):
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/pkixcmp\r\nConnection: close\r\n"
    s = between(shape=lambda reply: head + b"\r\n" + reply["body"])
    r = client.enroll(s.url)
    assert r.code == 0, r
    in_order(trace(r), r"body \d+ bytes, complete \(ended by close\)", "reply: ip", r"body \d+ bytes, complete \(ended by close\)", "confirm: accepted")
    s = between(shape=lambda reply: head + b"Content-Length: %d\r\n\r\n" % len(reply["body"]) + reply["body"][:-100])
    r = client.enroll(s.url, "--retries", "0", name="cut") if "--retries" in client("enroll", "--help").out else client.enroll(s.url, name="cut")
    whole = int(re.search(r"header: Content-Length: (\d+)", r.err).group(1))
    assert r.code == 3 and f"M506: The answer stopped after {whole - 100} of {whole} bytes." in r.err, r
    assert not client.crt("cut").exists()


def test_C040_C043_a_new_pair_a_replaced_one_and_a_connection_kept(client):
    """C043: /.well-known/cmp keeps the connection, which serves the confirmation too."""
    url = client.demo.host + "/.well-known/cmp"
    r = client.enroll(url)
    assert r.code == 0, r
    first = client.serial()
    in_order(trace(r), "connect: opened", "confirm: needed", f"saved: cmptest1, {client.store}/certs/cmptest1/{first}.crt, new$", "connect: reused",
             "confirm: certConf sent", "confirm: accepted", "connect: closed$", r"result: ok \(0\)$")
    assert r.err.count("connect: opened") == 1
    r = client("renew", "cmptest1", "--force", "--trace")
    assert r.code == 0, r
    in_order(trace(r), "confirm: needed", f"saved: cmptest1, {client.store}/certs/cmptest1/{client.serial()}.crt, replaces {first}$", "confirm: certConf sent")
    assert client.serial() != first


def test_C045_the_result_and_its_code(client):
    r = client.enroll(client.demo.host)
    assert r.code == 0 and trace(r)[-2:] == ["cmp connect: closed", "cmp result: ok (0)"], r
    assert r.err.rstrip().splitlines()[-1] == "Done."
    client.file("secret", "wrong\n")
    r = client.enroll(client.demo.host, name="x")
    assert r.code == 7 and re.match(r"cmp result: M502: ", trace(r)[-1]), r
    assert "Done." not in r.err.splitlines()


# ---- refusals ----

def without_protection(reply):
    """An error as servers send it that protect none (IOP-29)."""
    parts = elements(elements(reply["body"])[0][1])
    if parts[1][0] & 0x1F != 23:
        return None
    header = tlv(0x30, *[tlv(t, c) for t, c in elements(parts[0][1]) if t != 0xA1])
    return {**reply, "body": tlv(0x30, header, tlv(parts[1][0], parts[1][1]))}


def test_C005_not_found_signed_and_unsigned(client, between):
    """Signed by the CA, which value 5 verifies: M505; the same without protection is shown, and is M501."""
    r = client.enroll(client.demo.host, ref="fgt999")
    assert r.code == 2 and "M505" in r.err and "Enrollment not found." in r.err and "create fgt999" in r.err, r
    in_order(trace(r), 'reply: error, protection ok, pkistatus: FAILURE, notAuthorized, "Enrollment not found."', "result: M505")
    relay = between(change=lambda operation, reply: without_protection(reply))
    r = client.enroll(relay.url, ref="fgt999", name="x")
    assert r.code == 2 and "M501" in r.err and "Enrollment not found." in r.err, r
    in_order(trace(r), 'reply: error, not protected, not authenticated: ".*Enrollment not found."', "result: M501")
    assert 'Enrollment not found. Reference \\"fgt999\\"; near: \\"fgt100f\\".' in client.demo.stderr()


def test_C001_M504_names_the_status(client, start_demo, muster, muster_ca, tmp_path):
    (tmp_path / "c").mkdir()
    c = Client(muster, start_demo(), tmp_path / "c")
    assert run(muster_ca, "--dir", c.demo.dir, "cmp", "disable").code == 0
    r = c.enroll(c.demo.host)
    assert r.code == 3 and "M504" in r.err and "(HTTP 503)" in r.err, r
    assert run(muster_ca, "--dir", c.demo.dir, "cmp", "enable").code == 0
    r = c.enroll(c.demo.host)
    assert r.code == 0, r


def test_C050_C051_what_the_operator_sees_of_a_confirmation(start_demo, muster, muster_ca, tmp_path):
    """CMP-79: waiting, until when; confirmed; rejected."""
    (tmp_path / "c").mkdir()
    client = Client(muster, start_demo(), tmp_path / "c")
    ask = lambda *a: run(muster_ca, "--dir", client.demo.dir, *a)
    client.file("ca.conf", "default = yes\ncmp-implicit-confirm = no\n")
    assert ask("ca", "set", "demo", client.dir / "ca.conf").code == 0
    r = client.enroll(client.demo.host, "--no-confirm")
    assert r.code == 0, r
    show = lambda name: json.loads(ask("issued", "show", client.serial(name), "--json").out)["certificate"]
    row = show("cmptest1")
    assert row["confirmation"] == "waiting" and row["confirm_until"] > row["issued"]
    r = client.enroll(client.demo.host, name="second")
    assert r.code == 0, r
    assert show("second")["confirmation"] == "confirmed" and show("second")["confirm_until"] is None
    text = ask("issued", "show", client.serial("second")).out
    assert re.search(r"^confirmation +confirmed$", text, re.M), text
