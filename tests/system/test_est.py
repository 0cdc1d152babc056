"""EST: the rows E001 to E119 through the options of muster enroll, renew and regenerate, against
muster-ca demo, and against a double from the RFC (est_double.py) where a server has to answer wrongly
or tell what it saw. The table is docs/acceptance.md."""
import base64
import itertools
import json
import os
import pty
import re
import select
import signal
import ssl
import subprocess
import time

import pytest
from conftest import need, run
from est_double import EstDouble, make_ca, openssl, tlv

T1 = "MCYGBysGAQEBARYGCSqGSIb3DQEJAQYFK4EEACIGCWCGSAFlAwQCAg=="
SUBJECT = "CN=firewall-portal1,DC=local,DC=COM"
SAN = "DNS:firewall-portal1.local.ca,IP:172.18.60.184"
REGENERATE = ["already exists, re-generate will ignore all the options you have provided.",
              "Are you sure to re-generate the certificate?", "Do you want to continue? (y/n) "]


class Unit:
    """muster with a store of its own; the CA imported as CA_Cert_1, which G_CA_Cert_1 means too."""

    def __init__(self, muster, dir, url, root, password="estpwd"):
        self.muster, self.dir, self.url, self.store = muster, dir, url, dir / "store"
        self.password = self.secret("estpwd", password)
        self.ca = ["--ca-cert", "G_CA_Cert_1"]
        if root is not None:
            assert self("ca", "trust", root).code == 0

    def secret(self, name, text):
        path = self.dir / name
        path.touch(mode=0o600)
        path.write_text(text + "\n")
        return path

    def __call__(self, *args, **kw):
        return run(self.muster, "--store", self.store, *args, **kw)

    def auth(self):
        return ["--user", "estuser", "--password-file", self.password]

    def enroll(self, name, *args, auth=None, **kw):
        url = [] if "--url" in args else ["--url", self.url]
        ca = [] if "--ca-cert" in args else self.ca
        return self("--debug", "est", "enroll", name, "--via", "est", *url, *ca,
                    *(self.auth() if auth is None else auth), *args, **kw)

    def ok(self, name, *args, **kw):
        r = self.enroll(name, *args, **kw)
        assert r.code == 0, r
        return r

    def renew(self, name, *args, **kw):
        return self("--debug", "est", "renew", name, "--force", *args, **kw)

    def show(self, name):
        return json.loads(self("show", name, "--as", "json").out)["certificates"][0]

    def cert(self, name, *what):
        return openssl("x509", "-in", self.store / "certs" / name / "latest.crt", "-noout", *what).decode()

    def key(self, name, *args):
        return openssl("pkey", "-in", self.store / "certs" / name / "latest.key", *args).decode()


@pytest.fixture
def unit(muster, demo, tmp_path):
    return Unit(muster, tmp_path, demo.est, demo.root)


@pytest.fixture
def start_double(tmp_path):
    made = []

    def start(name="server", **kw):
        made.append(EstDouble(tmp_path / name, **kw))
        return made[-1]

    yield start
    for d in made:
        d.stop()


@pytest.fixture
def double(start_double):
    d = start_double()
    d.user = ("estuser", "estpwd")
    return d


@pytest.fixture
def other(muster, double, tmp_path):
    """A unit that speaks to the double."""
    return Unit(muster, tmp_path, double.url, double.root)


def in_order(lines, *begin):
    """Each is the beginning of a line that stands behind that of the one before."""
    at = 0
    for b in begin:
        found = [i for i in range(at, len(lines)) if lines[i].startswith(b)]
        assert found, f"no line '{b}' behind the {at}th of\n" + "\n".join(lines)
        at = found[0] + 1


def trace(r):
    return [x for x in r.err.splitlines() if x.startswith("est ")]


def lines(r, step):
    return [x for x in trace(r) if re.match(f"est {step}:", x)]


def headers_told(r):
    """Header lines of each answer, as the trace has them."""
    told = []
    for x in lines(r, "http"):
        if x.startswith("est http: HTTP result code "):
            told.append([])
        elif x.startswith("est http: header: "):
            told[-1].append(x.removeprefix("est http: header: "))
    return told


def octets(hex):
    return ":".join(re.findall("..", hex))


SETTINGS = ("server certificate", "server", "CA identifier", "source address", "user", "password", "client certificate", "SRP user",
            "SRP password", "key password", "key", "csrattrs", "subject", "SAN", "linked to TLS")


def facts(r):
    """What was told of the request before it was sent: every setting with its value or none."""
    found, names = {}, "|".join(SETTINGS)
    for x in lines(r, "request"):
        for part in re.split(rf", (?=(?:{names}) )", x.removeprefix("est request: ")):
            if m := re.match(rf"({names}) (.*)", part):
                assert m[1] not in found, (m[1], x)
                found[m[1]] = m[2]
    return found


def oid(dotted):
    first, second, *rest = map(int, dotted.split("."))
    out = bytes([first * 40 + second])
    for n in rest:
        part = [n & 127]
        while n := n >> 7:
            part.append(128 | n & 127)
        out += bytes(reversed(part))
    return tlv(6, out)


def attrs(*elements):
    return base64.b64encode(tlv(0x30, *elements)).decode()


def extension_wish(*extensions):
    """extensionRequest with these (OID, value); EST-66."""
    wishes = tlv(0x30, *[tlv(0x30, oid(o), tlv(4, v)) for o, v in extensions])
    return tlv(0x30, oid("1.2.840.113549.1.9.14"), tlv(0x31, wishes))


def template(*extensions):
    """certificationRequestInfoTemplate that wants these ExtensionTemplates; EST-67, EST-70."""
    wishes = tlv(0x30, oid("1.2.840.113549.1.9.16.2.62"), tlv(0x31, tlv(0x30, *extensions)))
    return tlv(0x30, oid("1.2.840.113549.1.9.16.2.61"), tlv(0x31, tlv(0x30, tlv(2, b"\0"), tlv(0xA1, wishes))))


# ---- the whole of it ----

def test_E001_enroll_renew_and_regenerate_in_sequence(unit):
    unit.ok("est-test101", "--subject", SUBJECT, "--san", SAN)
    first = unit.show("est-test101")
    assert unit.renew("est-test101").code == 0
    second = unit.show("est-test101")
    assert unit("regenerate", "est-test101", "--yes").code == 0
    third = unit.show("est-test101")
    assert len({x["serial"] for x in (first, second, third)}) == 3


def test_E002_only_https_and_TLS_before_the_first_request(unit):
    r = unit.enroll("e", "--url", unit.url.replace("https", "http"))
    assert r.code == 4 or r.code == 1, r
    assert "M201" in r.err and "https://" in r.err, r
    for r in (unit.ok("e"), unit.renew("e")):
        assert r.code == 0, r
        t = trace(r)
        in_order(t, "est tls: TLSv1.3", "est http: ")
        first = next(i for i, x in enumerate(t) if x.startswith("est http:"))
        assert any(x.startswith("est tls: TLSv1.3") for x in t[:first]), r
        assert all("https://" in x for x in t if x.startswith(("est http: GET", "est http: POST"))), r


# ---- what is given ----

def test_E006_via_est(unit):
    unit.ok("e")
    assert unit.show("e")["protocol"] == "est"
    r = unit("enroll", "x", "--via", "acme", "--url", unit.url)
    assert r.code == 64 and "scep, est, cmp" in r.err, r


def test_E007_address_and_port_no_port_is_443(unit):
    assert unit.url in unit.ok("e").err
    r = unit.enroll("x", "--url", "https://127.0.0.1")
    assert r.code == 3 and "127.0.0.1:443" in r.err, r


def test_E008_E094_label_is_in_the_path_at_enroll_and_at_renewal(unit):
    r = unit.ok("e", "--label", "iot")
    assert f"GET {unit.url}/.well-known/est/iot/cacerts" in r.err
    assert f"POST {unit.url}/.well-known/est/iot/simpleenroll" in r.err
    r = unit.renew("e")
    assert r.code == 0 and "/.well-known/est/iot/simplereenroll" in r.err, r
    r = unit.ok("plain")
    assert f"GET {unit.url}/.well-known/est/cacerts" in r.err
    r = unit.enroll("x", "--label", "nothere")
    assert r.code == 4 and "M401" in r.err and '"nothere"' in r.err, r
    assert f"GET {unit.url}/.well-known/est/nothere/cacerts" in r.err and not (unit.store / "certs/x").exists(), r


def test_E009_user_and_password(unit):
    unit.ok("e")
    r = unit.enroll("x", auth=["--user", "estuser", "--password-file", unit.secret("wrong", "nonsense42")])
    assert r.code == 2 and "M403" in r.err, r
    assert "nonsense42" not in r.out + r.err
    r = unit.enroll("y", auth=["--user", "estuser"])
    assert r.code == 1 and "--password-file" in r.err, r


