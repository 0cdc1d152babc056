"""CMP: `openssl cmp` 3.0 as client of our responder, over real sockets. Rows of ACCEPTANCE (C...) and
CONFORMANCE (CMP-...) stand in the names or first lines."""
import http.client
import json
import os
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from conftest import Demo, need, run

OPENSSL = need("openssl")
KEYS = {
    "rsa": ["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"],
    "ec": ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"],
    "ed25519": ["-algorithm", "ED25519"],
}


class Peer:
    """openssl cmp with its files in one directory."""

    def __init__(self, demo, dir):
        self.demo, self.dir = demo, dir
        for kind, args in KEYS.items():
            subprocess.run([OPENSSL, "genpkey", *args, "-out", dir / f"{kind}.key"], check=True, capture_output=True)

    def __call__(self, command, *args, path="/app/cert/cmp2", auth="mac", ref="fgt100f", secret="fortinet1", cert="cert"):
        how = (["-ref", ref, "-secret", f"pass:{secret}"] if auth == "mac" else
               ["-cert", f"{cert}.crt", "-key", f"{auth}.key"])
        if auth != "mac" or "-unprotected_errors" in args or "-verify" in args:
            how += ["-trusted", self.demo.root]
        r = run(OPENSSL, "cmp", "-config", "/dev/null", "-cmd", command, "-server", f"127.0.0.1:{self.demo.port}", "-path", path,
                *how, *[a for a in args if a != "-verify"], cwd=self.dir)
        r.err = r.out + r.err  # it tells its errors on stdout
        return r

    def ir(self, kind="rsa", *args, command="ir", out="cert", subject="/CN=fgt100f.local", **how):
        return self(command, "-newkey", f"{kind}.key", "-subject", subject, "-certout", f"{out}.crt", *args, **how)

    def x509(self, out, *what):
        return subprocess.run([OPENSSL, "x509", "-in", self.dir / f"{out}.crt", "-noout", *what], check=True, capture_output=True,
                              text=True).stdout

    def serial(self, out="cert"):
        return self.x509(out, "-serial").strip().split("=")[1]

    def is_issued(self, r, out="cert"):
        assert r.code == 0, r
        v = run(OPENSSL, "verify", "-CAfile", self.demo.root, self.dir / f"{out}.crt")
        assert v.code == 0, v


@pytest.fixture
def peer(demo, tmp_path):
    return Peer(demo, tmp_path)


def log_of(muster_ca, demo, *args):
    r = run(muster_ca, "--dir", demo.dir, "log", "--json", *args)
    assert r.code == 0, r
    return [e for e in json.loads(r.out)["log"]]


def colons(serial):
    return ":".join(serial[i:i + 2] for i in range(0, len(serial), 2))


@pytest.mark.parametrize("kind", KEYS)
def test_C003_C052_C056_ir_by_reference_and_secret(peer, kind):
    r = peer.ir(kind, "-cacertsout", "ca.crt")
    peer.is_issued(r)
    assert "received PKICONF" in r.out + r.err
    text = peer.demo.stderr()
    assert re.search(r'msg="Certificate signing request \\"CN=fgt100f.local\\" signed with CA certificate \\"'
                     r'C=NL,ST=NH,L=Amsterdam,O=Fortinet,OU=AS,CN=sceptest\\""', text), text
    assert f'was confirmed ({colons(peer.serial())})' in text


@pytest.mark.parametrize("kind", ["rsa", "ec"])
def test_cr_by_reference_and_secret(peer, kind):
    peer.is_issued(peer.ir(kind, command="cr"))


@pytest.mark.parametrize("kind", KEYS)
def test_CMP56_p10cr(peer, kind):
    subprocess.run([OPENSSL, "req", "-new", "-key", f"{kind}.key", "-subj", "/CN=p10", "-out", "p10.csr"], cwd=peer.dir, check=True)
    peer.is_issued(peer("p10cr", "-csr", "p10.csr", "-certout", "cert.crt"))
    assert "CN = p10" in peer.x509("cert", "-subject")


@pytest.mark.parametrize("kind", ["rsa", "ec"])
def test_C053_C057_kur_is_logged_and_linked(peer, muster_ca, kind):
    peer.is_issued(peer.ir(kind))
    new = "ec" if kind == "rsa" else "rsa"
    r = peer("kur", "-oldcert", "cert.crt", "-newkey", f"{new}.key", "-certout", "new.crt", auth=kind)
    peer.is_issued(r, "new")
    assert f'Certificate \\"CN=fgt100f.local\\" was renewed ({colons(peer.serial("new"))})' in peer.demo.stderr()
    old, now = (json.loads(run(muster_ca, "--dir", peer.demo.dir, "issued", "show", peer.serial(n), "--json").out) for n in ("cert", "new"))
    assert peer.serial("new") in json.dumps(old).replace(":", "") and peer.serial("cert") in json.dumps(now).replace(":", "")


