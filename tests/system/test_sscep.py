"""The sscep face, row by row: R058 to R093. Requests are made with openssl req, as the original's users do."""
import os
import re
import signal
import socket
import subprocess
import time

import pytest
from conftest import ROOT, need, run
from relay import Forger, Relay, attribute_of, oid, take
from test_muster_cli import approve

OPENSSL = need("openssl")


def openssl(*args, input=None):
    return subprocess.run([OPENSSL, *map(str, args)], input=input, capture_output=True, check=True).stdout


def same_certificate(a, b):
    return openssl("x509", "-in", a, "-outform", "DER") == openssl("x509", "-in", b, "-outform", "DER")


def serial(path):
    return openssl("x509", "-in", path, "-noout", "-serial").decode().strip().split("=")[1]


class Sscep:
    """sscep in a directory of its own, with the demo's CA certificate fetched."""

    def __init__(self, program, demo, dir):
        self.program, self.demo, self.dir = program, demo, dir
        self.challenges = {n: demo.secret(n, dir / n).read_text().strip() for n in ("challenge1", "challenge2")}

    def __call__(self, *args, **kw):
        return run(self.program, *args, cwd=self.dir, **kw)

    def ca(self):
        if not (self.dir / "ca.crt").exists():
            r = self("getca", "-u", self.demo.url, "-c", "ca.crt")
            assert r.code == 0, r

    def request(self, name, challenge="challenge1", subject=None):
        """name.key and name.csr, with the challenge of this name (None: without)."""
        conf = self.dir / f"{name}.conf"
        attributes = f"attributes=a\n[a]\nchallengePassword={self.challenges.get(challenge, challenge)}\n" if challenge else ""
        conf.write_text(f"[req]\nprompt=no\ndistinguished_name=dn\n{attributes}[dn]\nCN={subject or name}\n")
        openssl("req", "-new", "-newkey", "rsa:2048", "-nodes", "-keyout", self.dir / f"{name}.key", "-out", self.dir / f"{name}.csr", "-config", conf)
        return name

    def enroll(self, name, *more, url=None, **kw):
        return self("enroll", "-u", url or self.demo.url, "-c", "ca.crt", "-k", f"{name}.key", "-r", f"{name}.csr", "-l", f"{name}.crt", *more, **kw)

    def enrolled(self, name):
        self.ca()
        self.request(name)
        r = self.enroll(name)
        assert r.code == 0, r
        return name


@pytest.fixture
def s(sscep, demo, tmp_path):
    return Sscep(sscep, demo, tmp_path)


@pytest.fixture
def relay(demo):
    made = []

    def make(change=None, url=None):
        made.append(Relay(url or demo.url, change))
        return made[-1]

    yield make
    for r in made:
        r.stop()


def test_R058_without_arguments_lists_everything(s, muster, tmp_path):
    r = s()
    assert r.code == 0
    for word in ("getca", "enroll", "getcert", "getcrl", "getcaps"):
        assert word in r.out
    for letter in "upgfcESvdiFkrKOleLtTnRsw":
        assert re.search(rf"^  -{letter} ", r.out, re.M), letter
    link = tmp_path / "opt/scepClient/bin/sscep"
    link.parent.mkdir(parents=True)
    link.symlink_to(muster)
    assert run(link).out == r.out
    assert run(muster, "sscep").out == r.out
    r = s("getkeys")
    assert r.code == 1 and "unknown operation 'getkeys'" in r.err and "Usage" in r.err


def test_R060_manual_has_options_exit_codes_and_configuration_keys(s):
    page = (ROOT / "docs/man/sscep.1").read_text().replace("\\-", "-")
    for letter in "upgfcESvdiFkrKOleLtTnRsw":
        assert re.search(rf"^\.B[I]? -{letter}\b", page, re.M), letter
    for code in (0, 1, 2, 3, 70, 71, 72, 73, 74, 89, 91, 93, 95, 97, 99):
        assert re.search(rf"^\.TP\n{code}\n", page, re.M), code
    source = (ROOT / "src/cmd/muster/sscep_options.c").read_text()
    keys = re.findall(r"\{(?:'.'|0), \"(\w+)\"", source)
    assert len(keys) >= 22
    for key in keys:
        assert key in page, key


