#!/usr/bin/env python3
"""Measures SCEP side by side in one run: our responder (SQLite, full durability), Debian's
scepserver, the bare crypto operations and plain OpenSSL calls; then one enrollment by our client.
The responder runs on one core and the load on the other. Machines are noisy: read the ratios."""
import argparse
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def start(args, ready, cwd=None, log=None):
    p = subprocess.Popen([str(a) for a in args], stdout=subprocess.PIPE, stderr=log or subprocess.DEVNULL, text=True, cwd=cwd)
    for line in p.stdout:
        m = re.search(ready, line)
        if m:
            return p, m
    raise SystemExit(f"{args[0]} did not start")


def load(build, url, pid, n, clients, challenge=None, legacy=False, keep=False, prefix=()):
    cmd = [*prefix, "taskset", "-c", "1", build / "bench/scep_load", "-u", url, "-n", n, "-c", clients, "-p", pid]
    if challenge:
        cmd += ["-C", challenge]
    if legacy:
        cmd += ["-l"]
    if keep:
        cmd += ["-k"]
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


def ours(build, tmp, n):
    p, m = start(["taskset", "-c", "0", build / "src/cmd/muster-ca/muster-ca", "demo", "--sqlite", "--dir", tmp / "demo", "--port", "0"],
                 r"SCEP +(http://\S+)")
    secret = tmp / "challenge"
    text = (tmp / "demo/credentials").read_text()
    secret.write_text(re.search(r"challenge1\s*[=:]\s*(\S+)", text).group(1) + "\n")
    secret.chmod(0o600)
    rows = []
    try:
        load(build, m.group(1), p.pid, 100, 4, secret)  # warm
        for clients in (1, 16):
            rows.append(("muster-ca", load(build, m.group(1), p.pid, n, clients, secret)))
        rows.append(("muster-ca, kept connections", load(build, m.group(1), p.pid, n, 16, secret, keep=True)))
        client = one_client(build, tmp, m.group(1), secret, tmp / "demo/root.pem")
    finally:
        stop(p)
    return rows, client