def test_CMP57_cr_by_a_certificate_keeps_its_subject(peer):
    peer.is_issued(peer.ir())
    peer.is_issued(peer.ir("ec", command="cr", out="second", auth="rsa"), "second")
    r = peer.ir("ec", command="cr", out="third", subject="/CN=other", auth="rsa")
    assert r.code != 0 and "notAuthorized" in r.err, r


def test_CMP87_rr_revokes_once_and_is_in_the_list(peer):
    peer.is_issued(peer.ir())
    args = ["-oldcert", "cert.crt", "-revreason", "1"]
    assert peer("rr", *args, auth="rsa").code == 0
    crl = run("curl", "-s", "-o", peer.dir / "crl.der", f"{peer.demo.host}/crl/demo.crl")
    assert crl.code == 0
    assert revoked(peer.dir / "crl.der", peer.serial(), "Key Compromise", peer.demo.root)
    r = peer("rr", *args, auth="rsa")
    assert r.code != 0 and "certRevoked" in r.err, r
    r = peer("kur", "-oldcert", "cert.crt", "-newkey", "ec.key", "-certout", "new.crt", auth="rsa")
    assert r.code != 0 and "certRevoked" in r.err, r


def test_CMP92_genm(peer):
    for info in ("caCerts", "currentCRL"):
        r = peer("genm", "-infotype", info)
        assert r.code == 0 and "received GENP" in r.out + r.err, r
    peer.is_issued(peer.ir())
    r = peer("genm", "-infotype", "caCerts", auth="rsa")
    assert r.code == 0, r


def test_CMP99_a_question_nobody_answers_is_refused(peer):
    """Each id-it that asks for something and that nobody answers here, by an error under the MAC of the question."""
    for info in ("caProtEncCert", "encKeyPairTypes", "preferredSymmAlg", "unsupportedOIDs", "keyPairParamReq", "revPassphrase", "confirmWaitTime"):
        r = peer("genm", "-infotype", info, "-rspout", "rsp.der")
        assert r.code != 0 and "PKIFailureInfo: badRequest" in r.err and "this kind of general message is not served" in r.err, r
        assert "received GENP" not in r.err
    for info in ("signKeyPairTypes", "suppLangTags", "currentCRL", "caCerts"):
        r = peer("genm", "-infotype", info)
        assert r.code == 0 and "received GENP" in r.err, r


def test_CMP73_implicit_confirmation(peer):
    r = peer.ir("rsa", "-implicit_confirm")
    peer.is_issued(r)
    assert "CERTCONF" not in r.out + r.err, r


def revoked(crl, serial, reason, root):
    """The entry of this serial in a list that the CA signed has this reason."""
    r = run(OPENSSL, "crl", "-inform", "DER", "-in", crl, "-noout", "-text", "-CAfile", root)
    assert r.code == 0 and "verify OK" in r.err + r.out, r
    entry = re.search(rf"Serial Number: {serial}\n((?: {{8,}}.*\n)*)", r.out)
    return bool(entry) and f"CRL Reason Code: \n                {reason}" in entry.group(1)


def test_CMP79_a_certificate_nobody_confirms_is_revoked(start_demo, tmp_path, muster_ca):
    """Not before its time; after it revoked, told, and in the list; one that was confirmed stays. The responder is another one
    each time."""
    d = start_demo("--sqlite", name="one")
    p = Peer(d, tmp_path)
    r = p.ir("rsa", "-disable_confirm", subject="/CN=waits")
    assert r.code == 0, r
    p.is_issued(p.ir("ec", out="good", subject="/CN=good"), "good")
    show = lambda d, name: json.loads(run(muster_ca, "--dir", d.dir, "issued", "show", p.serial(name), "--json").out)["certificate"]
    assert (show(d, "cert")["confirmation"], show(d, "good")["confirmation"]) == ("waiting", "confirmed")
    d.kill()
    told = f"was not confirmed in time and is revoked ({colons(p.serial())})"
    d = start_demo("--sqlite", name="one", env={"MUSTER_CLOCK_SHIFT": "200"})
    assert run("curl", "-s", "-o", tmp_path / "crl.der", f"{d.host}/crl/demo.crl").code == 0
    assert show(d, "cert")["revoked"] is None and told not in d.stderr()
    d.kill()
    d = start_demo("--sqlite", name="one", env={"MUSTER_CLOCK_SHIFT": "301"})
    end = time.monotonic() + 90
    while told not in d.stderr():
        assert time.monotonic() < end, d.stderr()
        time.sleep(0.1)
    row = show(d, "cert")
    assert row["confirmation"] == "rejected" and row["revoked"] is not None and show(d, "good")["revoked"] is None
    assert run("curl", "-s", "-o", tmp_path / "crl.der", f"{d.host}/crl/demo.crl").code == 0
    assert revoked(tmp_path / "crl.der", p.serial(), "Cessation Of Operation", d.root)
    assert not revoked(tmp_path / "crl.der", p.serial("good"), "Cessation Of Operation", d.root)


