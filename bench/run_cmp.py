#!/usr/bin/env python3
"""Measures CMP side by side in one run: our responder (SQLite, full durability), the mock server of
`openssl cmp`, the bare crypto operations and OpenSSL's own server code in process; P-256 and
RSA-2048, by MAC and by signature, each enrollment an ir (signed: cr) with its certConf. The
responder runs on one core and the load on the other. Then one enrollment by our client. Machines are
noisy: read the ratios."""
import argparse
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from run import client_runs

ROOT = Path(__file__).resolve().parents[1]
KEYS = {"p256": "ec:P-256", "rsa2048": "rsa:2048"}


def run(*args, **kw):
    return subprocess.run([str(a) for a in args], check=True, capture_output=True, text=True, **kw).stdout


def load(build, url, pid, secret, n, clients, key, signed=False, keep=False, more=(), prefix=()):
    cmd = [*prefix, "taskset", "-c", "1", build / "bench/cmp_load", "-u", url, "-n", n, "-c", clients, "-p", pid, "-r", "load", "-S", secret, "-K", KEYS[key], *more]
    if signed:
        cmd.append("-s")
    if keep:
        cmd.append("-k")
    out = subprocess.run([str(c) for c in cmd], capture_output=True, text=True)
    if out.returncode:
        raise SystemExit(out.stderr)
    if out.stderr:
        print(out.stderr.strip(), file=sys.stderr)
    return json.loads(out.stdout)


def stop(p):
    p.send_signal(signal.SIGTERM)
    try:
        p.wait(20)
    except subprocess.TimeoutExpired:
        p.kill()
        p.wait()