def test_E009_the_password_comes_by_stdin_descriptor_and_environment(unit):
    unit.ok("stdin", auth=["--user", "estuser", "--password-file", "-"], input="estpwd\n")
    r = unit.ok("env", auth=["--user", "estuser"], env={"MUSTER_SECRET_PASSWORD": "estpwd"})
    assert "MUSTER_SECRET_PASSWORD" in r.err and "warning" in r.err
    read, write = os.pipe()
    os.write(write, b"estpwd\n")
    os.close(write)
    p = subprocess.run([unit.muster, "--store", unit.store, "enroll", "fd", "--via", "est", "--url", unit.url, *unit.ca,
                        "--user", "estuser", "--password-fd", str(read)], pass_fds=[read], capture_output=True)
    os.close(read)
    assert p.returncode == 0, p.stderr


def test_E009_the_configuration_gives_everything(unit):
    conf = unit.dir / "muster.conf"
    conf.write_text(f'[ca "corp-est"]\nprotocol = est\nurl = {unit.url}\ntrust = CA_Cert_1\nuser = estuser\n'
                    f'password = file:{unit.password}\nlabel = iot\n\n[certificate "web"]\nca = corp-est\n'
                    f'subject = CN=www.example.org\nkey = ec:P-256\n')
    r = unit("--config", conf, "--debug", "est", "enroll", "web")
    assert r.code == 0 and "/.well-known/est/iot/simpleenroll" in r.err, r
    assert unit.show("web")["subject"] == "/CN=www.example.org"
    credentials = unit.dir / "credentials.d"
    credentials.mkdir()
    (credentials / "est-password").write_text("estpwd\n")
    (credentials / "est-password").chmod(0o600)
    conf.write_text(conf.read_text().replace(f"file:{unit.password}", "credential:est-password").replace("web", "web2"))
    r = unit("--config", conf, "enroll", "web2", env={"CREDENTIALS_DIRECTORY": str(credentials)})
    assert r.code == 0, r


def test_E011_E100_the_client_certificate_is_seen_by_the_server(other, double):
    other.ok("first")
    double.need_client = True
    r = other.ok("second", "--client-cert", "first", auth=[])
    assert {a.client for a in double.asked if a.connection == double.connections} == {"first"}
    assert "Authorization" not in double.asked[-1].headers
    in_order(trace(r), "est auth: client certificate first, tried", "est auth: client certificate first, used")
    pem = other.dir / "pair.pem"
    pem.touch(mode=0o600)
    pem.write_text((other.store / "certs/first/latest.crt").read_text() + (other.store / "certs/first/latest.key").read_text())
    other.ok("third", "--client-cert", pem, auth=[])
    assert double.asked[-1].client == "first"
    r = other.enroll("x", "--client-cert", "nobody", auth=[])
    assert r.code == 1 and "nobody" in r.err, r


def test_E012_E026_another_CA_named_is_M203_with_both_names(unit):
    make_ca(unit.dir, "someother")
    assert unit("ca", "trust", unit.dir / "someother.pem", "--name", "wrong").code == 0
    r = unit.enroll("x", "--ca-cert", "wrong")
    assert r.code == 7 and "M203" in r.err, r
    assert re.search(r'M203: .*"C=NL,ST=NH,L=Amsterdam,O=Fortinet,OU=AS,CN=sceptest".*"CN=someother"', r.err), r
    assert not any(x.startswith("est http:") for x in trace(r)) and not (unit.store / "certs/x/latest.crt").exists()
    unit.ok("x")


def test_E013_TLS_SRP(unit, demo):
    right, wrong = unit.secret("srp", "srppwd"), unit.secret("bad", "wrong-one")
    r = unit.ok("e", auth=["--srp-user", "srpuser", "--srp-password-file", right])
    assert any("TLSv1.2" in x for x in lines(r, "tls")), r
    assert "deprecated" in r.err and not any("TLSv1.3" in x for x in lines(r, "tls")), r
    for user, password in (("srpuser", wrong), ("nobody", right)):
        r = unit.enroll("x", auth=["--srp-user", user, "--srp-password-file", password])
        assert r.code == 2 and "M206" in r.err, r
        assert not any(x.startswith("est http:") for x in trace(r)) and not (unit.store / "certs/x/latest.crt").exists(), r
    r = unit.renew("e")
    assert r.code == 0 and any("TLSv1.3" in x for x in lines(r, "tls")), r


def test_E015_a_fresh_entry_has_none_of_the_values(unit):
    assert unit("csr", "e", "--via", "est").code == 0
    e = unit.show("e")
    for key in ("url", "ca", "ca_identifier", "user", "password", "client_cert", "srp_user", "srp_password", "key_password"):
        assert e[key] is None, key
    assert re.search(r"set enroll-protocol est\n +next\n", unit("show", "e", "--as", "console").out)


def test_E016_what_is_needed_is_named(unit):
    r = unit("enroll", "x", "--via", "est")
    assert r.code != 0 and "--url" in r.err, r
    r = unit("enroll", "--via", "est", "--url", unit.url)
    assert r.code == 64 and "name" in r.err, r
    assert not (unit.store / "certs/x").exists() and not list((unit.store / "state").glob("x.*"))


@pytest.mark.parametrize("word,says", [
    ("rsa-2048", "2048 bit"), ("rsa-4096", "4096 bit"), ("ec-secp256r1", "prime256v1"),
    ("ec-secp384r1", "secp384r1"), ("ec-secp521r1", "secp521r1")])
def test_E018_each_algorithm_gives_that_key(other, word, says):
    other.ok("e", "--key", word)
    assert says in other.cert("e", "-text")


def test_E018_weak_and_unknown_algorithms(other):
    for word in ("rsa-1024", "rsa-1536"):
        r = other.enroll("x", "--key", word)
        assert r.code != 0 and "M705" in r.err and "allow-legacy" in r.err, r
        r = other.enroll("e" + word, "--key", word, "--allow-legacy")
        assert r.code == 0 and word[4:] + " bit" in other.cert("e" + word, "-text"), r
    r = other.enroll("x", "--key", "rsa-1000")
    assert r.code != 0 and all(w in r.err for w in ("2048", "4096")), r
    r = other.enroll("x", "--key", "ec-secp224r1")
    assert r.code != 0 and all(w in r.err for w in ("P-256", "P-384", "P-521")), r


def test_E020_E021_subject_by_commas_and_alternative_names(other, double):
    other.ok("e", "--subject", SUBJECT, "--san", SAN)
    subject = double.asked[-1].csr("-subject", "-nameopt", "RFC2253,-dn_rev")
    assert subject.strip().replace("subject=", "") == "CN=firewall-portal1,DC=local,DC=COM"
    for n, (san, asked) in enumerate([(SAN, "DNS:firewall-portal1.local.ca, IP Address:172.18.60.184"), ("DNS:x.example", "DNS:x.example"),
                                      ("IP:172.18.60.184", "IP Address:172.18.60.184")]):
        other.ok(f"e{n}", "--subject", SUBJECT, "--san", san)
        text = double.asked[-1].csr("-text").splitlines()
        at = next(i for i, x in enumerate(text) if "Subject Alternative Name" in x)
        assert text[at + 1].strip() == asked


def test_E022_E075_what_the_CA_drops_is_told_and_no_error(unit):
    r = unit.ok("e", "--subject", SUBJECT, "--san", SAN)
    changed = "DC=local removed, DC=COM removed, SAN removed"
    assert [x for x in lines(r, "changed")] == [f"est changed: {changed}"], r
    assert "M610" in r.err and "SAN was dropped" in r.err
    assert unit.show("e")["changed"] == changed.split(", ")
    assert unit.show("e")["subject"] == "/CN=firewall-portal1"


def test_E025_E035_the_named_CA_with_and_without_the_prefix(unit):
    for name in ("G_CA_Cert_1", "CA_Cert_1"):
        unit.ok("e" + name, "--ca-cert", name)
    r = unit.enroll("x", "--ca-cert", "fac.nowhere")
    assert r.code != 0 and "M210" in r.err and "CA_Cert_1" in r.err, r
    unit.ok("file", "--ca-cert", str(unit.dir / "store/ca/CA_Cert_1.crt"))


def test_E025_the_name_of_no_CA_is_a_CA_identifier_that_M401_explains(muster, demo, tmp_path):
    """The root imported as fac.root alone: D13 makes the eighth value of the example a CA identifier."""
    u = Unit(muster, tmp_path, demo.est, None)
    assert u("ca", "trust", demo.root, "--name", "fac.root").code == 0
    r = u.enroll("x", "--ca-cert", "fac.root", "--label", "G_CA_Cert_1")
    assert r.code == 4 and f"GET {u.url}/.well-known/est/G_CA_Cert_1/cacerts" in r.err, r
    assert "M401" in r.err and "CA certificate, but none has this name" in r.err and '"G_CA_Cert_1"' in r.err, r


def test_E026_a_certificate_from_elsewhere_is_M213_and_not_stored(other, double):
    make_ca(double.dir, "elsewhere")
    double.issuer = "elsewhere"
    r = other.enroll("x")
    assert r.code == 7 and "M213" in r.err, r
    assert not (other.store / "certs/x/latest.crt").exists()


