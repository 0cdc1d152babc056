"""Real peers from Debian against our programs: scepserver for our client; scepclient, strongSwan's pki
and certmonger for our responder. Command lines from docs/interop.md."""
import os
import re
import subprocess
import textwrap
from pathlib import Path

import pytest

from conftest import need, run


def openssl(*args):
    r = subprocess.run(["openssl", *map(str, args)], capture_output=True, text=True)
    assert r.returncode == 0, r.stderr
    return r.stdout


def subject(crt):
    return openssl("x509", "-in", crt, "-noout", "-subject", "-nameopt", "compat").strip()


def serial(crt):
    return openssl("x509", "-in", crt, "-noout", "-serial").strip()


def verified(crt, root):
    openssl("verify", "-CAfile", root, crt)


def key_belongs(key, crt):
    assert openssl("pkey", "-in", key, "-pubout") == openssl("x509", "-in", crt, "-noout", "-pubkey")


# ---- our client against scepserver, which listens on every address: in a network of its own ----

PORT = 2016


@pytest.fixture(scope="module")
def scepserver(tmp_path_factory):
    dir = tmp_path_factory.mktemp("scepserver")
    need("scepserver")
    subprocess.run(["scepserver", "ca", "-init", "-organization", "Test", "-country", "FI", "-keySize", "2048"], cwd=dir, check=True,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    yield dir


def in_namespace(dir, commands, env=None):
    """Starts scepserver with only 'lo' up, waits until it answers, runs the commands there."""
    script = f"""
set -u
ip link set lo up
scepserver -depot {dir}/depot -port {PORT} -challenge=secret -allowrenew 0 -debug >{dir}/server.log 2>&1 &
server=$!
for i in $(seq 200); do curl -s -o /dev/null 'http://127.0.0.1:{PORT}/scep?operation=GetCACaps' && break; sleep 0.05; done
{commands}
status=$?
kill $server
exit $status
"""
    full = dict(os.environ)
    full.update(env or {})
    need("unshare")
    prefix = [] if os.geteuid() == 0 else ["sudo"]
    r = subprocess.run([*prefix, "unshare", "-n", "sh", "-c", script], capture_output=True, text=True, env=full, timeout=120)
    assert "Sanitizer" not in r.stderr and "runtime error:" not in r.stderr, r.stderr
    return r


def test_scepserver_needs_allow_legacy_and_says_so_in_plain_words(muster, scepserver, tmp_path):
    (tmp_path / "ch").write_text("secret\n")
    (tmp_path / "ch").chmod(0o600)
    ca = scepserver / "depot/ca.pem"
    enroll = (f"{muster} --store {tmp_path}/store --no-input enroll m1 --via scep --url http://127.0.0.1:{PORT}/scep "
              f"--subject /C=FI/O=Test/CN=m1 --key rsa:2048 --challenge-file {tmp_path}/ch")
    r = in_namespace(scepserver, f"{muster} --store {tmp_path}/store --no-input ca trust {ca} --name peer --yes && {enroll}")
    assert r.returncode != 0
    assert "M303" in r.stderr and "allow-legacy" in r.stderr, r.stderr
    assert "DES" in r.stderr and "SHA-1" in r.stderr, r.stderr
    assert not (tmp_path / "store/certs/m1/latest.crt").exists()


def test_scepserver_issues_with_allow_legacy_and_a_visible_warning(muster, scepserver, tmp_path):
    (tmp_path / "ch").write_text("secret\n")
    (tmp_path / "ch").chmod(0o600)
    ca = scepserver / "depot/ca.pem"
    g = f"{muster} --store {tmp_path}/store --no-input --allow-legacy"
    r = in_namespace(scepserver, f"""
{g} ca trust {ca} --name peer --yes || exit 11
{g} enroll m2 --via scep --url http://127.0.0.1:{PORT}/scep --subject /C=FI/O=Test/CN=m2 --key rsa:2048 --challenge-file {tmp_path}/ch || exit 12
cp {tmp_path}/store/certs/m2/latest.crt {tmp_path}/first.crt
{g} renew m2 --force --challenge-file {tmp_path}/ch || exit 13
{g} list""")
    assert r.returncode == 0, (r.returncode, r.stdout, r.stderr)
    crt = tmp_path / "store/certs/m2/latest.crt"
    verified(crt, ca)
    key_belongs(tmp_path / "store/certs/m2/latest.key", crt)
    assert serial(crt) != serial(tmp_path / "first.crt")
    assert re.search(r"warning.*(DES|SHA-1)", r.stderr + r.stdout, re.I), r.stderr


# ---- scepclient against our responder: single DES and SHA-1 in every request ----

def scepclient(url, dir, cn, challenge):
    return run(need("scepclient"), "-server-url", url, "-private-key", dir / "client.key", "-certificate", dir / "client.pem",
               "-challenge", challenge, "-cn", cn, "-country", "FI", "-organization", "Test", cwd=dir)


def secret_of(demo, name, tmp_path):
    return demo.secret(name, tmp_path / name).read_text().strip()


def test_scepclient_is_refused_without_allow_legacy(demo, tmp_path):
    r = scepclient(demo.url, tmp_path, "sc0", secret_of(demo, "challenge1", tmp_path))
    assert r.code != 0
    assert not (tmp_path / "client.pem").exists()
    assert "allow-legacy" in demo.stderr(), "the log does not name the switch"


def test_scepclient_enrolls_and_renews_with_allow_legacy(start_demo, tmp_path):
    demo = start_demo("--allow-legacy")
    challenge = secret_of(demo, "challenge1", tmp_path)
    r = scepclient(demo.url, tmp_path, "sc1", challenge)
    assert r.code == 0, r
    verified(tmp_path / "client.pem", demo.root)
    key_belongs(tmp_path / "client.key", tmp_path / "client.pem")
    assert "CN=sc1" in subject(tmp_path / "client.pem")
    first = serial(tmp_path / "client.pem")
    r = scepclient(demo.url, tmp_path, "sc1", challenge)
    assert r.code == 0, r
    verified(tmp_path / "client.pem", demo.root)
    assert serial(tmp_path / "client.pem") != first
    assert "renewed" in demo.stderr()


# ---- strongSwan pki 5.9.8: SHA-384 in the capabilities, plain rsaEncryption in SignerInfo ----

def test_strongswan_pki_enrolls_and_renews_by_default(demo, tmp_path):
    pki = need("pki")
    challenge = secret_of(demo, "challenge1", tmp_path)
    ca = tmp_path / "ca.pem"
    r = run(pki, "--scepca", "--url", demo.url, "--caout", ca, "--outform", "pem", "--force")
    assert r.code == 0, r
    assert openssl("x509", "-in", ca, "-noout", "-fingerprint", "-sha256") == openssl("x509", "-in", demo.root, "-noout", "-fingerprint", "-sha256")
    for name in ("k", "new"):
        openssl("genrsa", "-out", tmp_path / f"{name}.pem", "2048")
    base = [pki, "--scep", "--url", demo.url, "--dn", "C=FI, O=Test, CN=pki1", "--san", "pki1.example", "--password", challenge,
            "--cacert-enc", ca, "--cacert-sig", ca, "--outform", "pem"]
    r = run(*base, "--in", tmp_path / "k.pem")
    assert r.code == 0, r
    (tmp_path / "c.pem").write_text(r.out)
    verified(tmp_path / "c.pem", demo.root)
    key_belongs(tmp_path / "k.pem", tmp_path / "c.pem")
    r = run(*base, "--in", tmp_path / "new.pem", "--cert", tmp_path / "c.pem", "--key", tmp_path / "k.pem")
    assert r.code == 0, r
    (tmp_path / "c2.pem").write_text(r.out)
    verified(tmp_path / "c2.pem", demo.root)
    key_belongs(tmp_path / "new.pem", tmp_path / "c2.pem")
    assert serial(tmp_path / "c.pem") != serial(tmp_path / "c2.pem")


# ---- certmonger, without a bus, one shot ----

def certmonger(tmp_path, commands):
    for d in ("requests", "cas", "tmp"):
        (tmp_path / d).mkdir(exist_ok=True)
    script = tmp_path / "cmds.sh"
    script.write_text("set -x\n" + textwrap.dedent(commands))
    return run(need("certmonger"), "-L", "-n", "-d", "2", "-c", f"sh {script}", timeout=120,
               env={"CERTMONGER_REQUESTS_DIR": str(tmp_path / "requests"), "CERTMONGER_CAS_DIR": str(tmp_path / "cas"), "CERTMONGER_TMPDIR": str(tmp_path / "tmp")})


def test_certmonger_enrolls_and_renews(demo, tmp_path):
    challenge = secret_of(demo, "challenge1", tmp_path)
    crt, key = tmp_path / "dev1.crt", tmp_path / "dev1.key"
    r = certmonger(tmp_path, f"""
        getcert add-scep-ca -c mdm -u {demo.url} -N {demo.root} -r {demo.root}
        getcert request -c mdm -I dev1 -f {crt} -k {key} -N "C=FI,O=Test,CN=cm1" -D cm1.example -L {challenge} -w --wait-timeout=30 -v
        cp {crt} {tmp_path}/first.crt
        getcert rekey -i dev1 -w -v
        getcert list
        getcert status -i dev1 -v
        """)
    assert "MONITORING" in r.out + r.err, r
    assert crt.exists() and (tmp_path / "first.crt").exists(), r
    verified(tmp_path / "first.crt", demo.root)
    verified(crt, demo.root)
    key_belongs(key, crt)
    assert serial(crt) != serial(tmp_path / "first.crt")
    assert "CN=cm1" in subject(crt)