def test_R061_R070_getca_writes_one_certificate(s):
    r = s("getca", "-u", s.demo.url, "-c", "ca.crt")
    assert r.code == 0 and "written as ca.crt" in r.out, r
    assert same_certificate(s.dir / "ca.crt", s.demo.root)


def test_R070_a_chain_is_numbered_and_enroll_finds_it(s, muster_ca, tmp_path):
    from conftest import Server
    d = tmp_path / "deep"
    assert run(muster_ca, "--dir", d, "init", "--cn", "Deep", "--listen", "127.0.0.1:0").code == 0
    server = Server([muster_ca, "--dir", d, "serve"], tmp_path / "deep.log", r"SCEP +(http://\S+)")
    try:
        url = server.match.group(1).decode()
        assert run(muster_ca, "--dir", d, "entry", "new", "e1", "--out", tmp_path / "ch").code == 0
        r = s("getca", "-u", url, "-c", "deep.crt")
        assert r.code == 0 and "written as deep.crt-0" in r.out and "written as deep.crt-1" in r.out, r
        assert not (s.dir / "deep.crt").exists()
        s.request("chained", challenge=(tmp_path / "ch").read_text().strip())
        r = s("enroll", "-u", url, "-c", "deep.crt", "-k", "chained.key", "-r", "chained.csr", "-l", "chained.crt")
        assert r.code == 0, r
        assert b"CN" in openssl("x509", "-in", s.dir / "chained.crt", "-noout", "-subject")
    finally:
        server.stop()


def test_R070_missing_ca_file_is_named(s):
    for operation in ("getca", "enroll", "getcert", "getcrl"):
        r = s(operation, "-u", s.demo.url, "-k", "k", "-r", "r", "-l", "l", "-s", "1", "-w", "w")
        assert r.code == 1 and "(-c)" in r.err, r


def test_R062_enroll_writes_and_names_the_file(s):
    s.ca()
    s.request("local")
    r = s.enroll("local")
    assert r.code == 0 and "local.crt" in r.out, r
    openssl("verify", "-CAfile", s.demo.root, s.dir / "local.crt")
    assert openssl("x509", "-in", s.dir / "local.crt", "-noout", "-pubkey") == openssl("pkey", "-in", s.dir / "local.key", "-pubout")
    r = s("enroll", "-u", s.demo.url, "-c", "ca.crt", "-k", "local.key", "-r", "local.csr")
    assert r.code == 1 and "(-l)" in r.err, r


def test_R063_R089_getcert_by_decimal_and_colon_serial(s):
    s.enrolled("local")
    number = serial(s.dir / "local.crt")
    colons = ":".join(re.findall("..", number.zfill(len(number) + len(number) % 2)))
    for form in (str(int(number, 16)), colons):
        r = s("getcert", "-u", s.demo.url, "-c", "ca.crt", "-k", "local.key", "-l", "local.crt", "-s", form, "-w", "got.crt")
        assert r.code == 0 and "got.crt" in r.out, r
        assert same_certificate(s.dir / "got.crt", s.dir / "local.crt")
        (s.dir / "got.crt").unlink()
    base = ["getcert", "-u", s.demo.url, "-c", "ca.crt", "-k", "local.key", "-l", "local.crt"]
    r = s(*base, "-w", "got.crt")
    assert r.code == 1 and "(-s)" in r.err, r
    r = s(*base, "-s", "1")
    assert r.code == 1 and "(-w)" in r.err, r
    r = s(*base, "-s", "xyz", "-w", "got.crt")
    assert r.code == 1, r
    r = s(*base, "-s", "12345", "-w", "got.crt")
    assert r.code == 74 and not (s.dir / "got.crt").exists(), r


def test_R064_getcrl(s):
    s.enrolled("local")
    base = ["getcrl", "-u", s.demo.url, "-c", "ca.crt", "-k", "local.key", "-l", "local.crt"]
    r = s(*base, "-w", "got.crl")
    assert r.code == 0 and "got.crl" in r.out, r
    openssl("crl", "-in", s.dir / "got.crl", "-CAfile", s.demo.root, "-noout", "-verify")
    r = s(*base)
    assert r.code == 1 and "(-w)" in r.err, r