def test_E027_the_key_has_a_password_only_if_one_was_given(unit):
    unit.ok("plain")
    assert "BEGIN PRIVATE KEY" in (unit.store / "certs/plain/latest.key").read_text()
    unit.ok("locked", "--key-pass-file", unit.secret("kp", "opensesame"))
    key = unit.store / "certs/locked/latest.key"
    assert "ENCRYPTED" in key.read_text()
    openssl("pkey", "-in", key, "-passin", "pass:opensesame", "-noout")
    p = subprocess.run(["openssl", "pkey", "-in", key, "-passin", "pass:wrong", "-noout"], capture_output=True)
    assert p.returncode != 0
    r = unit.renew("locked")  # what it was given is kept for that
    assert r.code == 0 and "ENCRYPTED" in key.read_text(), r
    assert "opensesame" not in r.err


def test_E029_source_address(muster, start_double, tmp_path):
    seen = []
    d = start_double()
    serve = d.serve
    d.serve = lambda handler, body: (seen.append(handler.client_address[0]), serve(handler, body))
    u = Unit(muster, tmp_path, d.url, d.root)
    u.ok("e", "--source-ip", "127.0.0.77", auth=[])
    assert set(seen) == {"127.0.0.77"}
    r = u.enroll("x", "--source-ip", "192.0.2.77", auth=[])
    assert r.code != 0 and "M106" in r.err, r


def test_E032_the_example_with_all_its_places(unit, demo):
    r = unit.ok("est-test101", "--key", "ec-secp256r1", "--subject", SUBJECT, "--san", SAN)
    assert r.err.rstrip().splitlines()[-1] == "Done."
    e = unit.show("est-test101")
    assert (e["url"], e["user"], e["ca"], e["subject"]) == (unit.url, "estuser", "G_CA_Cert_1", "/CN=firewall-portal1")
    assert "prime256v1" in unit.cert("est-test101", "-text")


# ---- trust ----

def test_E036_a_CA_that_is_not_imported_is_M204_with_the_line_that_imports(muster, double, tmp_path):
    u = Unit(muster, tmp_path, double.url, None)
    u.ca = []
    r = u.enroll("x")
    sha256 = openssl("x509", "-in", double.root, "-noout", "-fingerprint", "-sha256").decode().split("=")[1].strip()
    assert r.code == 7 and "M204" in r.err and sha256 in r.err, r
    assert f"muster ca fetch {double.url} --via est" in r.err and "muster ca trust" in r.err
    told = [x for x in lines(r, "(tls|ca)") if "self-signed certificate in certificate chain" in x or "getting the CA certificates failed" in x]
    assert [x.split(":")[0] for x in told] == ["est tls", "est ca"] and "self-signed" in told[0], r
    assert double.asked == [] and lines(r, "http") == []


def test_E045_what_is_loaded_for_the_connection_one_line_per_TLS(other):
    r = other.ok("e")
    assert len([x for x in lines(r, "trust") if "loaded for TLS" in x]) == 1 and "G_CA_Cert_1" in " ".join(lines(r, "trust")), r
    r = other("--debug", "est", "enroll", "f", "--via", "est", "--url", other.url, *other.auth())
    assert r.code == 0 and "CA store" in " ".join(lines(r, "trust")), r
    assert len([x for x in lines(r, "trust") if "loaded for TLS" in x]) == 1, r


def sha256_of(pem):
    return openssl("x509", "-in", pem, "-noout", "-fingerprint", "-sha256").decode().split("=")[1].strip()


def test_pin_bootstraps_over_one_connection_and_enrolls_over_a_second(muster, double, tmp_path):
    """EST-18, EST-19, EST-20"""
    u = Unit(muster, tmp_path, double.url, None)
    u.ca = []
    r = u.ok("e", "--pin", sha256_of(double.root))
    assert double.connections == 2
    assert [x for x in lines(r, "trust") if "loaded for TLS" in x] == [  # E045
        "est trust: none loaded for TLS: the server is not verified", "est trust: loaded for TLS: CN=estDouble"]
    assert [(a.connection, a.op) for a in double.asked][:2] == [(1, "cacerts"), (2, "cacerts")]
    assert "Authorization" not in double.asked[0].headers
    assert double.asked[-1].connection == 2
    cas = json.loads(u("ca", "list", "--json").out)["cas"]
    assert [c["subject"] for c in cas] == ["/CN=estDouble"]
    u.ok("f", "--pin", sha256_of(double.root))
    assert double.connections == 3


def test_a_wrong_pin_is_M211_and_nothing_is_kept(muster, double, tmp_path):
    u = Unit(muster, tmp_path, double.url, None)
    u.ca = []
    r = u.enroll("e", "--pin", "00" * 32)
    assert r.code == 7 and "M211" in r.err, r
    assert double.ops() == ["cacerts"] and "Authorization" not in double.asked[0].headers
    assert json.loads(u("ca", "list", "--json").out)["cas"] == []


def on_terminal(args, answers, timeout=20):
    """Runs on a terminal of its own; answers: (text to wait for, what is typed then)."""
    pid, fd = pty.fork()
    if pid == 0:
        os.execv(str(args[0]), [str(a) for a in args])
    out, end = b"", time.monotonic() + timeout
    answers = list(answers)
    while time.monotonic() < end:
        if select.select([fd], [], [], 0.2)[0]:
            try:
                chunk = os.read(fd, 65536)
            except OSError:
                break
            if not chunk:
                break
            out += chunk
        if answers and answers[0][0].encode() in out:
            os.write(fd, answers.pop(0)[1].encode())
    else:
        os.kill(pid, signal.SIGKILL)
    os.close(fd)
    _, status = os.waitpid(pid, 0)
    return os.waitstatus_to_exitcode(status), out.decode(errors="replace")


def test_a_person_on_a_terminal_is_asked_and_shown_the_fingerprint(muster, double, tmp_path):
    """EST-18: out of band."""
    u = Unit(muster, tmp_path, double.url, None)
    args = [muster, "--store", u.store, "enroll", "e", "--via", "est", "--url", double.url, "--user", "estuser"]
    code, out = on_terminal(args, [("Password of estuser:", "estpwd\n"), ("(y/n)", "n\n")])
    assert code == 7 and "M209" in out and sha256_of(double.root) in out, out
    assert "simpleenroll" not in double.ops() and "estpwd" not in out
    code, out = on_terminal(args, [("(y/n)", "y\n")])  # the password is kept
    assert code == 0 and "Done." in out, out
    assert json.loads(u("ca", "list", "--json").out)["cas"][0]["source"] == "est"


def test_EST22_no_password_on_the_word_of_the_system_store_alone(muster, double, tmp_path, monkeypatch):
    """RFC 7030 6: a password, Basic or Digest, goes to servers of named CAs only."""
    monkeypatch.setenv("SSL_CERT_FILE", str(double.root))
    u = Unit(muster, tmp_path, double.url, None)
    args = [muster, "--store", u.store, "enroll", "e", "--via", "est", "--url", double.url, "--user", "estuser"]
    code, out = on_terminal(args, [("Password of estuser:", "estpwd\n"), ("(y/n)", "y\n")])
    assert code == 7 and "only the system's CA store vouches for" in out and "--ca-cert" in out, out
    assert "cacerts" in double.ops() and "simpleenroll" not in double.ops(), double.ops()
    assert all("Authorization" not in a.headers for a in double.asked)
    u.ca = ["--ca-cert", double.root]
    u.ok("f")
    assert double.asked[-1].headers["Authorization"].startswith("Basic ")


def test_EST77_no_key_from_a_server_on_the_word_of_the_system_store_alone(muster, double, tmp_path, monkeypatch):
    """RFC 7030 6: a key that another makes comes from servers of named CAs only."""
    monkeypatch.setenv("SSL_CERT_FILE", str(double.root))
    u = Unit(muster, tmp_path, double.url, None)
    double.user = None
    args = [muster, "--store", u.store, "enroll", "e", "--via", "est", "--url", double.url, "--server-key"]
    code, out = on_terminal(args, [("(y/n)", "y\n")])
    assert code == 7 and "no key is taken from it" in out and "--ca-cert" in out, out
    assert "cacerts" in double.ops() and "serverkeygen" not in double.ops(), double.ops()
    u.ca = ["--ca-cert", double.root]
    u.ok("f", "--server-key", auth=[])
    assert double.ops()[-1] == "serverkeygen"


def test_E048_E054_what_a_known_CA_vouches_for_is_kept_with_where_it_came_from(other, double):
    make_ca(double.dir, "below", issuer="estDouble")
    make_ca(double.dir, "stranger")
    double.cacerts = [double.root, double.dir / "below.pem", double.dir / "stranger.pem"]
    r = other.ok("e", "--label", "iot", "--source-ip", "127.0.0.1")
    cas = {c["subject"]: c for c in json.loads(other("ca", "list", "--json").out)["cas"]}
    assert set(cas) == {"/CN=estDouble", "/CN=below"}
    for c in cas.values():
        assert c["source"] == "est"
        assert c["learned"] == [{"server": double.url, "source_ip": "127.0.0.1", "ca_identifier": "iot"}]
    assert f"est ca: saved for {double.url}, source address 127.0.0.1, CA identifier iot" in trace(r)
    text = other("ca", "list").out
    assert f"learned by est {double.url}, source address 127.0.0.1, CA identifier iot" in text