def test_C017_a_wrong_secret(peer):
    r = peer.ir("rsa", "-verify", secret="falsch-geheim")
    assert r.code != 0 and "badMessageCheck" in r.err, r
    assert not (peer.dir / "cert.crt").exists()
    assert "falsch" not in peer.demo.stderr()


def test_C005_an_unknown_reference(peer):
    """The client checks the signature of the answer with the CA's certificate."""
    r = peer.ir("rsa", "-verify", ref="fgt999")
    assert r.code != 0 and "Enrollment not found." in r.err and "notAuthorized" in r.err, r
    assert 'Enrollment not found. Reference \\"fgt999\\"; near: \\"fgt100f\\".' in peer.demo.stderr()


def test_C051_one_line_for_each_and_found_by_subject(peer, muster_ca):
    peer.is_issued(peer.ir(subject="/CN=row-c051"))
    assert peer.ir("ec", command="cr", out="x", subject="/CN=not-c051", auth="rsa").code != 0
    good = log_of(muster_ca, peer.demo, "--subject", "row-c051")
    assert [e for e in good if e["action"] == "issue"] and all("row-c051" in e["subject"] for e in good)
    bad = log_of(muster_ca, peer.demo, "--subject", "not-c051")
    assert [e["action"] for e in bad] == ["refuse"]


@pytest.mark.parametrize("path", ["/.well-known/cmp", "/.well-known/cmp/initialization", "/.well-known/cmp/p/demo", "/pkix/", "/app/cert/cmp2"])
def test_CMP120_paths(peer, path):
    peer.is_issued(peer.ir("ec", path=path))


def test_C001_disabled_and_enabled(start_demo, tmp_path, muster_ca):
    p = Peer(start_demo(), tmp_path)
    r = run(muster_ca, "--dir", p.demo.dir, "cmp", "disable")
    assert r.code == 0 and "CMP is disabled" in r.out, r
    assert p.ir().code != 0
    c = http.client.HTTPConnection("127.0.0.1", p.demo.port)
    c.request("POST", "/app/cert/cmp2", b"0", {"Content-Type": "application/pkixcmp"})
    assert c.getresponse().status == 503
    r = run(muster_ca, "--dir", p.demo.dir, "cmp", "enable")
    assert r.code == 0 and "CMP is enabled" in r.out, r
    p.is_issued(p.ir())


def test_C036_headers_and_how_connections_end(peer):
    """/app/cert/cmp2 closes, /.well-known/cmp goes on, HTTP/1.0 is served."""
    r = peer.ir("rsa", "-reqout", "ir.der")
    peer.is_issued(r)
    body = (peer.dir / "ir.der").read_bytes()
    c = http.client.HTTPConnection("127.0.0.1", peer.demo.port)
    c.request("POST", "/app/cert/cmp2", body, {"Content-Type": "application/pkixcmp"})
    a = c.getresponse()
    a.read()
    headers = {k.lower(): v for k, v in a.getheaders()}
    assert len(headers) == len(a.getheaders()), "a header comes twice"
    assert a.status == 200 and "date" in headers
    for name, value in {"x-xss-protection": "1; mode=block", "x-content-type-options": "nosniff",
                        "referrer-policy": "strict-origin-when-cross-origin", "permissions-policy": "fullscreen=(self)",
                        "connection": "close", "content-type": "application/pkixcmp"}.items():
        assert headers[name] == value
    c = http.client.HTTPConnection("127.0.0.1", peer.demo.port)
    c.connect()
    for _ in range(3):
        sock = c.sock
        c.request("POST", "/.well-known/cmp", body, {"Content-Type": "application/pkixcmp"})
        a = c.getresponse()
        assert a.status == 200 and a.read()[0] == 0x30
        assert c.sock is sock is not None
    r = run("curl", "-s", "-0", "-i", "--data-binary", f"@{peer.dir}/ir.der", "-H", "Content-Type: application/pkixcmp", "-o",
            peer.dir / "answer", "-w", "%{http_code}", f"{peer.demo.host}/app/cert/cmp2")
    assert r.out == "200", r


