"""libmuster and libmuster-net by their example alone, over the network, against muster-ca demo."""
import re
import subprocess
from pathlib import Path

import pytest
from conftest import need, run

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def example(build):
    return build / "src/api/example-enroll"


def credential(demo, name):
    return re.search(rf"^\s*{name}\s*=\s*(\S+)", (demo.dir / "credentials").read_text(), re.M).group(1)


def check(r):
    """Key and certificate belong together."""
    assert r.code == 0, r
    pair = [subprocess.run([need("openssl"), *a], input=r.out.encode(), capture_output=True, check=True).stdout
            for a in (["pkey", "-pubout"], ["x509", "-noout", "-pubkey"])]
    assert pair[0] == pair[1]
    return subprocess.run([need("openssl"), "x509", "-noout", "-subject", "-issuer"], input=r.out.encode(), capture_output=True,
                          check=True).stdout.decode()


def pin_of(demo):
    r = subprocess.run([need("openssl"), "x509", "-in", demo.root, "-noout", "-fingerprint", "-sha256"], capture_output=True,
                       text=True, check=True)
    return r.stdout.split("=")[1].strip()


def test_the_public_headers_are_enough():
    """In C99 and nothing of ours but include/muster."""
    for source in ("examples/enroll.c", "include/muster/net.h"):
        subprocess.run([need("cc"), "-std=c99", "-pedantic", "-Wall", "-Wextra", "-Wno-unused-parameter", "-Werror", "-fsyntax-only",
                        "-x", "c", "-I", ROOT / "include", ROOT / source], check=True)


def test_scep(example, demo):
    word = credential(demo, "challenge1")
    assert "api-scep" in check(run(example, "scep", demo.url, "/CN=api-scep", "challenge", word, "pin", pin_of(demo)))


def test_est(example, demo):
    login = "estuser:" + credential(demo, "estuser")
    assert "api-est" in check(run(example, "est", demo.est, "/CN=api-est", "login", login, "trust", demo.root))
    check(run(example, "est", demo.est, "/CN=made", "login", login, "trust", demo.root, "server-key", "yes"))
    r = run(example, "est", demo.est, "/CN=x", "login", "estuser:wrong", "trust", demo.root)
    assert r.code == 1 and r.err, r


def test_est_begins_with_a_pin(example, demo):
    """EST-19: one connection fetches the CA, which then has to vouch for the second."""
    login = "estuser:" + credential(demo, "estuser")
    check(run(example, "est", demo.est, "/CN=api-pin", "login", login, "pin", pin_of(demo)))
    r = run(example, "est", demo.est, "/CN=x", "login", login, "pin", "00" * 32)
    assert r.code == 1, r
    r = run(example, "est", demo.est, "/CN=x", "login", login)  # nobody vouches for the server
    assert r.code == 1, r


def test_est_links_where_the_label_demands_it(example, demo, muster_ca, tmp_path):
    word = tmp_path / "word"
    ca = lambda *a: run(muster_ca, "--dir", demo.dir, *a)
    assert ca("profile", "new", "linked", "protocols=est", "est=link", "max-requests=0").code == 0
    assert ca("entry", "new", "linker", "--profile", "linked", "--reusable", "--out", word).code == 0
    check(run(example, "est", demo.est, "/CN=linked", "login", "linker:" + word.read_text().strip(), "trust", demo.root,
              "label", "linked"))


def test_cmp(example, demo):
    login = "fgt100f:" + credential(demo, "fgt100f")
    url = demo.host + "/app/cert/cmp2"
    assert "api-cmp" in check(run(example, "cmp", url, "/CN=api-cmp", "login", login, "trust", demo.root))
    check(run(example, "cmp", url, "/CN=made", "login", login, "trust", demo.root, "server-key", "yes"))
    r = run(example, "cmp", url, "/CN=x", "login", "fgt100f:wrong-one", "trust", demo.root)
    assert r.code == 1, r