def test_R088_signature_key_and_certificate_are_named(s):
    s.ca()
    for operation, more in (("getcert", ["-s", "1"]), ("getcrl", [])):
        r = s(operation, "-u", s.demo.url, "-c", "ca.crt", "-w", "w", "-l", "l", *more)
        assert r.code == 1 and "(-k)" in r.err, r
        r = s(operation, "-u", s.demo.url, "-c", "ca.crt", "-w", "w", "-k", "k", *more)
        assert r.code == 1 and "(-l)" in r.err, r


def test_R065_getcaps_prints_the_list(s):
    r = s("getcaps", "-u", s.demo.url)
    assert r.code == 0, r
    assert {"AES", "POSTPKIOperation", "Renewal", "SHA-256"} <= set(r.out.split())


def test_R066_missing_url(s):
    for operation in ("getca", "enroll", "getcert", "getcrl", "getcaps"):
        r = s(operation, "-c", "ca.crt")
        assert r.code == 1 and "missing URL (-u)" in r.err, r


def test_R067_proxy_gets_absolute_request_lines(s, relay):
    p = relay(url="http://127.0.0.1:9/")
    r = s("getca", "-u", s.demo.url, "-c", "ca.crt", "-p", f"127.0.0.1:{p.port}")
    assert r.code == 0, r
    assert p.seen and all(t.startswith(s.demo.url + "?operation=") for _, t, _, _ in p.seen)


def token(dir):
    """A SoftHSM token with an RSA key named 'k'. Returns its URI and what programs need in their environment."""
    (dir / "tokens").mkdir()
    (dir / "softhsm2.conf").write_text(f"directories.tokendir = {dir}/tokens\nobjectstore.backend = file\nlog.level = ERROR\n")
    env = {"SOFTHSM2_CONF": str(dir / "softhsm2.conf")}
    module = "/usr/lib/softhsm/libsofthsm2.so"
    for command in ([need("softhsm2-util"), "--init-token", "--free", "--label", "t", "--so-pin", "1234", "--pin", "40718253"],
                    [need("pkcs11-tool"), "--module", module, "--login", "--pin", "40718253", "--token-label", "t", "--keypairgen", "--key-type", "rsa:2048",
                     "--label", "k", "--id", "01"]):
        subprocess.run(command, env={**os.environ, **env}, check=True, capture_output=True)
    return f"pkcs11:token=t;object=k;type=private?pin-value=40718253&module-path={module}", env


def test_R068_engine_or_provider(s, muster):
    r = s("getcaps", "-u", s.demo.url, "-g", "no-such-engine")
    assert r.code == 1 and "M709" in r.err and "no-such-engine" in r.err and "pkcs11" in r.err, r
    uri, env = token(s.dir)
    s.ca()
    r = run(muster, "--store", s.dir / "store", "--no-input", "csr", "token", "--key", uri, "--challenge-file", s.dir / "challenge1", "-o", s.dir / "t.csr", env=env)
    assert r.code == 0, r
    for engine in (["-g", "pkcs11"], []):
        r = s("enroll", "-u", s.demo.url, "-c", "ca.crt", "-k", uri, "-r", "t.csr", "-l", "t.crt", *engine, env=env)
        assert r.code == 0, r
        assert b"CN=token" in openssl("x509", "-in", s.dir / "t.crt", "-noout", "-subject", "-nameopt", "RFC2253")
        (s.dir / "t.crt").unlink()


def test_R069_configuration_file_and_options_win(s):
    s.ca()
    s.request("conf")
    (s.dir / "sscep.conf").write_text(f'# all of it\nURL "{s.demo.url}"\nCACertFile ca.crt\nPrivateKeyFile conf.key\nCertReqFile conf.csr\n'
                                      'LocalCertFile conf.crt\nSigAlgorithm sha512\nDebug yes\n')
    r = s("enroll", "-f", "sscep.conf")
    assert r.code == 0 and "conf.crt" in r.out, r
    assert "signed SHA-512" in r.err
    r = s("enroll", "-f", "sscep.conf", "-l", "other.crt", "-S", "sha256")
    assert r.code == 0 and "other.crt" in r.out and "signed SHA-256" in r.err, r
    (s.dir / "bad.conf").write_text(f"URL {s.demo.url}\nCACertFille x\n")
    r = s("getcaps", "-f", "bad.conf")
    assert r.code == 0 and "bad.conf:2: unknown key CACertFille" in r.err, r
    assert s("getcaps", "-f", "missing.conf").code == 93