def test_E054_unset_ones_are_shown_as_none(unit):
    r = unit.ok("e")
    assert f"est ca: saved for {unit.url}, source address none, CA identifier none" in trace(r)
    assert "source address none, CA identifier none" in unit("ca", "list").out
    learned = json.loads(unit("ca", "list", "--json").out)["cas"][0]["learned"]
    assert learned == [{"server": unit.url, "source_ip": None, "ca_identifier": None}]


# ---- the trace of an enrollment ----

def test_E040_to_E079_steps_come_in_their_order(unit):
    r = unit.ok("e", "--key", "ec-secp256r1", "--subject", SUBJECT, "--san", SAN)
    t = trace(r)
    in_order(t, "est start: enroll for 'e'", "est trust: G_CA_Cert_1 for the server and for issued certificates",
             "est auth: HTTP user estuser, password *", "est tls: TLSv1.3",
             f"est http: GET {unit.url}/.well-known/est/cacerts", "est http: HTTP result code 200",
             "est http: header: ", "est ca: 1 certificate", "est ca: [1] version 3", "est ca: saved for ",
             f"est http: GET {unit.url}/.well-known/est/csrattrs", "est http: HTTP result code 200",
             "est http: header: Content-Type: application/csrattrs", f"est csrattrs: 57 bytes, {T1}",
             "est csrattrs: object 1.3.6.1.1.1.1.22 undefined", "est csrattrs: object 1.2.840.113549.1.9.1 emailAddress",
             "est csrattrs: object 1.3.132.0.34 secp384r1", "est csrattrs: object 2.16.840.1.101.3.4.2.2 sha384",
             "est request: server ", "est request: linked to TLS 0",
             f"est http: POST {unit.url}/.well-known/est/simpleenroll", "est http: HTTP result code 200",
             "est http: header: Content-Type: application/pkcs7-mime; smime-type=certs-only", "est reply: ",
             "est cert: ", "est changed: ", "est saved: e, ", "est result: ok (0)")
    assert r.err.rstrip().endswith("Done.")


def test_E040_only_what_is_set_is_shown_of_how_we_authenticate(other, double):
    r = other.ok("e")
    assert lines(r, "auth") == ["est auth: HTTP user estuser, password *"], r
    double.user = None
    r = other.ok("f", auth=[])
    assert lines(r, "auth") == [], r
    r = other.ok("g", "--client-cert", "f", auth=[])
    assert {x.split(",")[0] for x in lines(r, "auth") if "warning" not in x} == {"est auth: client certificate f", "est auth: client certificate CN=f used"}, r


def test_E040_TLS_SRP_is_shown_with_a_star(unit):
    r = unit.ok("e", auth=["--srp-user", "srpuser", "--srp-password-file", unit.secret("srp", "srppwd")])
    assert any("SRP user srpuser, password *" in x for x in lines(r, "auth")) and not any("HTTP user" in x for x in lines(r, "auth")), r


def test_E043_E047_each_request_and_all_header_lines_in_order(other, double):
    double.answers["csrattrs"] = (200, {"Status": "200 OK", "X-Second": "two", "Content-Type": "application/csrattrs"}, T1.encode())
    r = other.ok("e")
    gets = [x for x in lines(r, "http") if " GET " in x]
    assert gets == [f"est http: GET {double.url}/.well-known/est/{op}" for op in ("cacerts", "csrattrs")]
    sent = [a.answer for a in double.asked]
    assert len(sent) == 3 and sent[1][2:5] == ["Status: 200 OK", "X-Second: two", "Content-Type: application/csrattrs"]
    assert headers_told(r) == sent


def test_E050_certificates_of_the_answer_are_numbered_with_their_facts(other, double):
    """Serials of the seed, in the two forms."""
    make_ca(double.dir, "long", issuer="estDouble", serial="ABE832E1F66A6B43")
    make_ca(double.dir, "short", issuer="long", serial="074697")
    double.cacerts = [double.root, double.dir / "long.pem", double.dir / "short.pem"]
    t = lines(other.ok("e"), "ca")
    assert "est ca: 3 certificates" in t, t
    root = openssl("x509", "-in", double.root, "-noout", "-serial").decode().split("=")[1].strip().lower()
    for n, (name, issuer, serial) in enumerate([("estDouble", "estDouble", octets(root)), ("long", "estDouble", "ab:e8:32:e1:f6:6a:6b:43"),
                                                ("short", "long", "476823 (0x74697)")], 1):
        assert t.count(f"est ca: [{n}] version 3, serial {serial}, issuer CN={issuer}, subject CN={name}") == 1, t
        ski = openssl("x509", "-in", double.dir / f"{name}.pem", "-noout", "-ext", "subjectKeyIdentifier").decode().split()[-1]
        for fact in ("X509v3 Basic Constraints: critical, CA:TRUE", "X509v3 Key Usage: critical, Certificate Sign, CRL Sign",
                     f"X509v3 Subject Key Identifier: {ski}"):
            assert t.count(f"est ca: [{n}] {fact}") == 1, (fact, t)


def test_E050_the_root_of_the_demo(unit, demo):
    t = lines(unit.ok("e"), "ca")
    ski = openssl("x509", "-in", demo.root, "-noout", "-ext", "subjectKeyIdentifier").decode().split()[-1]
    assert "est ca: 1 certificate" in t and f"est ca: [1] X509v3 Subject Key Identifier: {ski}" in t, t
    assert "est ca: [1] X509v3 Basic Constraints: critical, CA:TRUE" in t, t


def test_E056_an_extension_that_is_asked_for_with_its_value_is_in_the_request(other, double):
    double.csrattrs = attrs(extension_wish(("2.5.29.15", bytes([3, 2, 5, 0xA0]))))
    other.ok("e")
    text = [x.strip() for x in double.asked[-1].csr("-text").splitlines()]
    assert text[text.index("X509v3 Key Usage:") + 1] == "Digital Signature, Key Encipherment"


def test_E056_a_SAN_that_is_asked_for_and_not_given_is_M408_before_posting(other, double):
    double.csrattrs = attrs(template(tlv(0x30, oid("2.5.29.17"))))
    r = other.enroll("x")
    assert r.code != 0 and "M408" in r.err and "simpleenroll" not in double.ops(), r
    other.ok("e", "--san", "DNS:e.example")
    other.ok("f", "--csrattrs", "ignore")
    assert "csrattrs" not in double.ops()[-2:]


def test_E059_curl_sees_the_csrattrs_of_the_demo(demo):
    p = subprocess.run([need("curl"), "-sS", "-D", "-", "--cacert", demo.root, f"{demo.est}/.well-known/est/csrattrs"],
                       capture_output=True, check=True)
    head, body = p.stdout.split(b"\r\n\r\n", 1)
    for line in (b"application/csrattrs", b"Content-Transfer-Encoding: base64", b"Content-Length: 57"):
        assert line in head, head
    assert body == T1.encode() + b"\n" and b" 200 " in head.splitlines()[0]


def test_E060_E062_csrattrs_in_the_trace(unit):
    r = unit.ok("e")
    assert lines(r, "csrattrs") == [
        f"est csrattrs: 57 bytes, {T1}", "est csrattrs: object 1.3.6.1.1.1.1.22 undefined",
        "est csrattrs: object 1.2.840.113549.1.9.1 emailAddress", "est csrattrs: object 1.3.132.0.34 secp384r1",
        "est csrattrs: object 2.16.840.1.101.3.4.2.2 sha384"]


@pytest.mark.parametrize("status", [204, 404])
def test_E063_a_server_without_csrattrs(other, double, status):
    double.answers["csrattrs"] = (status, {}, b"")
    r = other.ok("e")
    assert f"est csrattrs: none offered (HTTP {status})" in trace(r)


def test_E064_an_explicit_algorithm_wins_over_the_wish(unit):
    r = unit.ok("e", "--key", "ec-secp256r1")
    assert "prime256v1" in unit.cert("e", "-text") and "the CA suggests secp384r1" in r.err
    unit.ok("f")
    assert "secp384r1" in unit.cert("f", "-text")


def test_E065_every_setting_is_told_before_the_request_set_or_none(unit):
    r = unit.ok("e", "--key", "ec-secp256r1", "--subject", SUBJECT, "--san", SAN, "--label", "iot",
                "--key-pass-file", unit.secret("kp", "opensesame"), "--source-ip", "127.0.0.1")
    every = {"server": unit.url, "CA identifier": "iot", "source address": "127.0.0.1", "user": "estuser", "password": "*",
             "client certificate": "none", "server certificate": "G_CA_Cert_1", "SRP user": "none", "SRP password": "none",
             "key password": "*", "key": "secp256r1", "csrattrs": "used (secp384r1 suggested, secp256r1 was asked for)",
             "subject": SUBJECT, "SAN": SAN, "linked to TLS": "0"}
    assert facts(r) == every, r
    in_order(trace(r), "est start: enroll for 'e'", "est request: server", "est request: linked", "est http: POST")
    r = unit.ok("f", "--client-cert", "e", "--csrattrs", "ignore", auth=["--srp-user", "srpuser", "--srp-password-file", unit.secret("srp", "srppwd")])
    assert facts(r) == {k: "none" for k in every} | {
        "server": unit.url, "client certificate": "e", "server certificate": "G_CA_Cert_1", "SRP user": "srpuser", "SRP password": "*",
        "key": "secp256r1", "csrattrs": "ignored", "subject": "CN=f", "linked to TLS": "1, tls-unique"}, r


