"""Addresses and time limits of the client, against a lasting responder on IPv6 and IPv4."""
import re
import socket
import time

import pytest

from conftest import Server, run


@pytest.fixture(scope="module")
def lasting(muster_ca, tmp_path_factory):
    """muster-ca init and serve: an EC issuing CA behind an RSA RA, on both loopbacks."""
    dir = tmp_path_factory.mktemp("lasting") / "ca"
    r = run(muster_ca, "--dir", dir, "init", "--cn", "Lasting", "--key", "ec:P-256", "--listen", "127.0.0.1:0,[::1]:0")
    assert r.code == 0, r
    s = Server([muster_ca, "--dir", dir, "serve"], dir.parent / "serve.log", r"(?s)http://127\.0\.0\.1:\d+.*http://\[::1\]:\d+")
    s.dir = dir
    s.v4 = re.search(rb"http://127\.0\.0\.1:\d+", s.out).group().decode()
    s.v6 = re.search(rb"http://\[::1\]:\d+", s.out).group().decode()
    r = run(muster_ca, "--dir", dir, "entry", "new", "box", "--reusable", "--out", dir.parent / "secret")
    assert r.code == 0, r
    s.secret = dir.parent / "secret"
    yield s
    s.stop()


def enroll(muster, lasting, store, name, url, *options):
    pins = run(muster, "--store", store, "--no-input", "ca", "fetch", f"{lasting.v4}/scep", "-o", store.parent / "ca")
    assert pins.code == 0, pins
    # issuing CA first, then the root; the RA's certificate is none to trust and has a name of its own
    assert sorted(f.name for f in (store.parent / "ca").iterdir()) == ["ca.crt-0", "ca.crt-1", "ra.crt-0"]
    r = run(muster, "--store", store, "--no-input", "ca", "trust", store.parent / "ca" / "ra.crt-0")
    assert r.code != 0 and "not a CA's" in r.err, r
    r = run(muster, "--store", store, "--no-input", "ca", "trust", store.parent / "ca" / "ca.crt-1")
    assert r.code == 0, r
    return run(muster, "--store", store, "--no-input", "enroll", name, "--via", "scep", "--url", url, "--subject", f"/CN={name}",
               "--challenge-file", lasting.secret, *options)


def test_enrolls_over_ipv6_from_an_ec_ca_behind_an_ra(muster, lasting, tmp_path):
    r = enroll(muster, lasting, tmp_path / "s", "six", f"{lasting.v6}/scep")
    assert r.code == 0, r
    assert 'srcip="::1"' in lasting.stderr()


def test_source_address_is_used_and_a_foreign_one_is_M106(muster, lasting, tmp_path):
    r = enroll(muster, lasting, tmp_path / "s", "src", f"{lasting.v4}/scep", "--source-ip", "127.0.0.2")
    assert r.code == 0, r
    assert 'srcip="127.0.0.2"' in lasting.stderr()
    r = enroll(muster, lasting, tmp_path / "s", "foreign", f"{lasting.v4}/scep", "--source-ip", "192.0.2.9")
    assert r.code != 0 and "M106" in r.err and "127.0.0.1" in r.err, r


def test_a_server_that_never_answers_is_M103_in_time(muster, tmp_path):
    with socket.socket() as quiet:
        quiet.bind(("127.0.0.1", 0))
        quiet.listen(5)
        t = time.monotonic()
        r = run(muster, "--store", tmp_path / "s", "--no-input", "--timeout", "1", "probe", f"http://127.0.0.1:{quiet.getsockname()[1]}/scep")
        assert time.monotonic() - t < 20, r
    assert r.code == 3 and "M103" in r.err, r


def test_retired_responder_is_M102(muster, tmp_path):
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    r = run(muster, "--store", tmp_path / "s", "--no-input", "ca", "fetch", f"http://127.0.0.1:{port}/scep")
    assert r.code == 3 and "M102" in r.err, r