@pytest.mark.parametrize("word,title", [("aes", "AES-128-CBC"), ("aes128", "AES-128-CBC"), ("aes192", "AES-192-CBC"), ("aes256", "AES-256-CBC")])
def test_R071_encryption(s, word, title):
    s.ca()
    s.request("e")
    r = s.enroll("e", "-E", word, "-d")
    assert r.code == 0 and f"encrypted {title}" in r.err, r


@pytest.mark.parametrize("option,word", [("-E", "des"), ("-E", "3des"), ("-E", "blowfish"), ("-S", "md5"), ("-S", "sha1")])
def test_R071_R072_legacy_words_need_the_switch(s, start_demo, sscep, tmp_path, option, word):
    s.ca()
    s.request("l")
    r = s.enroll("l", option, word)
    assert r.code == 1 and "M705" in r.err and "--allow-legacy" in r.err and not (s.dir / "l.crt").exists(), r
    d = tmp_path / "old"
    d.mkdir()
    old = Sscep(sscep, start_demo("--allow-legacy", name="olddemo"), d)
    old.ca()
    old.request("l")
    r = old.enroll("l", option, word, "--allow-legacy")
    assert r.code == 0 and re.search("warning", r.err), r


def test_R071_R072_unknown_words(s):
    s.ca()
    s.request("u")
    for option in ("-E", "-S"):
        r = s.enroll("u", option, "rot13")
        assert r.code == 1 and "rot13" in r.err, r


@pytest.mark.parametrize("word,title", [("sha224", "SHA-224"), ("sha256", "SHA-256"), ("sha384", "SHA-384"), ("sha512", "SHA-512")])
def test_R072_signature(s, word, title):
    s.ca()
    s.request("sig")
    r = s.enroll("sig", "-S", word, "-d")
    assert r.code == 0 and f"signed {title}" in r.err, r


def test_R073_verbose_shows_settings_and_debug_the_trace(s):
    r = s("getca", "-u", s.demo.url, "-c", "ca.crt", "-i", "demo", "-F", "sha256", "-v", "-d")
    assert r.code == 0, r
    assert f"URL: {s.demo.url}" in r.err and "CAIdentifier: demo" in r.err
    assert "scep http: HTTP result code 200" in r.err and "scep ca: Reply type 1" in r.err
    quiet = s("getca", "-u", s.demo.url, "-c", "ca.crt")
    assert quiet.err == "", quiet


def test_R075_ca_identifier_is_sent(s, relay):
    p = relay()
    r = s("getca", "-u", p.url, "-c", "ca.crt", "-i", "demo")
    assert r.code == 0 and any(t.endswith("operation=GetCACert&message=demo") for _, t, _, _ in p.seen), r


def test_R076_fingerprint(s):
    for word in (None, "sha256", "sha384", "sha512", "sha224"):
        r = s("getca", "-u", s.demo.url, "-c", "ca.crt", *(["-F", word] if word else []))
        want = openssl("x509", "-in", s.demo.root, "-noout", "-fingerprint", "-" + (word or "sha256")).decode().strip().split("=")[1]
        assert r.code == 0 and want in r.out, r
    for word in ("md5", "sha1"):
        r = s("getca", "-u", s.demo.url, "-c", "ca.crt", "-F", word)
        assert r.code == 1 and "M705" in r.err, r
        want = openssl("x509", "-in", s.demo.root, "-noout", "-fingerprint", "-" + word).decode().strip().split("=")[1]
        assert want in s("getca", "-u", s.demo.url, "-c", "ca.crt", "-F", word, "--allow-legacy").out


def test_R077_key_and_request(s):
    s.ca()
    s.request("a")
    s.request("b")
    base = ["enroll", "-u", s.demo.url, "-c", "ca.crt", "-l", "x.crt"]
    r = s(*base, "-r", "a.csr")
    assert r.code == 1 and "(-k)" in r.err, r
    r = s(*base, "-k", "a.key")
    assert r.code == 1 and "(-r)" in r.err, r
    r = s(*base, "-k", "a.key", "-r", "b.csr")
    assert r.code == 93 and "M708" in r.err, r
    r = s(*base, "-k", "none.key", "-r", "a.csr")
    assert r.code == 93 and "none.key" in r.err, r
    assert not (s.dir / "x.crt").exists()