def client(build, tmp, home, url, key, secret):
    """With a key file of its own, so that making one is not measured."""
    own = tmp / f"client-{key}"
    own.mkdir()
    file = own / "key"
    run("openssl", "genpkey", *(["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"] if key == "rsa2048"
                                else ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"]), "-out", file)
    file.chmod(0o600)
    return client_runs(build, own, home / "root.pem", ["--via", "cmp", "--url", url, "--ref", "load", "--secret-file", secret, "--key-file", file])


def ours(build, tmp, o, key, secret, clients):
    n = o.n
    program = build / "src/cmd/muster-ca/muster-ca"
    home = tmp / f"ca-{key}"
    run(program, "--dir", home, "init", "--cn", "Bench", "--key", KEYS[key], "--ra-key", KEYS[key], "--listen", "127.0.0.1:0")
    run(program, "--dir", home, "profile", "set", "default", "max-requests=none", "password=random reusable", "renew-before=400d")
    run(program, "--dir", home, "entry", "new", "load", "--reusable", "--password-file", secret)
    p = subprocess.Popen(["taskset", "-c", "0", program, "--dir", home, "serve"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    rows = []
    try:
        for line in p.stdout:
            m = re.search(r"CMP +(http://\S+)", line)
            if m:
                break
        url = m.group(1)
        load(build, url, p.pid, secret, 100, 4, key)  # warm
        if not o.no_client:
            clients[key] = client(build, tmp, home, url, key, secret)
        if o.client:
            return rows
        for signed in (False, True):
            for clients, keep in ((1, False), (16, False), (16, True)):
                rows.append((f"muster-ca{', kept connections' if keep else ''}", key, signed, load(build, url, p.pid, secret, n, clients, key, signed, keep)))
        rows.append(("muster-ca, kept, one salt", key, False, load(build, url, p.pid, secret, n, 16, key, False, True, ("-o",))))
    finally:
        stop(p)
    return rows


def mock(build, tmp, n, key):
    """In a network namespace of its own, because it listens on every address. It hands out one
    certificate, does not store and does not know its clients."""
    d = tmp / f"mock-{key}"
    d.mkdir()
    gen = (lambda f: run("openssl", "genrsa", "-out", d / f, "2048")) if key == "rsa2048" else (
        lambda f: run("openssl", "ecparam", "-genkey", "-name", "prime256v1", "-noout", "-out", d / f))
    for name in ("ca", "srv", "cl"):
        gen(f"{name}.key")
    run("openssl", "req", "-x509", "-new", "-key", d / "ca.key", "-subj", "/CN=mockCA", "-days", "30", "-out", d / "ca.crt")
    for name in ("srv", "cl"):
        csr = run("openssl", "req", "-new", "-key", d / f"{name}.key", "-subj", f"/CN={name}")
        subprocess.run(["openssl", "x509", "-req", "-CA", str(d / "ca.crt"), "-CAkey", str(d / "ca.key"), "-CAcreateserial", "-days", "30", "-out", str(d / f"{name}.crt")],
                       input=csr, check=True, capture_output=True, text=True)
    (d / "secret").write_text("test\n")
    os.chmod(d / "secret", 0o600)
    script = f"""set -e
ip link set lo up
cd {d}
taskset -c 0 openssl cmp -port 8087 -srv_ref load -srv_secret pass:test -srv_cert srv.crt -srv_key srv.key -srv_trusted ca.crt -rsp_cert cl.crt >/dev/null 2>&1 &
pid=$!
sleep 1
for s in '' '-s -C cl.crt'; do
  taskset -c 1 {build}/bench/cmp_load -u http://127.0.0.1:8087/pkix/ -n {n} -c 1 -p $pid -r load -S secret -Q cl.key -F $s
done
kill $pid
"""
    out = subprocess.run(["unshare", "-n", "sh", "-c", script], capture_output=True, text=True)
    rows = [json.loads(l) for l in out.stdout.splitlines() if l.startswith("{")]
    if len(rows) != 2:
        raise SystemExit(f"openssl cmp: {out.stdout}\n{out.stderr}")
    if out.stderr:
        print(out.stderr.strip(), file=sys.stderr)
    return [("openssl cmp's mock", key, i == 1, r) for i, r in enumerate(rows)]


def main():
    a = argparse.ArgumentParser()
    a.add_argument("--build", default=ROOT / "build", type=Path)
    a.add_argument("-n", type=int, default=2000, help="enrollments per row")
    a.add_argument("--no-client", action="store_true", help="the responders alone")
    a.add_argument("--client", action="store_true", help="our client alone")
    a.add_argument("--json", type=Path)
    o = a.parse_args()
    build = o.build.resolve()
    rows, clients = [], {}
    with tempfile.TemporaryDirectory(prefix="muster-bench-", dir=os.environ.get("TMPDIR", "/var/tmp")) as t:
        tmp = Path(t)
        secret = tmp / "secret"
        secret.write_text("fortinet1\n")
        secret.chmod(0o600)
        bound = {} if o.client else json.loads(run("taskset", "-c", "0", build / "bench/cmp_bound", "1000"))
        for key in KEYS:
            rows += ours(build, tmp, o, key, secret, clients)
            if o.client:
                continue
            rows += mock(build, tmp, max(200, o.n // 4), key)
    for key, c in clients.items():
        print(f"client, {key}: one enrollment {c['wall_ms']:.1f} ms wall (target 15), {c['cpu_ms']:.1f} ms CPU, "
              f"{c['peak_kb'] / 1024:.1f} MB resident (13), {c['private_dirty_kb'] / 1024:.1f} MB private dirty (3)")
    if o.client:
        return
    print(f"OpenSSL {bound['openssl']}, CPU per enrollment")
    for key in KEYS:
        for kind in ("mac", "signature"):
            b = bound[f"{key}_{kind}"]
            print(f"  {key:<8} by {kind:<10} bare crypto {b['crypto_bound_ms']:.3f} ms, OpenSSL's server code {b['plain_openssl_ms']:.3f} ms")
    print(f"{'responder':<28}{'key':<9}{'by':<10}{'clients':>8}{'issued':>8}{'refused':>8}{'per s':>8}{'p50 ms':>8}{'p99 ms':>8}{'CPU ms':>8}{'bound':>7}{'plain':>7}{'RSS MB':>8}")
    for name, key, signed, r in rows:
        b = bound[f"{key}_{'signature' if signed else 'mac'}"]
        if "one salt" in name:
            b = {**b, "crypto_bound_ms": b["one_salt_ms"]}
        cpu = r["cpu_per_ms"] or 1e9
        print(f"{name:<28}{key:<9}{'signature' if signed else 'mac':<10}{r['clients']:>8}{r['issued']:>8}{r['refused']:>8}{r['per_s']:>8.0f}{r['p50_ms']:>8.2f}{r['p99_ms']:>8.2f}"
              f"{cpu:>8.3f}{b['crypto_bound_ms'] / cpu:>7.0%}{b['plain_openssl_ms'] / cpu:>7.2f}{r['rss_kb'] / 1024:>8.1f}")
    for key in KEYS:
        for signed in (False, True):
            kind = "signature" if signed else "mac"
            b = bound[f"{key}_{kind}"]
            mine = [r for n, k, s, r in rows if n.startswith("muster-ca") and "one salt" not in n and k == key and s == signed and r["clients"] == 16]
            peer = [r for n, k, s, r in rows if n.startswith("openssl") and k == key and s == signed][0]
            best = min(r["cpu_per_ms"] for r in mine)
            target = f"crypto bound {b['crypto_bound_ms'] / best:.0%} (target 70 %)" if key == "rsa2048" else f"OpenSSL's server code {b['plain_openssl_ms'] / best:.2f} times ours (target 2)"
            print(f"{key} by {kind}: {best:.3f} ms; {target}; the mock takes {peer['cpu_per_ms'] / best:.1f} times (target 4)")
    if o.json:
        o.json.write_text(json.dumps({"bound": bound, "rows": rows, "client": clients}, indent=1))


main()