def test_E067_passwords_are_stars_at_every_level(unit):
    password = unit.secret("kp", "opensesame")
    for flags in (["-d"], ["-vv"], ["--debug", "est,tls,http"]):
        r = unit(*flags, "enroll", "e" + flags[0].strip("-"), "--via", "est", "--url", unit.url, *unit.ca, *unit.auth(),
                 "--key-pass-file", password)
        assert r.code == 0, r
        for secret in ("estpwd", "opensesame", base64.b64encode(b"estuser:estpwd").decode()):
            assert secret not in r.out + r.err, (flags, secret)


def test_E068_linked_by_tls_exporter_where_a_label_demands_it(unit, demo, muster_ca):
    """EST-58, EST-60, TLS 1.3: our client against our responder, which refuses what is not linked."""
    ca = lambda *a: run(muster_ca, "--dir", demo.dir, *a)
    word = unit.dir / "linker"
    ca("profile", "new", "exporter", "protocols=est", "est=link", "max-requests=0", "renew-before=any")
    r = ca("entry", "new", "linker", "--profile", "exporter", "--reusable", "--out", word)
    assert r.code == 0, r
    auth = ["--user", "linker", "--password-file", word]
    r = unit.ok("e", "--label", "exporter", auth=auth)
    assert any(x.startswith("est tls: TLSv1.3") for x in trace(r)) and any("linked to TLS 1" in x for x in lines(r, "request")), r
    r = unit.renew("e")
    assert r.code == 0 and any("linked to TLS 1" in x for x in lines(r, "request")), r


def test_E068_linked_by_tls_unique_where_the_server_wants_it(muster, start_double, tmp_path):
    d = start_double(version=ssl.TLSVersion.TLSv1_2)
    d.csrattrs = attrs(oid("1.2.840.113549.1.9.7"))
    u = Unit(muster, tmp_path, d.url, d.root)
    r = u.ok("e", auth=[])
    assert d.linked == [True] and d.connections == 1
    assert any("linked to TLS 1" in x for x in lines(r, "request")), r
    r = u.renew("e")
    assert r.code == 0 and d.linked == [True, True], r
    d.answers["simpleenroll"] = (400, {"Content-Type": "text/plain"}, b"channel binding does not match\n")
    r = u.enroll("x", auth=[])
    assert r.code == 2 and "M407" in r.err, r


def test_EST60_a_server_that_knows_no_exporter_is_asked_again_under_TLS_1_2(muster, start_double, tmp_path):
    """Linking is demanded, the exporter refused: a new connection of TLS 1.2 links by tls-unique, and one certificate is issued."""
    d = start_double()
    d.csrattrs = attrs(oid("1.2.840.113549.1.9.7"))
    answer = d.answer
    d.answer = lambda asked, handler: ((400, {"Content-Type": "text/plain"}, b"the channel binding is not tls-unique\n")
                                       if asked.op.endswith("enroll") and asked.version == "TLSv1.3" else answer(asked, handler))
    u = Unit(muster, tmp_path, d.url, d.root)
    r = u.ok("e", auth=[])
    posts = [(a.connection, a.version) for a in d.asked if a.op == "simpleenroll"]
    assert posts == [(1, "TLSv1.3"), (2, "TLSv1.2")] and d.connections == 2, posts
    assert d.linked == [True] and len(d.issued) == 1
    assert u.key("e", "-pubout").strip() == u.cert("e", "-pubkey").strip()
    assert any("TLSv1.3" in x for x in lines(r, "tls")) and any("TLSv1.2" in x for x in lines(r, "tls")), r
    r = u.renew("e")
    assert r.code == 0 and d.linked == [True, True] and d.asked[-1].version == "TLSv1.2", r


def test_E071_E072_the_post_and_its_answer(other, double):
    r = other.ok("e")
    post = double.asked[-1]
    assert post.method == "POST" and post.path == "/.well-known/est/simpleenroll"
    assert post.headers["Content-Type"] == "application/pkcs10" and post.csr("-subject", "-nameopt", "RFC2253").strip() == "subject=CN=e"
    assert all(len(x) <= 64 for x in post.body.splitlines()) and base64.b64decode(b"".join(post.body.split()), validate=True)
    assert f"est http: POST {double.url}/.well-known/est/simpleenroll, {len(post.body)} bytes" in trace(r)
    block = next(x for x in lines(r, "reply") if re.match(r"est reply: MII", x)).split(": ", 1)[1]
    pem = openssl("pkcs7", "-inform", "DER", "-print_certs", input=base64.b64decode(block)).decode()
    assert re.search("-----BEGIN.*END CERTIFICATE-----", pem, re.S).group() == double.issued[0].read_text().strip()
    assert f"est reply: {dict(x.split(': ', 1) for x in post.answer)['Content-Length']} bytes, base64, 1 certificate" in trace(r)
    double.one_line = True
    other.ok("f")


def test_E072_the_answer_of_the_demo(unit):
    told = headers_told(unit.ok("e"))[-1]
    assert "Content-Type: application/pkcs7-mime; smime-type=certs-only" in told and "Content-Transfer-Encoding: base64" in told


def cert_facts(u, name):
    """The lines of the trace that E074 asks for, of the certificate that is in use, by openssl."""
    said = u.cert(name, "-serial", "-subject", "-issuer", "-nameopt", "RFC2253,-dn_rev")
    serial, subject, issuer = (re.search(rf"^{w}=(.*)$", said, re.M).group(1) for w in ("serial", "subject", "issuer"))
    ids = {w: u.cert(name, "-ext", w).split()[-1] for w in ("subjectKeyIdentifier", "authorityKeyIdentifier")}
    number = octets(serial.lower()) if int(serial, 16) >> 63 else f"{int(serial, 16)} (0x{int(serial, 16):x})"
    return [f"est cert: version 3, serial {number}, issuer {issuer}, subject {subject}", "est cert: X509v3 Basic Constraints: CA:FALSE",
            "est cert: X509v3 Key Usage: Digital Signature", f"est cert: X509v3 Subject Key Identifier: {ids['subjectKeyIdentifier']}",
            f"est cert: X509v3 Authority Key Identifier: {ids['authorityKeyIdentifier']}"]


def test_E074_the_facts_of_the_issued_certificate_once(unit):
    t = lines(unit.ok("e", "--subject", "CN=x"), "cert")
    for fact in cert_facts(unit, "e"):
        assert t.count(fact) == 1, (fact, t)
    assert len([x for x in t if "X509v3" in x]) == 4, t


def test_E078_E079_saved_then_result_then_Done(unit):
    r = unit.ok("e")
    serial = unit.show("e")["serial"]
    assert f"est saved: e, {unit.store}/certs/e/{serial}.crt, new" in trace(r)
    assert r.err.rstrip().splitlines()[-1] == "Done."
    in_order(r.err.splitlines(), "est saved: e", "est result: ok (0)", "Done.")
    for name in ("latest.crt", "latest.key", "ca.crt-0"):
        assert (unit.store / "certs/e" / name).exists()
    assert not list((unit.store / "state").glob("e.pending")) and not list((unit.store / "state").glob("e.key"))


# ---- renewal ----

def test_E094_E097_renewal_takes_its_settings_from_the_store(unit):
    first = facts(unit.ok("e", "--key-pass-file", unit.secret("kp", "opensesame"), "--source-ip", "127.0.0.1", "--subject", "CN=x"))
    assert unit("config", "set", "e", "label", "iot").code == 0
    r = unit.renew("e", "--no-input", input="")
    assert r.code == 0 and "settings taken from the store" in r.err, r
    assert f"POST {unit.url}/.well-known/est/iot/simplereenroll" in r.err, r
    # E099, E100: who asks is another; what was set meanwhile; all else as it was
    assert facts(r) == {**first, "CA identifier": "iot", "user": "none", "password": "none", "client certificate": "e"}


def extensions(text):
    """openssl's words: title with 'critical' -> content."""
    found, title = {}, None
    for x in text.splitlines():
        if re.match(r"\s*(X509v3 (?!extensions)|[0-9]+\.[0-9.]+:)", x):
            title = x.strip()
            assert title not in found, text
            found[title] = ""
        elif title and re.match(r"\s*Signature ", x):
            break
        elif title:
            found[title] += x.strip()
    return found


@pytest.mark.parametrize("more", ["", "extendedKeyUsage=clientAuth,serverAuth\nsubjectAltName=DNS:a.example,IP:192.0.2.7\n"
                                      "1.3.6.1.4.1.99999.1=DER:0C:03:61:62:63\n"])