def test_R079_renewal_signed_by_the_old_certificate(s, relay):
    s.enrolled("local")
    s.request("new", challenge=None, subject="local")
    p = relay()
    r = s.enroll("new", "-K", "local.key", "-O", "local.crt", "-d", url=p.url)
    assert r.code == 0, r
    message = p.messages()[0]
    assert attribute_of(message, 2) == b"19"
    signer = openssl("cms", "-verify", "-noverify", "-inform", "DER", "-binary", "-signer", s.dir / "signer.pem", input=message)
    assert signer and same_certificate(s.dir / "signer.pem", s.dir / "local.crt")
    for alone in (["-K", "local.key"], ["-O", "local.crt"]):
        r = s.enroll("new", *alone)
        assert r.code == 93, r


def test_R082_other_certificate_for_encryption(s, relay, tmp_path):
    s.ca()
    s.request("enc")
    openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", s.dir / "ra.key", "-out", s.dir / "ra.crt", "-subj", "/CN=another recipient", "-days", "10")
    p = relay()
    r = s.enroll("enc", "-e", "ra.crt", url=p.url)
    assert r.code != 0, r
    envelope = openssl("cms", "-verify", "-noverify", "-inform", "DER", "-binary", input=p.messages()[0])
    plain = openssl("cms", "-decrypt", "-inform", "DER", "-recip", s.dir / "ra.crt", "-inkey", s.dir / "ra.key", "-binary", input=envelope)
    assert plain == openssl("req", "-in", s.dir / "enc.csr", "-outform", "DER")
    r = s.enroll("enc", "-e", "ca.crt")
    assert r.code == 0, r


def test_S035_payload_is_the_request(s):
    s.ca()
    s.request("pay")
    der = openssl("req", "-in", s.dir / "pay.csr", "-outform", "DER")
    r = s.enroll("pay", "-d")
    assert f"scep request: payload {len(der)} bytes, PKCS #10" in r.err, r


def test_R083_self_signed_certificate_is_written(s, relay):
    s.ca()
    s.request("self")
    p = relay()
    r = s.enroll("self", "-L", "self.pem", url=p.url)
    assert r.code == 0 and "self.pem" in r.out, r
    openssl("cms", "-verify", "-noverify", "-inform", "DER", "-binary", "-signer", s.dir / "signer.pem", input=p.messages()[0])
    assert same_certificate(s.dir / "signer.pem", s.dir / "self.pem")
    assert openssl("x509", "-in", s.dir / "self.pem", "-noout", "-pubkey") == openssl("pkey", "-in", s.dir / "self.key", "-pubout")


def test_R084_R085_polling_interval_and_longest_time(s, relay):
    s.ca()
    s.request("wait", "challenge2")
    p = relay()
    start = time.monotonic()
    r = s.enroll("wait", "-t", "2", "-T", "6", "-d", url=p.url)
    took = time.monotonic() - start
    assert r.code == 3 and 3 < took < 15, r
    assert "PENDING" in r.out and "poll: again in 2 s" in r.err
    assert 2 <= p.operations().count("PKIOperation") - 1 <= 3
    assert not (s.dir / "wait.crt").exists()


def test_R086_most_polls(s, relay):
    s.ca()
    s.request("count", "challenge2")
    p = relay()
    r = s.enroll("count", "-t", "1", "-n", "1", url=p.url)
    assert r.code == 3, r
    assert [attribute_of(m, 2) for m in p.messages()] == [b"19", b"20"]


def test_R087_resume_after_a_kill(s, relay, muster_ca):
    s.ca()
    s.request("again", "challenge2")
    first = relay()
    p = subprocess.Popen([str(s.program), "enroll", "-u", first.url, "-c", "ca.crt", "-k", "again.key", "-r", "again.csr", "-l", "again.crt", "-L", "again.self",
                          "-t", "60"], cwd=s.dir, stdout=subprocess.PIPE, text=True)
    out = ""
    while "PENDING" not in out:
        line = p.stdout.readline()
        assert line, out
        out += line
    p.send_signal(signal.SIGKILL)
    p.wait()
    p.stdout.close()
    approve(muster_ca, s.demo)
    second = relay()
    r = s.enroll("again", "-L", "again.self", "-R", url=second.url)
    assert r.code == 0, r
    a, b = first.messages()[0], second.messages()[0]
    assert attribute_of(b, 2) == b"20"
    assert attribute_of(a, 7) == attribute_of(b, 7)
    openssl("verify", "-CAfile", s.demo.root, s.dir / "again.crt")


