#!/usr/bin/env python3
"""Measures EST in one run: our responder (SQLite, full durability) with P-256 and with RSA-2048
throughout, over new TLS 1.3 connections and over kept ones, the bare crypto operations, and plain
OpenSSL calls for the same work ("plain": the handshake through memory; "bare": by a bare server over
loopback); then one enrollment by our client. The responder runs on one core
and the load on the other. Machines are noisy: read the ratios."""
import argparse
import json
import os
import subprocess
import tempfile
from pathlib import Path

from run import ROOT, client_runs, start, stop

KINDS = {"p256": ("ec:P-256", "ec"), "rsa2048": ("rsa:2048", "rsa")}


def ca_make(muster_ca, tmp, kind):
    """Root, issuing CA and TLS key all of one kind."""
    d = tmp / kind
    spec, word = KINDS[kind]
    run = lambda *args: subprocess.run([str(a) for a in (muster_ca, "--dir", d, *args)], check=True, stdout=subprocess.DEVNULL)
    run("init", "--key", spec, "--listen", "127.0.0.1:0", "--listen-tls", "127.0.0.1:0")
    if word == "rsa":
        # With TLS-SRP allowed the responder makes itself an RSA key for TLS.
        with open(d / "muster-ca.conf", "a") as f:
            f.write("tls-srp = yes\n")
    run("profile", "new", "bench", "protocols=est", "max-requests=0", "max-alive=0")
    run("entry", "new", "estuser", "--profile", "bench", "--reusable", "--out", d / "password")
    return d


def load(build, port, pid, d, word, n, clients, keep):
    cmd = ["taskset", "-c", "1", build / "bench/est_load", "-u", f"https://127.0.0.1:{port}/.well-known/est/simpleenroll",
           "-n", n, "-c", clients, "-p", pid, "-U", "estuser", "-P", d / "password", "-t", word]
    out = subprocess.run([str(c) for c in cmd] + (["-k"] if keep else []), check=True, capture_output=True, text=True)
    if out.stderr:
        print(out.stderr.strip())
    return json.loads(out.stdout)


def bounds(build):
    out = subprocess.run(["taskset", "-c", "0", str(build / "bench/est_bound"), "1000"], check=True, capture_output=True, text=True)
    return json.loads(out.stdout)


def one_kind(build, tmp, kind, o, rows):
    d = ca_make(build / "src/cmd/muster-ca/muster-ca", tmp, kind)
    word = KINDS[kind][1]
    p, m = start(["taskset", "-c", "0", build / "src/cmd/muster-ca/muster-ca", "--dir", d, "serve"], r"EST +https://\S+:(\d+)")
    try:
        port = m.group(1)
        load(build, port, p.pid, d, word, 500, 16, True)  # warm
        for keep in (False, True):
            for clients in (1, 16, 64):
                rows.append((kind, keep, load(build, port, p.pid, d, word, o.n, clients, keep), bounds(build)[kind]))
        if o.no_client:
            return None
        # A client's own key file, so that making one is not measured.
        key = tmp / f"client-{kind}.key"
        alg = ["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"] if word == "rsa" else ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"]
        subprocess.run(["openssl", "genpkey", *alg, "-out", str(key)], check=True, stderr=subprocess.DEVNULL)
        key.chmod(0o600)
        own = tmp / f"client-{kind}"
        own.mkdir()
        return client_runs(build, own, d / "root.pem", ["--via", "est", "--url", f"https://127.0.0.1:{port}", "--user", "estuser",
                                                        "--password-file", d / "password", "--key-file", key])
    finally:
        stop(p)


def main():
    a = argparse.ArgumentParser()
    a.add_argument("--build", default=ROOT / "build", type=Path)
    a.add_argument("-n", type=int, default=2000, help="enrollments per row")
    a.add_argument("--no-client", action="store_true", help="the responder alone")
    a.add_argument("--json", type=Path)
    o = a.parse_args()
    build = o.build.resolve()
    rows, clients = [], {}
    with tempfile.TemporaryDirectory(prefix="muster-bench-", dir=os.environ.get("TMPDIR", "/var/tmp")) as t:
        for kind in KINDS:
            one = one_kind(build, Path(t), kind, o, rows)
            if one:
                clients[kind] = one
    print("CPU in ms per enrollment, all threads of the responder; both bounds measured on its core right after each row")
    print(f"{'keys':<9}{'TLS 1.3':<9}{'clients':>8}{'issued':>8}{'per s':>7}{'p50 ms':>8}{'p99 ms':>8}{'CPU ms':>8}"
          f"{'crypto':>8}{'/CPU':>6}{'plain':>8}{'/CPU':>6}{'bare':>8}{'/CPU':>6}{'RSS MB':>8}")
    for kind, keep, r, b in rows:
        way = "kept" if keep else "new"
        crypto, plain, cpu = b[f"crypto_{way}_ms"], b[f"plain_{way}_ms"], r["cpu_per_ms"]
        bare = plain if keep else b["bare_new_ms"]
        print(f"{kind:<9}{way:<9}{r['clients']:>8}{r['issued']:>8}{r['per_s']:>7.0f}{r['p50_ms']:>8.2f}{r['p99_ms']:>8.2f}{cpu:>8.3f}"
              f"{crypto:>8.3f}{crypto / cpu:>6.0%}{plain:>8.3f}{plain / cpu:>6.2f}{bare:>8.3f}{bare / cpu:>6.2f}{r['rss_kb'] / 1024:>8.1f}")
    print("targets: rsa2048 crypto/CPU 70 %; p256 plain/CPU 1.3 on new connections, 2 on kept ones")
    for kind, c in clients.items():
        print(f"client, {kind}: one enrollment {c['wall_ms']:.1f} ms wall (target 30), {c['cpu_ms']:.1f} ms CPU, "
              f"{c['peak_kb'] / 1024:.1f} MB resident (14), {c['private_dirty_kb'] / 1024:.1f} MB private dirty (4)")
    if o.json:
        o.json.write_text(json.dumps({"rows": rows, "client": clients}, indent=1))


if __name__ == "__main__":
    main()