def test_E098_E108_the_request_is_made_of_the_current_certificate(other, double, more):
    double.extensions = double.extensions.replace("keyUsage=", "keyUsage=critical,") + more
    other.ok("e", "--subject", "CN=firewall-portal1", "--eku", "emailProtection", "--san", "DNS:dropped.example")
    assert other("config", "set", "e", "subject", "CN=other").code == 0
    have, key = extensions(other.cert("e", "-text")), other.cert("e", "-pubkey")
    r = other.renew("e")
    assert r.code == 0, r
    csr = double.asked[-1].csr("-subject", "-nameopt", "RFC2253")
    assert csr.strip() == "subject=CN=firewall-portal1"
    text = double.asked[-1].csr("-text")
    assert have.pop("1.3.6.1.4.1.99999.1:", None) == ("..abc" if more else None)  # of the CA's own, not ours to ask for
    assert extensions(text) == have and len(have) == (6 if more else 4), (text, have)
    assert "challengePassword" not in text
    assert double.asked[-1].csr("-pubkey").strip() == key.strip()
    assert "Version: 1 (0x0)" in text  # E109: our own carry 0


def test_E099_the_password_is_not_used_to_renew(other, double):
    other.ok("e")
    double.user = ("estuser", "changed")
    r = other.renew("e")
    assert r.code == 0, r
    renewal = [a for a in double.asked if a.connection == double.connections]
    assert all("Authorization" not in a.headers for a in renewal)
    e = other.show("e")
    assert e["user"] == "estuser" and e["password"] == "*"


def test_E100_the_current_certificate_authenticates(other, double):
    other.ok("e")
    r = other.renew("e")
    in_order(trace(r), "est auth: client certificate e, tried", "est auth: client certificate e, used")
    assert double.asked[-1].client == "e" and double.asked[-1].op == "simplereenroll"


def test_E101_a_certificate_without_clientAuth_is_told_before_tried_and_explained(other, double):
    other.ok("e")
    r = other.renew("e")
    assert r.code == 0, r
    in_order(trace(r), "est auth: warning: e may lack the key usage for TLS client authentication", "est tls:")
    double.answers["simplereenroll"] = (401, {"Content-Type": "text/plain"}, b"no\n")
    r = other.renew("e")
    assert r.code == 2 and "M406" in r.err and "renew-auth" in r.err, r
    double.extensions += "extendedKeyUsage=clientAuth\n"
    del double.answers["simplereenroll"]
    assert other.renew("e").code == 0
    assert not any("may lack" in x for x in trace(other.renew("e")))


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_E101_refused_in_the_handshake_is_M406_too(muster, start_double, tmp_path, version):
    """A server whose TLS looks at the purpose ends the connection with an alert."""
    d = start_double(version=version)
    d.extensions += "extendedKeyUsage=serverAuth\n"
    u = Unit(muster, tmp_path, d.url, d.root)
    u.ok("e", auth=[])
    serial, asked = u.show("e")["serial"], len(d.asked)
    r = u.renew("e")
    assert r.code == 2 and "M406" in r.err and "renew-auth" in r.err and "unsupported certificate" in r.err, r
    in_order(trace(r), "est auth: warning: e may lack the key usage for TLS client authentication")
    assert u.show("e")["serial"] == serial and len(d.asked) == asked


def test_renew_auth_password_shows_the_password_and_no_certificate(other, double):
    other.ok("e", "--renew-auth", "password")
    double.answers["simplereenroll"] = double.pkcs7(double.root)  # whatever: what it was asked with counts
    other.renew("e")
    assert double.asked[-1].client is None and "Authorization" in double.asked[-1].headers


def test_E103_csrattrs_are_asked_again_before(other, double):
    other.ok("e")
    n = len(double.asked)
    other.renew("e")
    assert double.ops()[n:] == ["cacerts", "csrattrs", "simplereenroll"]


def test_E106_the_request_is_in_the_trace(other, double):
    other.ok("e")
    r = other.renew("e")
    t = trace(r)
    in_order(t, "est request: CSR made from the current certificate, same key", "est request: CSR MII", "est http: POST")
    block = next(x for x in t if x.startswith("est request: CSR MII")).rsplit(" ", 1)[1]
    assert base64.b64decode(block) == base64.b64decode(double.asked[-1].body)


def test_E109_a_request_with_another_version_is_taken(demo, tmp_path):
    t2 = """MIIBQDCB5gIBAjAbMRkwFwYDVQQDDBBmaXJld2FsbC1wb3J0YWwxMFkwEwYHKoZI
zj0CAQYIKoZIzj0DAQcDQgAEQoJQmPedxPNUcfCyRvpqyt1oiiJX/me+TdButUSu
8hg+9nPF6+xNf+5LmtG/YKHeXyCKG6xB9OmJf255Zmx+5qBpMGcGCSqGSIb3DQEJ
DjFaMFgwCQYDVR0TBAIwADALBgNVHQ8EBAMCB4AwHQYDVR0OBBYEFJv4OdUh5v9J
/6wCV1v8TBqLHl2PMB8GA1UdIwQYMBaAFBrfOYTCVuZszyq0JqX9DNJD9T0+MAoG
CCqGSM49BAMCA0kAMEYCIQCK3Li51F7fXsyKZwtIcYMFvDobY3cKKTTDixtN7QZ2
jwIhAKUkqfWPAzwcxQaNQw6pyYvo18ymB9aEheeIXZfGI+tV
"""
    p = subprocess.run([need("curl"), "-sS", "--fail-with-body", "--cacert", demo.root, "--user", "estuser:estpwd",
                        "-H", "Content-Type: application/pkcs10", "--data-binary", t2,
                        f"{demo.est}/.well-known/est/simpleenroll"], capture_output=True)
    assert p.returncode == 0, p.stdout
    pem = openssl("pkcs7", "-inform", "DER", "-print_certs", input=base64.b64decode(p.stdout))
    text = openssl("x509", "-noout", "-text", input=pem).decode()
    assert "9B:F8:39:D5:21:E6:FF:49:FF:AC:02:57:5B:FC:4C:1A:8B:1E:5D:8F" in text
    key = lambda *a, input: openssl(*a, "-noout", "-pubkey", input=input)
    assert key("x509", input=pem) == key("req", "-inform", "DER", input=base64.b64decode(t2))
    said = lambda where, what, **kw: openssl("x509", *where, "-noout", "-ext", what, **kw).decode().split()[-1]
    assert said([], "authorityKeyIdentifier", input=pem) == said(["-in", demo.root], "subjectKeyIdentifier")


def test_E110_E113_reenroll_path_answer_and_what_show_then_says(unit):
    unit.ok("e", "--subject", "CN=x")
    before = unit.show("e")
    time.sleep(1.1)  # dates have whole seconds
    r = unit.renew("e")
    t = trace(r)
    in_order(t, f"est http: POST {unit.url}/.well-known/est/simplereenroll", "est http: HTTP result code 200",
             *cert_facts(unit, "e"), "est saved: e, ", "est result: ok (0)")
    after = unit.show("e")
    assert f"est saved: e, {unit.store}/certs/e/{after['serial']}.crt, replaces {before['serial']}" in t and r.err.rstrip().splitlines()[-1] == "Done."
    assert headers_told(r)[-1].count("Content-Type: application/pkcs7-mime; smime-type=certs-only") == 1
    for key in ("serial", "sha256", "not_before", "not_after"):
        assert before[key] != after[key], key
    assert after["not_after"] > before["not_after"] and after["not_before"] > before["not_before"]
    differ = {"serial", "sha256", "not_before", "not_after", "renew_from", "days_left", "last", "learned"}
    assert {k: v for k, v in after.items() if k not in differ} == {k: v for k, v in before.items() if k not in differ}


def test_rekey_makes_a_new_key_and_asks_for_no_old_identifier(other, double):
    other.ok("e")
    before = other.cert("e", "-pubkey")
    assert other.renew("e", "--rekey").code == 0
    assert other.cert("e", "-pubkey") != before
    assert "Subject Key Identifier" not in double.asked[-1].csr("-text")


# ---- regenerate ----

def asked_again(out, name):
    """The three lines of I7, as they are."""
    return [f"Certificate '{name}' {REGENERATE[0]}", *REGENERATE[1:]] == [x.rstrip("\r") for x in out.split("\n")][:3]


def unchanged(now, before):
    return {**now, "days_left": 0} == {**before, "days_left": 0}


def test_E114_the_question_in_its_words(unit):
    unit.ok("est-test101")
    before = unit.show("est-test101")
    args = [unit.muster, "--store", unit.store, "regenerate", "est-test101"]
    for answer in ("n\n", "\x04"):  # no, the end of the input
        code, out = on_terminal(args, [("(y/n) ", answer)])
        assert code == 1 and asked_again(out.split("(y/n) ")[0] + "(y/n) ", "est-test101"), out
        assert unchanged(unit.show("est-test101"), before) and "Done." not in out, out
    code, out = on_terminal(args, [("(y/n) ", "y\n")])
    assert code == 0 and out.rstrip().endswith("Done."), out
    assert unit.show("est-test101")["serial"] != before["serial"]