def test_R087_transaction_id_comes_from_the_key_alone(s, relay):
    s.ca()
    s.request("same")
    ids = []
    for _ in range(2):
        p = relay()
        assert s.enroll("same", url=p.url).code == 0
        ids.append(attribute_of(p.messages()[0], 7))
    assert ids[0] == ids[1]
    s.request("other")
    p = relay()
    assert s.enroll("other", url=p.url).code == 0
    assert attribute_of(p.messages()[0], 7) != ids[0]


# ---- R093: exit codes; the whole table is in tests/unit/cmd/test_sscep_options.c ----

@pytest.fixture
def forged(sscep, demo, tmp_path):
    made = []

    def make(**attributes):
        d = tmp_path / f"f{len(made)}"
        d.mkdir()
        f = Forger(d, **attributes)
        made.append(f)
        s = Sscep(sscep, demo, d)
        s.request("x")
        assert s("getca", "-u", f.url, "-c", "ca.crt").code == 0
        return s, f

    yield make
    for f in made:
        f.stop()


@pytest.mark.parametrize("attributes,code", [
    ({"fail_info": None}, 2), ({"fail_info": 0}, 70), ({"fail_info": 1}, 71), ({"fail_info": 2}, 72), ({"fail_info": 3}, 73), ({"fail_info": 4}, 74),
    ({"transaction": b"00"}, 97), ({"type": 19}, 97), ({"nonce": b"z" * 16}, 97), ({"status": None, "fail_info": None}, 99)])
def test_R093_exit_codes_of_answers(forged, attributes, code):
    s, f = forged(**attributes)
    r = s.enroll("x", url=f.url)
    assert r.code == code, r
    assert not (s.dir / "x.crt").exists()


def test_R093_97_for_what_is_no_message(forged):
    s, f = forged()
    f.damage = lambda message: b"<html>captive portal</html>"
    assert s.enroll("x", url=f.url).code == 97
    f.damage = lambda message: message[:-3] + bytes([message[-3] ^ 1]) + message[-2:]
    assert s.enroll("x", url=f.url).code == 97
    f.damage = lambda message: message[:len(message) // 2]
    assert s.enroll("x", url=f.url).code == 97


def test_R093_95_for_the_network_and_http(s, relay):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    r = s("getca", "-u", f"http://127.0.0.1:{port}/scep", "-c", "x.crt")
    assert r.code == 95, r
    p = relay(lambda op, reply: {"status": 404, "headers": [], "body": b""})
    r = s("getca", "-u", p.url, "-c", "x.crt")
    assert r.code == 95, r
    assert not (s.dir / "x.crt").exists()


def test_R093_93_for_files(s):
    s.enrolled("ok")
    assert s.enroll("ok", "-e", "missing.crt").code == 93
    assert s("getcrl", "-u", s.demo.url, "-c", "missing.crt", "-k", "ok.key", "-l", "ok.crt", "-w", "w").code == 93
    assert s("getcrl", "-u", s.demo.url, "-c", "ca.crt", "-k", "ok.key", "-l", "ok.crt", "-w", "no/such/dir/w").code == 93
    (s.dir / "empty.key").write_text("")
    assert s("getcrl", "-u", s.demo.url, "-c", "ca.crt", "-k", "empty.key", "-l", "ok.crt", "-w", "w").code == 93


def test_files_are_whole_or_absent(s, relay):
    """No zero-length or half-written file, whatever comes; an old one stays."""
    s.enrolled("keep")
    before = (s.dir / "keep.crt").read_bytes()
    p = relay(lambda op, reply: {"status": 500, "headers": [], "body": b""} if op == "PKIOperation" else reply)
    r = s.enroll("keep", url=p.url)
    assert r.code == 95, r
    assert (s.dir / "keep.crt").read_bytes() == before
    assert all(f.stat().st_size > 0 for f in s.dir.iterdir() if f.is_file())