def test_a_person_approves_and_the_client_polls(start_demo, tmp_path, muster_ca):
    """CMP-100, CMP-102"""
    d = start_demo("--sqlite")
    p = Peer(d, tmp_path)
    (tmp_path / "ca.conf").write_text("default = yes\ncmp-check-after = 1s\n")
    for args in (["profile", "set", "cmp", "approval=manual"], ["ca", "set", "demo", tmp_path / "ca.conf"]):
        r = run(muster_ca, "--dir", d.dir, *args)
        assert r.code == 0, r
    client = subprocess.Popen([OPENSSL, "cmp", "-config", "/dev/null", "-cmd", "ir", "-server", f"127.0.0.1:{d.port}", "-path",
                               "/.well-known/cmp", "-ref", "fgt100f", "-secret", "pass:fortinet1", "-newkey", "rsa.key", "-subject",
                               "/CN=waits", "-certout", "cert.crt", "-total_timeout", "100"], cwd=tmp_path, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True)
    queue = []
    while not queue:
        assert client.poll() is None, client.stdout.read()
        queue = json.loads(run(muster_ca, "--dir", d.dir, "queue", "list", "--json").out)["queue"]
    r = run(muster_ca, "--dir", d.dir, "queue", "approve", queue[0]["id"])
    assert r.code == 0, r
    out, _ = client.communicate(timeout=120)
    assert client.returncode == 0, out
    assert run(OPENSSL, "verify", "-CAfile", d.root, tmp_path / "cert.crt").code == 0
    assert f"was confirmed ({colons(p.serial())})" in d.stderr()


def test_a_confirmation_after_a_kill_comes_twice(start_demo, tmp_path):
    """CMP-77: certConf to a responder started anew counts; once more it is certConfirmed."""
    d = start_demo("--sqlite", name="one")
    p = Peer(d, tmp_path)
    p.is_issued(p.ir("rsa", "-reqout", "ir.der conf.der"))
    d.kill()
    again = start_demo("--sqlite", name="one")
    c = http.client.HTTPConnection("127.0.0.1", again.port)
    c.request("POST", "/app/cert/cmp2", (tmp_path / "conf.der").read_bytes(), {"Content-Type": "application/pkixcmp"})
    assert c.getresponse().status == 200
    assert "action=refuse" in again.stderr() and "confirmed already" in again.stderr().lower(), again.stderr()
    c = http.client.HTTPConnection("127.0.0.1", again.port)
    c.request("POST", "/app/cert/cmp2", (tmp_path / "ir.der").read_bytes(), {"Content-Type": "application/pkixcmp"})
    answer = c.getresponse().read()
    der = subprocess.run([OPENSSL, "x509", "-in", "cert.crt", "-outform", "DER"], cwd=tmp_path, capture_output=True, check=True).stdout
    assert der in answer  # the same certificate, in a new answer


def test_C004_C006_entries_of_an_operator(start_demo, tmp_path, muster_ca):
    d = start_demo()
    p = Peer(d, tmp_path)
    ask = lambda *a: run(muster_ca, "--dir", d.dir, *a, cwd=tmp_path)
    r = ask("entry", "new", "fgt2*", "--profile", "cmp", "--protocol", "cmp", "--out", "w.secret")
    assert r.code != 0 and "wildcard entries are not supported for CMP" in r.err, r
    assert ask("profile", "set", "cmp", "wildcard=yes").code == 0
    assert ask("entry", "new", "fgt2*", "--profile", "cmp", "--protocol", "cmp", "--reusable", "--out", "w.secret").code == 0
    r = ask("entry", "device", "fgt2*", "fgt21")
    assert r.code == 0 and "fgt21.secret" in r.out, r
    own = (tmp_path / "fgt21.secret").read_text().strip()
    p.is_issued(p.ir("ec", ref="fgt21", secret=own))
    assert p.ir("ec", ref="fgt22", secret=own).code != 0
    assert p.ir("ec", ref="fgt21", secret=(tmp_path / "w.secret").read_text().strip()).code != 0
    r = ask("profile", "new", "sign", "protocols=cmp", "key-usage=digitalSignature", "eku=none")
    assert r.code == 0, r
    r = ask("entry", "new", "fgt7", "--profile", "sign", "--protocol", "cmp")
    assert r.code == 0 and "CMP reference fgt7" in r.out and "fgt7.secret" in r.out, r
    secret = (tmp_path / "fgt7.secret").read_text().strip()
    p.is_issued(p.ir("ec", ref="fgt7", secret=secret))
    text = p.x509("cert", "-ext", "keyUsage,extendedKeyUsage")
    assert "Digital Signature" in text and "Encipherment" not in text and "Extended" not in text
    r = p.ir("ec", ref="fgt7", secret=secret)
    assert r.code != 0 and "used already" in r.err, r


