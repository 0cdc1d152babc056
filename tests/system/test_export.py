"""muster export and muster remove (PRODUCT "Command line", "Rules of every face"): what comes out opens with other
programs, what goes is gone, and what is in use is said to be."""
import json
import os
import re
import shutil
import ssl
import stat
import subprocess

import pytest

from agent import World
from conftest import need
from test_hooks import TLS, site  # noqa: F401
from test_muster_cli import Cli, openssl

OPENSSL = need("openssl")


@pytest.fixture
def cli(muster, demo, tmp_path):
    return Cli(muster, demo, tmp_path)


@pytest.fixture
def password(tmp_path):
    p = tmp_path / "p12.pass"
    p.touch(mode=0o600)
    p.write_text("pass wörd\n")
    return p


def certs_of(pem):
    return re.findall(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----\n", pem, re.S)


def mode(path):
    return stat.S_IMODE(os.stat(path).st_mode)


# ---- export ----

def test_export_in_each_form(cli, tmp_path, password):
    assert cli.enroll("vpn").code == 0
    own = cli.file("vpn").read_text()
    chain = "".join(p.read_text() for p in sorted((cli.store / "certs/vpn").glob("ca.crt-*")))
    key = cli.file("vpn", "latest.key").read_text()
    r = cli("export", "vpn", "--pem", tmp_path / "c.pem")
    assert r.code == 0 and "2 certificates" in r.err, r
    assert (tmp_path / "c.pem").read_text() == own + chain and mode(tmp_path / "c.pem") == 0o644
    assert cli("export", "vpn", "--pem", "-").out == own + chain
    r = cli("export", "vpn", "--bundle", tmp_path / "b.pem")
    text = (tmp_path / "b.pem").read_text()
    assert r.code == 0 and text == own + chain + key and mode(tmp_path / "b.pem") == 0o600, r
    r = cli("export", "vpn", "--bundle", tmp_path / "e.pem", "--password-file", password)
    text = (tmp_path / "e.pem").read_text()
    assert r.code == 0 and "BEGIN ENCRYPTED PRIVATE KEY" in text and "BEGIN PRIVATE KEY" not in text, r
    assert openssl("pkey", "-in", tmp_path / "e.pem", "-passin", f"file:{password}").decode() == openssl("pkey", "-in", cli.file("vpn", "latest.key")).decode()
    r = cli("--json", "export", "vpn", "--p12", tmp_path / "v.p12", "--password-file", password)
    assert json.loads(r.out)["export"] == {"name": "vpn", "form": "p12", "file": str(tmp_path / "v.p12"), "certificates": 2, "key": True}
    assert mode(tmp_path / "v.p12") == 0o600
    out = openssl("pkcs12", "-in", tmp_path / "v.p12", "-passin", f"file:{password}", "-nodes").decode()
    assert [c.split() for c in certs_of(out)] == [c.split() for c in certs_of(own + chain)]
    assert "friendlyName: vpn" in out and "BEGIN PRIVATE KEY" in out
    info = subprocess.run([OPENSSL, "pkcs12", "-in", tmp_path / "v.p12", "-passin", f"file:{password}", "-info", "-noout"], capture_output=True, text=True, check=True).stderr
    assert "MAC: sha256" in info and "PBES2, PBKDF2, AES-256-CBC, Iteration 100000" in info, info
    wrong = subprocess.run([OPENSSL, "pkcs12", "-in", tmp_path / "v.p12", "-passin", "pass:other", "-noout"], capture_output=True, text=True)
    assert wrong.returncode != 0 and "invalid password" in wrong.stderr
    left = {p.name for p in tmp_path.iterdir() if p.name.startswith(".")}
    assert left == set()


def test_a_tls_server_takes_the_encrypted_bundle(cli, tmp_path, password):
    assert cli.enroll("vpn").code == 0
    assert cli("export", "vpn", "--bundle", tmp_path / "b.pem", "--password-file", password).code == 0
    ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(tmp_path / "b.pem", password=password.read_text().rstrip("\n"))


def test_export_opens_a_key_that_has_a_password(cli, tmp_path, password):
    """The password that is kept for the renewals opens it; another one in its place is M703."""
    own = tmp_path / "key.pass"
    own.touch(mode=0o600)
    own.write_text("of the key\n")
    assert cli.enroll("vpn", "--key-pass-file", own).code == 0
    assert "ENCRYPTED" in cli.file("vpn", "latest.key").read_text()
    assert cli("export", "vpn", "--p12", tmp_path / "v.p12", "--password-file", password).code == 0
    openssl("pkcs12", "-in", tmp_path / "v.p12", "-passin", f"file:{password}", "-nodes")
    r = cli("export", "vpn", "--p12", tmp_path / "w.p12", "--password-file", password, "--key-pass-file", password)
    assert r.code == 4 and "M703" in r.err and not (tmp_path / "w.p12").exists(), r


def test_export_refuses(cli, tmp_path, password):
    assert cli("export", "vpn", "--pem", "x").code == 1  # no such certificate
    assert cli.enroll("vpn").code == 0
    for words, code, why in (
        (["vpn"], 64, "one of --pem"),
        (["vpn", "--pem", tmp_path / "a", "--p12", tmp_path / "b"], 64, "one of --pem"),
        (["vpn", "--p12", tmp_path / "a"], 64, "--password-file"),
        (["nobody", "--pem", tmp_path / "a"], 1, "nobody"),
        (["vpn", "--pem", tmp_path / "no/such/dir"], 6, "M702"),
    ):
        r = cli("export", *words)
        assert r.code == code and why in r.err, r
    assert not (tmp_path / "a").exists() and not (tmp_path / "b").exists()
    kept = tmp_path / "kept"
    kept.write_text("mine")
    r = cli("export", "vpn", "--pem", kept)
    assert r.code == 64 and "--yes" in r.err and kept.read_text() == "mine", r
    assert cli("export", "vpn", "--pem", kept, "--yes").code == 0 and "BEGIN" in kept.read_text()
    # a link is replaced, not followed
    (tmp_path / "link").symlink_to(kept)
    assert cli("export", "vpn", "--bundle", tmp_path / "link", "--yes").code == 0
    assert "PRIVATE" not in kept.read_text() and not (tmp_path / "link").is_symlink()
    password.chmod(0o644)
    r = cli("export", "vpn", "--p12", tmp_path / "a", "--password-file", password)
    assert r.code == 4 and "M701" in r.err, r


# ---- remove ----

def left(store, name):
    return sorted(str(p.relative_to(store)) for p in store.rglob("*") if name in p.name and not p.name.endswith(".lock"))


def test_remove_takes_everything(cli):
    assert cli.enroll("vpn").code == 0
    assert cli.enroll("vpn", "--replace").code == 0
    assert cli.enroll("other").code == 0
    before = left(cli.store, "other")
    r = cli("remove", "vpn")
    assert r.code == 64 and "--yes" in r.err and cli.file("vpn").exists(), r
    r = cli("remove", "vpn", "--yes")
    assert r.code == 0 and "valid until" in r.err and "in use" not in r.err and "CA         does not hear" in r.err, r
    assert left(cli.store, "vpn") == [] and left(cli.store, "other") == before
    assert cli("show", "vpn").code == 1 and cli.facts("other")["state"] == "OK"
    r = cli("remove", "vpn", "--yes")
    assert r.code == 1 and "no certificate" in r.err, r
    assert cli("remove", "../other", "--yes").code != 0 and left(cli.store, "other") == before
    r = cli("--json", "remove", "other", "--yes")
    removed = json.loads(r.out)["removed"]
    assert removed["name"] == "other" and removed["serial"] and removed["in_use_by"] == [] and removed["files"] == []


def test_remove_of_a_pending_request(cli):
    assert cli.enroll("slow", "--no-wait", challenge=cli.challenge2).code == 5
    r = cli("remove", "slow", "--yes")
    assert r.code == 0 and "may still issue it" in r.err and left(cli.store, "slow") == [], r


def test_remove_says_what_is_in_use(site):  # noqa: F811
    """A service that presents it, and another entry that shows it to the CA: said before it goes, also with --yes."""
    s = site
    s.enroll()
    service = TLS(s.store / "certs/web/latest.crt", s.store / "certs/web/latest.key")
    s.configure(f"verify = tls:127.0.0.1:{service.port} sni=www.example.org")
    s.conf.write_text(s.conf.read_text() + f'[ca "second"]\nprotocol = est\nurl = https://127.0.0.1:1\nclient-cert = web\n[certificate "user"]\nca = second\n# stays\n')
    assert s("deploy", "web").code == 0
    r = s("--no-input", "remove", "web")
    assert r.code == 64 and "while it is in use" in r.err and f"in use by  tls:127.0.0.1:{service.port}" in r.err, r
    assert 'in use by  the client certificate of [ca "second"]' in r.err, r
    assert (s.store / "certs/web/latest.crt").exists() and '[certificate "web"]' in s.conf.read_text()
    r = s("remove", "web", "--yes")
    assert r.code == 0 and "in use by" in r.err and f"changed    {s.conf}" in r.err, r
    text = s.conf.read_text()
    assert '[certificate "web"]' not in text and "# stays" in text and '[certificate "user"]' in text and '[ca "demo"]' in text
    assert left(s.store, "web") == []
    assert [c["name"] for c in json.loads(s("list", "--json").out)["certificates"]] == ["user"]


def test_remove_out_of_several_files(site):  # noqa: F811
    """Sections in the main file and in certs.d: all of them, whichever can stand alone; its own file goes as a whole, and
    a secret that another section names stays."""
    s = site
    s.enroll()
    certs = s.dir / "certs.d"
    certs.mkdir(exist_ok=True)
    (certs / "web.conf").write_text('# by hand\n[certificate "web"]\nrenew-days = 20\n')
    (certs / "more.conf").write_text('# above\n[certificate "web"]\nwarn-days = 3\n# inside\nkey-mode = 0640\n\n# of the next\n[certificate "x"]\nca = demo\n')
    given = s.dir / "given"
    given.touch(mode=0o600)
    given.write_text("s3cret\n")
    assert s("secret", "set", "web", "password", "--file", given).code == 0
    s.conf.write_text(s.conf.read_text().replace("challenge-once = no", "challenge-once = no\nuser = u\npassword = secret:web"))
    r = s("remove", "web", "--yes")
    assert r.code == 0, r
    assert not (certs / "web.conf").exists()
    assert (certs / "more.conf").read_text() == '# above\n# of the next\n[certificate "x"]\nca = demo\n'
    assert "web" not in s.conf.read_text().replace("secret:web", "")
    assert left(s.store, "web") == ["secrets/web.password"]
    assert s("config", "check").code == 0


def test_a_killed_removal_is_finished_by_the_next(cli):
    """What a kill leaves of it is no certificate any more; the same command again takes the rest."""
    assert cli.enroll("vpn").code == 0
    shutil.move(cli.store / "certs/vpn", cli.store / "certs/.removed-vpn")
    r = cli("list", "--json")
    assert r.code == 0
    cli("remove", "vpn", "--yes")
    assert left(cli.store, "vpn") == []


def test_the_agent_forgets_it_too(build, demo, tmp_path):
    """musterd lets go of what was removed, and does not enroll it again."""
    w = World(build, tmp_path)
    try:
        profile = w.profile("auto")
        w.configure(w.ca(challenge=f"file:{profile}", challenge_once="no"), '[certificate "web"]\nca = scep\nsubject = /CN=web\n')
        w.conf.chmod(0o600)
        w.start()
        w.wait_serial("web")
        r = w("remove", "web", "--yes")
        assert r.code == 0, r
        w("status")
        w.stays("web", None, 3)
        assert left(w.store, "web") == [] and len(w.issued("web")) == 1, w.text()
    finally:
        w.end()