@pytest.mark.parametrize("via", ["scep", "cmp"])
def test_E114_the_others_ask_alike(unit, demo, via):
    scep = ["--url", demo.url, "--challenge-file", demo.secret("challenge1", unit.dir / "word")]
    cmp = ["--url", demo.host + "/app/cert/cmp2", "--ref", "fgt100f", "--secret-file", demo.secret("fgt100f", unit.dir / "secret")]
    r = unit("enroll", "e", "--via", via, "--subject", "CN=e", *{"scep": scep, "cmp": cmp}[via])
    assert r.code == 0, r
    before = unit.show("e")
    code, out = on_terminal([unit.muster, "--store", unit.store, "regenerate", "e"], [("(y/n) ", "n\n")])
    assert code == 1 and asked_again(out.split("(y/n) ")[0] + "(y/n) ", "e") and unchanged(unit.show("e"), before), out
    r = unit("regenerate", "e", "--yes")
    assert r.code == 0 and unit.show("e")["serial"] != before["serial"], r


def test_E114_outside_a_terminal_it_needs_yes_and_says_so(unit):
    unit.ok("e")
    serial = unit.show("e")["serial"]
    for input in ("y\n", ""):
        r = unit("regenerate", "e", input=input)
        assert r.code == 64 and "--yes" in r.err and unit.show("e")["serial"] == serial, r


def test_E116_E117_other_values_are_ignored_and_the_trace_is_that_of_a_renewal(unit):
    unit.ok("e", "--subject", "CN=x")
    r = unit("--debug", "est", "regenerate", "e", "--yes", "--via", "est", "--url", "https://127.0.0.1:1", "--subject",
             "CN=other", "--key", "rsa:4096")
    assert r.code == 0, r
    in_order(trace(r), "est start: reenroll for 'e'", "est request: settings taken from the store",
             "est auth: client certificate e, tried", "est request: server ", "est request: CSR made from the current certificate, same key", f"est http: POST {unit.url}/.well-known/est/simplereenroll")
    assert unit.show("e")["subject"] == "/CN=x" and unit.show("e")["url"] == unit.url


def shown_extensions(text):
    """The lines of show below 'extensions'."""
    at = text.splitlines()
    i = next(i for i, x in enumerate(at) if x.startswith("extensions "))
    return [at[i].removeprefix("extensions").strip(), *(x.strip() for x in itertools.takewhile(lambda x: x.startswith("  "), at[i + 1:]))]


@pytest.mark.parametrize("days", ["0", "30"])
def test_E118_E119_the_key_and_its_identifier_stay(unit, days):
    unit.ok("e")
    assert unit("config", "set", "e", "renew-days", days).code == 0
    key, skid, before = unit.cert("e", "-pubkey"), unit.cert("e", "-ext", "subjectKeyIdentifier"), unit.show("e")
    assert before["renew_days"] == int(days)
    time.sleep(1.1)  # dates have whole seconds
    assert unit("regenerate", "e", "--yes").code == 0
    assert unit.cert("e", "-pubkey") == key and unit.cert("e", "-ext", "subjectKeyIdentifier") == skid
    after = unit.show("e")
    for word in ("serial", "sha256", "not_before", "not_after"):
        assert before[word] != after[word], word
    text, said = unit("show", "e").out, unit.cert("e", "-serial", "-fingerprint", "-sha256")
    assert re.search(rf"^serial +{re.search('serial=(.*)', said)[1]}$", text, re.M), text
    assert re.search(rf"^SHA-256 +{re.search('Fingerprint=(.*)', said)[1]}$", text, re.M), text
    assert re.search(r"^valid from +\S", text, re.M) and re.search(r"^valid until +\S", text, re.M), text
    four = [x.removeprefix("est cert: ") for x in cert_facts(unit, "e")[1:]]
    assert shown_extensions(text) == four == after["extensions"], text
    assert unit("regenerate", "e", "--yes", "--rekey").code == 0
    assert unit.cert("e", "-pubkey") != key


# ---- pending, refusals, keys made by the server ----

def test_202_is_waited_for_and_survives_a_restart(other, double):
    double.pending, double.retry_after = 2, "1"
    r = other.enroll("e", "--no-wait")
    assert r.code == 5, r
    key = (other.store / "state/e.key").read_text()
    assert other.show("e")["state"] == "PENDING"
    r = other("--debug", "est", "poll", "e", "--wait")
    assert r.code == 0, r
    assert (other.store / "certs/e/latest.key").read_text() == key
    posts = [a for a in double.asked if a.method == "POST"]
    assert len(posts) == 3 and len({p.csr("-pubkey") for p in posts}) == 1


def test_a_kill_while_pending_loses_nothing(other, double):
    double.pending, double.retry_after = 1, "3600"
    p = subprocess.Popen([other.muster, "--store", other.store, "enroll", "e", "--via", "est", "--url", other.url, *other.ca,
                          *other.auth()], stderr=subprocess.PIPE, text=True)
    for line in p.stderr:
        if "PENDING" in line:
            break
    p.send_signal(signal.SIGKILL)
    p.wait()
    key = (other.store / "state/e.key").read_text()
    r = other("poll", "e")
    assert r.code == 0, r
    assert (other.store / "certs/e/latest.key").read_text() == key


def test_interrupting_is_safe(other, double):
    double.pending, double.retry_after = 1, "3600"
    p = subprocess.Popen([other.muster, "--store", other.store, "enroll", "e", "--via", "est", "--url", other.url, *other.ca,
                          *other.auth()], stderr=subprocess.PIPE, text=True)
    for line in p.stderr:
        if "PENDING" in line:
            break
    p.send_signal(signal.SIGINT)
    assert p.wait(timeout=20) == 5 and "muster poll e" in p.stderr.read()
    assert other("poll", "e").code == 0


@pytest.mark.parametrize("answer,code,says", [
    ((400, {"Content-Type": "text/plain"}, b"SAN not allowed\n"), 2, ["M409", "SAN not allowed"]),
    ((503, {"Retry-After": "120"}, b""), 3, ["M405"]),
    ((200, {"Content-Type": "text/html"}, b"<html><title>Log in</title></html>"), 3, ["M105", "Log in"]),
    ((302, {"Location": "https://elsewhere.example/"}, b""), None, ["M107", "elsewhere.example"]),
    ((200, {"Content-Type": "application/pkcs7-mime"}, b"no base64 at all!"), None, []),
])
def test_answers_that_give_no_certificate(other, double, answer, code, says):
    double.answers["simpleenroll"] = answer
    r = other.enroll("x")
    assert r.code != 0 and (code is None or r.code == code), r
    for word in says:
        assert word in r.err, r
    assert not (other.store / "certs/x/latest.crt").exists()


def test_a_certificate_for_another_key_is_not_stored(other, double):
    other.ok("first")
    double.answers["simpleenroll"] = double.pkcs7(double.issued[0])
    r = other.enroll("x")
    assert r.code == 7 and "M214" in r.err and not (other.store / "certs/x/latest.crt").exists(), r


def test_serverkeygen_keeps_the_pair_that_the_server_made(other, unit, double):
    for u, name in ((other, "k1"), (unit, "k2")):
        r = u.ok(name, "--server-key", "--ca-cert", "G_CA_Cert_1" if u is other else "CA_Cert_2")
        assert "/serverkeygen" in r.err
        assert u.key(name, "-pubout").strip() == u.cert(name, "-pubkey").strip()
        assert not (u.store / f"state/{name}.key").exists()


AES = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"


def keygen(unit, name, *args, **kw):
    r = unit.ok(name, *args, **kw)
    assert "/serverkeygen" in r.err and "key *, made by" in r.err and "signature ok" in r.err, r
    assert unit.key(name, "-pubout").strip() == unit.cert(name, "-pubkey").strip()


def test_EST76_a_generated_key_comes_encrypted_to_a_shared_key(other, double):
    """Name and value are what both sides agreed upon; the value is in no argument, trace or setting."""
    double.shared = (b"fleet", AES)
    key = other.secret("aes", AES)
    keygen(other, "k1", "--server-key-to", "shared:fleet", "--shared-key-file", key)
    assert (other.store / "secrets/k1.shared-key").stat().st_mode & 0o777 == 0o600
    assert AES not in (other.store / "state/k1.conf").read_text()
    keygen(other, "k2", "--server-key-to", "shared:fleet", env={"MUSTER_SECRET_SHARED_KEY": AES})
    double.user = None
    r = other.renew("k1")  # nothing is asked for again
    assert r.code == 0 and "key *, made by" in r.err and AES not in r.err, r
    double.shared = (b"fleet", "ff" * 32)
    r = other.enroll("k3", "--server-key-to", "shared:fleet", "--shared-key-file", key)
    assert r.code != 0 and not (other.store / "certs/k3/latest.crt").exists(), r