def scepserver(build, tmp, n):
    """In a network namespace of its own, because it listens on every address."""
    depot = tmp / "depot"
    script = f"""set -e
ip link set lo up
cd {tmp}
taskset -c 0 scepserver -depot depot -port 2016 -challenge=secret -allowrenew 0 -capass secret >/dev/null 2>&1 &
pid=$!
for i in $(seq 100); do curl -s -o /dev/null 'http://127.0.0.1:2016/scep?operation=GetCACaps' && break; sleep 0.1; done
echo secret > peer-challenge; chmod 600 peer-challenge
for c in 1 16; do
  taskset -c 1 {build}/bench/scep_load -u http://127.0.0.1:2016/scep -n {n} -c $c -p $pid -C peer-challenge -l -0
done
kill $pid
"""
    subprocess.run(["scepserver", "ca", "-init", "-organization", "Test", "-country", "FI", "-key-password", "secret", "-keySize", "2048"],
                   cwd=tmp, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    assert depot.is_dir()
    out = subprocess.run(["unshare", "-n", "sh", "-c", script], capture_output=True, text=True)
    rows = [("scepserver", json.loads(l)) for l in out.stdout.splitlines() if l.startswith("{")]
    if len(rows) != 2:
        raise SystemExit(f"scepserver: {out.stdout}\n{out.stderr}")
    if out.stderr:
        print(out.stderr.strip(), file=sys.stderr)
    return rows


def proc_kb(pid, file, field):
    m = re.search(rf"{field}:\s+(\d+)", Path(f"/proc/{pid}/{file}").read_text())
    return int(m.group(1)) if m else 0


def one_client(build, tmp, url, secret, root):
    key = tmp / "client.key"
    subprocess.run(["openssl", "genrsa", "-out", str(key), "2048"], check=True, stderr=subprocess.DEVNULL)
    key.chmod(0o600)
    return client_runs(build, tmp, root, ["--via", "scep", "--url", url, "--challenge-file", secret, "--key-file", key])


def client_runs(build, tmp, root, options):
    """One enrollment after the other by our client: medians."""
    muster = build / "src/cmd/muster/muster"
    store = tmp / "store"
    subprocess.run([str(muster), "--store", str(store), "--no-input", "ca", "trust", str(root), "--yes"], check=True, stdout=subprocess.DEVNULL)
    walls, cpus, peaks, dirty = [], [], [], []
    for i in range(21):
        t = time.perf_counter()
        p = subprocess.Popen([str(muster), "--store", str(store), "--no-input", "-q", "enroll", f"bench{i}",
                              "--subject", f"/CN=bench{i}", *[str(o) for o in options]])
        # Every second run is watched, which costs it time; only the others are timed. ru_maxrss is no
        # measure: it begins with the memory of the process that forked, and that is this Python.
        watched, peak, worst = i % 2 == 1, 0, 0
        while watched and p.poll() is None:
            try:
                peak = max(peak, proc_kb(p.pid, "status", "VmHWM"))
                worst = max(worst, proc_kb(p.pid, "smaps_rollup", "Private_Dirty"))
            except OSError:
                break
        _, status, usage = os.wait4(p.pid, 0) if p.returncode is None else (0, p.returncode, None)
        wall = (time.perf_counter() - t) * 1e3
        if status:
            raise SystemExit(f"enrollment {i} failed")
        if i == 0:
            continue
        if watched:
            dirty.append(worst)
            peaks.append(peak)
        else:
            walls.append(wall)
            cpus.append((usage.ru_utime + usage.ru_stime) * 1e3)
    mid = lambda v: sorted(v)[len(v) // 2]
    return {"wall_ms": mid(walls), "cpu_ms": mid(cpus), "peak_kb": max(peaks), "private_dirty_kb": max(dirty)}


def main():
    a = argparse.ArgumentParser()
    a.add_argument("--build", default=ROOT / "build", type=Path)
    a.add_argument("-n", type=int, default=2000, help="enrollments per row")
    a.add_argument("--json", type=Path)
    o = a.parse_args()
    build = o.build.resolve()
    with tempfile.TemporaryDirectory(prefix="muster-bench-", dir=os.environ.get("TMPDIR", "/var/tmp")) as t:
        tmp = Path(t)
        bound = json.loads(subprocess.run(["taskset", "-c", "0", str(build / "bench/bound"), "1000"], check=True, capture_output=True, text=True).stdout)
        engine = json.loads(subprocess.run(["taskset", "-c", "0", str(build / "bench/engine"), "1000"], check=True, capture_output=True, text=True).stdout)
        rows, client = ours(build, tmp, o.n)
        rows += scepserver(build, tmp, max(200, o.n // 4)) if shutil.which("scepserver") else []
    print(f"OpenSSL {bound['openssl']}: bare crypto {bound['crypto_bound_ms']:.3f} ms, plain OpenSSL calls {bound['plain_openssl_ms']:.3f} ms of CPU per enrollment")
    print(f"our engine in process, without network and store: {engine['engine_ms']:.3f} ms")
    print(f"{'responder':<28}{'clients':>8}{'issued':>8}{'refused':>8}{'per s':>8}{'p50 ms':>8}{'p99 ms':>8}{'CPU ms':>8}{'bound':>7}{'RSS MB':>8}")
    for name, r in rows:
        share = bound["crypto_bound_ms"] / r["cpu_per_ms"] if r["cpu_per_ms"] else 0
        print(f"{name:<28}{r['clients']:>8}{r['issued']:>8}{r['refused']:>8}{r['per_s']:>8.0f}{r['p50_ms']:>8.2f}{r['p99_ms']:>8.2f}"
              f"{r['cpu_per_ms']:>8.3f}{share:>7.0%}{r['rss_kb'] / 1024:>8.1f}")
    mine = [r for n, r in rows if n == "muster-ca"]
    peer = [r for n, r in rows if n == "scepserver"]
    for m, p in zip(mine, peer):
        print(f"{m['clients']} clients: CPU per enrollment {m['cpu_per_ms'] / p['cpu_per_ms']:.2f} of scepserver's (target 0.33); "
              f"crypto bound is {bound['crypto_bound_ms'] / m['cpu_per_ms']:.0%} of it (target 70 %)")
    print(f"client: one enrollment with an RSA-2048 key: {client['wall_ms']:.1f} ms wall (target 20), {client['cpu_ms']:.1f} ms CPU (12), "
          f"{client['peak_kb'] / 1024:.1f} MB resident (13), {client['private_dirty_kb'] / 1024:.1f} MB private dirty (3)")
    if o.json:
        o.json.write_text(json.dumps({"bound": bound, "rows": rows, "client": client}, indent=1))


if __name__ == "__main__":
    main()