def calls(log):
    return log.read_text().count(" = ") if log.exists() else 0


@pytest.fixture(scope="module")
def release():
    p = Path(os.environ.get("MUSTER_RELEASE", os.environ.get("MUSTER_BUILD", "build")))
    assert (p / "tests/system/killat.so").exists(), f"no killat.so in {p}"
    return p


def test_killed_at_every_visible_call_what_a_client_has_is_on_record(release, tmp_path):
    """ir, ip, certConf, pkiConf with the responder killed before or after each write, sync and send of theirs: whoever was
    told of a certificate finds it on record, whoever was told that it is confirmed finds it so, a confirmation that was
    lost counts when it comes again, and there is never a second certificate."""
    base, log = tmp_path / "base", tmp_path / "calls"
    preload = {"LD_PRELOAD": str(release / "tests/system/killat.so")}
    Demo(release, base, "--sqlite").stop()

    def answered(dir, n, when):
        """One enrollment against a responder that ends at call n; (whether it ended, what the client got)"""
        d = Demo(release, dir, "--sqlite", env={**preload, "KILLAT_LOG": str(log)} if n is None else
                 {**preload, "KILLAT_N": str(n), "KILLAT_WHEN": when})
        first = calls(log)
        p = Peer(d, dir)
        r = p.ir("ec", "-reqout", "ir.der conf.der", "-rspout", "ip.der pkiconf.der")
        last = calls(log)
        got = [(dir / name).read_bytes() if (dir / name).exists() else b"" for name in ("ip.der", "pkiconf.der")]
        if n is None:
            d.stop()
            assert r.code == 0, r
        else:
            assert d.process.wait(20) == -signal.SIGKILL, f"not killed {when} call {n}"
            d.file.close()
        return first, last, r, got

    shutil.copytree(base, tmp_path / "whole")
    first, last, _, _ = answered(tmp_path / "whole", None, None)
    assert last - first >= 6
    states = set()
    for n in range(first + 1, last + 1):
        when = ("before", "after")[n % 2]
        dir = tmp_path / f"k{n}"
        shutil.copytree(base, dir)
        _, _, r, (ip, pkiconf) = answered(dir, n, when)
        d = Demo(release, dir, "--sqlite")
        ask = lambda *a: json.loads(run(release / "src/cmd/muster-ca/muster-ca", "--dir", dir, *a, "--json").out)
        rows = ask("issued", "list", "--subject", "fgt100f")["issued"]
        assert len(rows) <= 1, (n, when)
        was = rows[0]["confirmation"] if rows else None
        states.add(was)
        if ip:
            assert rows, f"killed {when} call {n}: answered and not recorded"
            assert bytes.fromhex(rows[0]["serial"].replace(":", "")) in ip
        if pkiconf:
            assert was == "confirmed" and r.code == 0, f"killed {when} call {n}: said to be confirmed"
        # what the client sent goes again: it gets the same, and the confirmation counts once
        for name in ("ir.der", "conf.der") if ip and (dir / "conf.der").exists() else ("ir.der",):
            c = http.client.HTTPConnection("127.0.0.1", d.port)
            c.request("POST", "/app/cert/cmp2", (dir / name).read_bytes(), {"Content-Type": "application/pkixcmp"})
            assert c.getresponse().read()[0] == 0x30
        again = ask("issued", "list", "--subject", "fgt100f")["issued"]
        assert len(again) == 1 and (not rows or again[0]["serial"] == rows[0]["serial"]), (n, when)
        if ip and (dir / "conf.der").exists():
            assert again[0]["confirmation"] == "confirmed" and again[0]["revoked"] is None, (n, when)
        d.stop()
        shutil.rmtree(dir)
    assert {None, "waiting", "confirmed"} <= states, states