def test_EST76_our_responder_and_client_share_a_key(unit, demo, muster_ca):
    """An entry of its own kind holds it; the name is what the request says (RFC 7030 4.4.1.1)."""
    file = unit.dir / "fleet.secret"
    ca = lambda *a: run(muster_ca, "--dir", demo.dir, *a)
    r = ca("entry", "new", "fleet", "--shared-key", "--out", file)
    assert r.code == 0 and "shared-key" in r.out, r
    assert len(file.read_text().strip()) == 64 and file.stat().st_mode & 0o777 == 0o600
    keygen(unit, "k", "--server-key-to", "shared:fleet", "--shared-key-file", file)
    r = unit.enroll("x", "--server-key-to", "shared:nobody", "--shared-key-file", file)
    assert r.code == 2 and "not known here" in r.err, r
    assert ca("entry", "new", "y", "--shared-key", "--once").code == 64
    assert ca("entry", "disable", "fleet").code == 0
    r = unit.enroll("x", "--server-key-to", "shared:fleet", "--shared-key-file", file)
    assert r.code == 2 and not (unit.store / "certs/x/latest.crt").exists(), r


def test_a_generated_key_waits_for_its_approval(muster, muster_ca, start_demo, tmp_path):
    """202 until an operator decides, over a kill of the responder; the key is in its database sealed, and then no more."""
    d = start_demo()
    ca = lambda *a: run(muster_ca, "--dir", d.dir, *a)
    word = tmp_path / "word"
    r = ca("profile", "new", "slowkeys", "protocols=est", "keygen=yes", "approval=manual", "max-requests=0")
    assert r.code == 0, r
    assert ca("entry", "new", "keyless", "--profile", "slowkeys", "--reusable", "--out", word).code == 0
    u = Unit(muster, tmp_path, d.est, d.root)
    auth = ["--user", "keyless", "--password-file", word]

    def waiting():
        return re.findall(r"^(\d+) ", ca("queue", "list").out, re.M)

    r = u.enroll("k", "--server-key", "--label", "slowkeys", "--no-wait", auth=auth)
    assert r.code == 5 and "key *" not in r.err, r
    assert u("poll", "k").code == 5 and waiting() == ["1"]
    d.kill()
    d = start_demo("--est-port", d.est.rsplit(":", 1)[1].split("/")[0])
    assert u("poll", "k").code == 5 and waiting() == ["1"]
    assert ca("queue", "approve", "1").code == 0
    for file in d.dir.glob("**/*.db*"):
        assert b"PRIVATE KEY" not in file.read_bytes(), file
    r = u("poll", "k")
    assert r.code == 0 and u.key("k", "-pubout").strip() == u.cert("k", "-pubkey").strip(), r
    assert "no request is pending" in u("poll", "k").err and waiting() == []
    r = u.enroll("no", "--server-key", "--label", "slowkeys", "--no-wait", auth=auth)
    assert r.code == 5 and waiting() == ["2"], r
    assert ca("queue", "reject", "2", "--reason", "not in the inventory").code == 0
    r = u("poll", "no")
    assert r.code == 2 and "not in the inventory" in r.err and not (u.store / "certs/no/latest.crt").exists(), r


def test_EST76_our_responder_encrypts_to_the_certificate_of_tls(unit):
    for name, key in (("ec", "ec:P-256"), ("rsa", "rsa:2048")):
        unit.ok(name, "--key", key)
        keygen(unit, f"{name}-made", "--server-key-to", "certificate", "--client-cert", name, "--subject", f"/CN={name}-made")


def test_EST76_a_generated_key_comes_encrypted_to_the_certificate_of_tls(other, double):
    double.user = None
    for name, key in (("ec", "ec:P-256"), ("rsa", "rsa:2048")):
        other.ok(name, "--key", key, auth=[])
        double.client_pem = other.store / f"certs/{name}/latest.crt"
        keygen(other, f"{name}-made", "--server-key-to", "certificate", "--client-cert", name, auth=[])
        double.client_pem = other.store / f"certs/{name}-made/latest.crt"  # a renewal shows its own
        r = other.renew(f"{name}-made")
        assert r.code == 0 and "key *, made by" in r.err, r
    r = other("enroll", "x", "--via", "cmp", "--url", "http://127.0.0.1:1", "--ref", "r", "--secret-file", other.secret("s", "word"),
              "--server-key-to", "certificate", "--subject", "/CN=x")
    assert r.code != 0 and "server-key-to is EST's" in r.err, r
    r = other.enroll("x", "--server-key-to", "certificate", auth=[])
    assert r.code == 1 and "--client-cert" in r.err, r


def test_a_generated_key_in_the_clear_is_not_taken_where_it_was_to_be_encrypted(other, double):
    double.deliver = lambda csr, pkcs8: (b"application/pkcs8", pkcs8)
    r = other.enroll("x", "--server-key-to", "shared:fleet", "--shared-key-file", other.secret("aes", AES))
    assert r.code != 0 and "in the clear" in r.err and not (other.store / "certs/x/latest.crt").exists(), r


@pytest.mark.parametrize("text", ["00" * 15, "zz" * 16, ""])
def test_a_shared_key_that_is_none_is_told_without_it(other, text):
    r = other.enroll("x", "--server-key-to", "shared:fleet", "--shared-key-file", other.secret("aes", text))
    assert r.code == 1 and "shared key" in r.err and (text == "" or text not in r.err), r


def test_the_configuration_says_how_a_generated_key_comes(other, double):
    double.shared = (b"fleet", AES)
    conf = other.dir / "muster.conf"
    conf.write_text(f"""[certificate "k"]
protocol = est
url = {double.url}
trust = CA_Cert_1
user = estuser
password = file:{other.password}
subject = /CN=k
server-key = yes
server-key-to = shared:fleet
shared-key = file:{other.secret("aes", AES)}
""")
    assert other("--config", conf, "config", "check").code == 0
    r = other("--config", conf, "--debug", "est", "enroll", "k")
    assert r.code == 0 and "key *, made by" in r.err, r
    r = other("--config", conf, "config", "show", "k")
    assert "shared:fleet" in r.out and AES not in r.out, r


def test_who_makes_the_key_is_part_of_what_is_asked_for(other, double):
    """Other settings than those of the present certificate are told, and --replace is the way."""
    other.ok("k")
    r = other.enroll("k", "--server-key")
    assert r.code == 1 and "other settings" in r.err and "--replace" in r.err, r
    other.ok("k", "--server-key", "--replace")
    assert double.ops()[-1] == "serverkeygen"


def test_one_connection_for_an_enrollment_and_one_for_a_renewal(other, double):
    other.ok("e")
    assert double.connections == 1 and {a.connection for a in double.asked} == {1}
    assert "HTTP result code 401" not in other.renew("e").err
    assert double.connections == 2


def test_EST35_the_successor_is_learned_before_it_issues(muster, muster_ca, start_demo, tmp_path):
    """cacerts has the next root with its link from the present one: known from then on, and nothing is renewed for it."""
    d = start_demo()
    u = Unit(muster, tmp_path, d.est, d.root)
    u.ok("roll", "--subject", SUBJECT)
    before = u.cert("roll", "-serial")
    r = u("renew", "roll", "--next-ca")
    assert r.code == 0 and "no successor is announced" in r.err, r
    ca = json.loads(run(muster_ca, "--dir", d.dir, "ca", "list", "--json").out)["cas"][0]["name"]
    assert run(muster_ca, "--dir", d.dir, "ca", "next", ca).code == 0
    r = u("renew", "roll", "--next-ca")
    assert r.code == 0 and "-next: the present CA vouches for it" in r.err and "it is not due" in r.out + r.err, r
    assert u.cert("roll", "-serial") == before
    assert len(json.loads(u("ca", "list", "--json").out)["cas"]) == 2


def test_probe_tells_EST_with_its_attributes(unit, demo):
    r = unit("probe", unit.url)
    assert r.code == 0 and "protocol     EST" in r.out and T1 in r.out and "sceptest" in r.out, r
    p = json.loads(unit("probe", unit.url.replace("https://", ""), "--json").out)["probe"]
    assert p["protocol"] == "est" and p["csrattrs"] == T1 and p["clock_difference_s"] is not None
    assert json.loads(unit("ca", "list", "--json").out)["cas"][0]["source"] == "user"
    assert json.loads(unit("probe", demo.url, "--json").out)["probe"]["protocol"] == "scep"


def test_ca_fetch_writes_and_trusts_nothing(muster, double, tmp_path):
    u = Unit(muster, tmp_path, double.url, None)
    r = u("ca", "fetch", double.url, "--via", "est", "-o", tmp_path / "cas")
    assert r.code == 0 and "estDouble" in r.out, r
    assert sha256_of(tmp_path / "cas/ca.crt-0") == sha256_of(double.root)
    assert json.loads(u("ca", "list", "--json").out)["cas"] == []


def test_json_has_the_same_facts(unit):
    r = unit("--json", "enroll", "e", "--via", "est", "--url", unit.url, *unit.ca, *unit.auth(), "--subject", SUBJECT, "--san", SAN)
    doc = json.loads(r.out)
    e = doc["certificates"][0]
    assert r.code == 0 and doc["result"] == "issued" and e["protocol"] == "est" and e["password"] == "*"
    assert e["changed"] == ["DC=local removed", "DC=COM removed", "SAN removed"] and "estpwd" not in r.out
