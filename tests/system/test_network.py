"""Addresses and time limits of the client, against a lasting responder on IPv6 and IPv4."""
import re
import socket
import socketserver
import threading
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


# ---- EST ----

@pytest.fixture(scope="module")
def over_tls(muster_ca, tmp_path_factory):
    """muster-ca init and serve with TLS on both loopbacks."""
    dir = tmp_path_factory.mktemp("tls") / "ca"
    r = run(muster_ca, "--dir", dir, "init", "--cn", "Lasting", "--key", "ec:P-256", "--listen", "127.0.0.1:0", "--listen-tls", "127.0.0.1:0,[::1]:0")
    assert r.code == 0, r
    s = Server([muster_ca, "--dir", dir, "serve"], dir.parent / "serve.log", r"(?s)https://127\.0\.0\.1:\d+.*https://\[::1\]:\d+")
    s.v4 = re.search(rb"https://127\.0\.0\.1:\d+", s.out).group().decode()
    s.v6 = re.search(rb"https://\[::1\]:\d+", s.out).group().decode()
    s.secret, s.root = dir.parent / "secret", dir / "root.pem"
    r = run(muster_ca, "--dir", dir, "entry", "new", "box", "--reusable", "--out", s.secret)
    assert r.code == 0, r
    yield s
    s.stop()


def enroll_est(muster, over_tls, store, name, url, *options):
    return run(muster, "--store", store, "--no-input", "--debug", "est", "enroll", name, "--via", "est", "--url", url, "--ca-cert",
               over_tls.root, "--subject", f"/CN={name}", "--user", "box", "--password-file", over_tls.secret, *options)


def test_est_over_ipv6(muster, over_tls, tmp_path):
    r = enroll_est(muster, over_tls, tmp_path / "s", "six", over_tls.v6, "--source-ip", "::1")
    assert r.code == 0 and "est connect: opened [::1]:" in r.err, r
    assert 'srcip="::1"' in over_tls.stderr()


class Proxy(socketserver.ThreadingTCPServer):
    """CONNECT and nothing else (RFC 9110 9.3.6)."""
    allow_reuse_address = daemon_threads = True

    def __init__(self):
        self.asked = []
        super().__init__(("127.0.0.1", 0), None)
        self.name = f"127.0.0.1:{self.server_address[1]}"
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def finish_request(self, client, address):
        head = b""
        while b"\r\n\r\n" not in head:
            head += client.recv(1)
        self.asked.append(head.split(b"\r\n")[0].decode())
        host, port = self.asked[-1].split()[1].rsplit(":", 1)
        with socket.create_connection((host, int(port))) as server:
            client.sendall(b"HTTP/1.1 200 go on\r\n\r\n")
            back = threading.Thread(target=self.copy, args=(server, client))
            back.start()
            self.copy(client, server)
            back.join()

    @staticmethod
    def copy(a, b):
        try:
            while chunk := a.recv(65536):
                b.sendall(chunk)
            b.shutdown(socket.SHUT_WR)
        except OSError:
            pass


def test_est_through_a_proxy(muster, over_tls, tmp_path):
    proxy = Proxy()
    try:
        r = enroll_est(muster, over_tls, tmp_path / "s", "proxied", over_tls.v4, "--proxy", proxy.name)
        assert r.code == 0 and proxy.asked == [f"CONNECT {over_tls.v4[8:]} HTTP/1.1"], r
        r = run(muster, "--store", tmp_path / "s", "--no-input", "renew", "proxied", "--force")  # kept for the renewal
        assert r.code == 2 and "M314" in r.err and len(proxy.asked) == 2, r  # the server's answer: too early
    finally:
        proxy.shutdown()
        proxy.server_close()
    r = enroll_est(muster, over_tls, tmp_path / "s", "nobody", over_tls.v4, "--proxy", proxy.name)
    assert r.code == 3 and f"M102: The proxy {proxy.name} refused the connection" in r.err, r
