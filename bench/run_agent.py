#!/usr/bin/env python3
"""Measures the agent in one run: memory with one certificate and with ten thousand, CPU while idle, the start
until each due date is known, renewals per minute over SCEP, EST and CMP against our responder, what status, check
and metrics cost over the same store, and Debian's certmonger beside it where it can do the same. Machines are
noisy: take the figures on an idle one, and the store's place (TMPDIR) for what it is."""
import argparse
import http.client
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

from run import ROOT, proc_kb, start, stop

TICK = os.sysconf("SC_CLK_TCK")
DAY = 86400
PROTOCOLS = ("scep", "est", "cmp")


# ---- processes ----

def cpu_s(pid):
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def memory(pid):
    return {"rss_mb": proc_kb(pid, "smaps_rollup", "Rss") / 1024, "dirty_mb": proc_kb(pid, "smaps_rollup", "Private_Dirty") / 1024}


def wait_for(what, seconds, pause=0.02):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        value = what()
        if value:
            return value
        time.sleep(pause)
    raise SystemExit(f"not within {seconds} s: {what}")


class Unix(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("muster")
        self.path = str(path)

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(120)
        self.sock.connect(self.path)


class Ca:
    """muster-ca demo; again at the same address, with another clock."""

    def __init__(self, build, dir):
        self.build, self.dir, self.process, self.ports = build, dir, None, (0, 0)
        self.start(0)

    def start(self, shift):
        env = {**os.environ, "MUSTER_CLOCK_SHIFT": str(shift)}
        self.process = subprocess.Popen([self.build / "src/cmd/muster-ca/muster-ca", "demo", "--quiet", "--dir", self.dir, "--port", str(self.ports[0]),
                                         "--est-port", str(self.ports[1])], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=env)
        urls = {}
        for line in self.process.stdout:
            m = re.search(r"(SCEP|EST) +(https?://[^/:]+:(\d+)\S*)", line)
            if m:
                urls[m.group(1)] = m.group(2), int(m.group(3))
            if len(urls) == 2:
                break
        self.ports = urls["SCEP"][1], urls["EST"][1]
        self.scep, self.est = urls["SCEP"][0], urls["EST"][0]
        self.cmp = f"http://127.0.0.1:{self.ports[0]}"
        self.root = self.dir / "root.pem"

    def secret(self, name):
        file = self.dir.parent / f"{name}.secret"
        file.touch(mode=0o600)
        file.write_text(re.search(rf"\b{name}\s*[=:]\s*(\S+)", (self.dir / "credentials").read_text()).group(1) + "\n")
        return file

    def sections(self):
        return f"""[ca "scep"]
protocol = scep
url = {self.scep}
trust = {self.root}
challenge = file:{self.secret("challenge1")}
challenge-once = no
[ca "est"]
protocol = est
url = {self.est}
trust = {self.root}
user = estuser
password = file:{self.secret("estuser")}
[ca "cmp"]
protocol = cmp
url = {self.cmp}
trust = {self.root}
ref = fgt100f
secret = file:{self.secret("fgt100f")}
"""

    def stop(self):
        if self.process:
            stop(self.process)
        self.process = None


class Agent:
    """musterd -F with this store and configuration."""

    def __init__(self, build, dir):
        self.build, self.dir = build, dir
        dir.mkdir(parents=True, exist_ok=True)
        self.conf, self.store, self.socket = dir / "muster.conf", dir / "store", dir / "run/control.sock"
        self.process = None

    def configure(self, sections, certificates, interval="1h"):
        self.conf.touch(mode=0o600)
        self.conf.write_text(f"[agent]\nnotify = off\ncheck-interval = {interval}\n{sections}[defaults]\nkey = ec:P-256\n"
                             + "".join(f'[certificate "{n}"]\nca = {ca}\nsubject = /O=Bench/CN={n}\n{more}' for n, ca, more in certificates))

    def start(self, shift=0):
        self.log = open(self.dir / "log", "ab")
        self.process = subprocess.Popen([self.build / "src/cmd/musterd/musterd", "-F", "--demo", "--config", self.conf, "--store", self.store,
                                         "--socket", self.socket], stderr=self.log, env={**os.environ, "MUSTER_CLOCK_SHIFT": str(shift)})
        self.since = time.monotonic()

    def get(self, path="/v1/status"):
        c = Unix(self.socket)
        try:
            c.request("GET", path)
            return json.loads(c.getresponse().read())
        except (OSError, http.client.HTTPException):
            return None
        finally:
            c.close()

    def seen(self):
        s = self.get()
        return s is not None and s["agent"]["unseen"] == 0

    def muster(self, *args, timed=False, shift=0, check=True):
        """With timed: (wall s, peak MB), by time(1), whose child begins small."""
        cmd = [self.build / "src/cmd/muster/muster", "--config", self.conf, "--store", self.store, "--socket", self.socket, "--no-input", *args]
        if timed:
            cmd = ["/usr/bin/time", "-f", "%e %M", "-o", self.dir / "time", *cmd]
        r = subprocess.run([str(c) for c in cmd], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, timeout=1800,
                           env={**os.environ, "MUSTER_CLOCK_SHIFT": str(shift)})
        if check and r.returncode:
            raise SystemExit(f"{cmd}: {r.returncode}\n{r.stderr}")
        if timed:
            wall, peak = (self.dir / "time").read_text().split("\n")[-2].split()
            return float(wall), int(peak) / 1024

    def idle(self, seconds):
        """Share of a core, over whole seconds of nothing to do."""
        before = cpu_s(self.process.pid)
        time.sleep(seconds)
        return (cpu_s(self.process.pid) - before) / seconds

    def stop(self):
        if self.process:
            stop(self.process)
            self.log.close()
        self.process = None


# ---- one certificate ----

def one(build, tmp, ca, o):
    out = {}
    for proto in PROTOCOLS:
        a = Agent(build, tmp / f"one-{proto}")
        a.configure(ca.sections(), [(f"one-{proto}", proto, "")])
        a.start()
        wait_for(lambda: (a.store / f"certs/one-{proto}/latest.crt").exists() and a.get()["agent"]["jobs"] == 0, 60)
        time.sleep(1)
        enrolled = memory(a.process.pid)
        a.stop()
        a.start()
        wait_for(a.seen, 30)
        time.sleep(1)
        out[proto] = {"enrolled": enrolled, "restarted": memory(a.process.pid)}
        if proto == "est":
            out["idle"] = a.idle(o.idle)
        a.stop()
    return out


# ---- ten thousand ----

def multiply(store, name, n):
    """Copies of one entry, as if each had been enrolled: pair, chain, settings and no record yet."""
    for i in range(n):
        to = f"host-{i:05}"
        shutil.copytree(store / "certs" / name, store / "certs" / to, symlinks=True)
        for kind in ("conf", "last"):
            text = (store / f"state/{name}.{kind}").read_text().replace(f'"{name}"', f'"{to}"').replace(f"CN={name}", f"CN={to}")
            (store / f"state/{to}.{kind}").write_text(text)


def records_write(store, name, names):
    """What the agent would write within ten minutes."""
    text = (store / f"state/{name}.life").read_text()
    for i, n in enumerate(names):
        crt = store / "certs" / n / "latest.crt"
        st, stem = crt.stat(), os.readlink(crt.parent / "current")[len(".gen/"):]
        one = re.sub(r"(?m)^file = .*", f"file = {stem} {st.st_ino} {st.st_size} {st.st_mtime_ns}", text.replace(f'"{name}"', f'"{n}"'))
        (store / f"state/{n}.life").write_text(re.sub(r"(?m)^spread = .*", f"spread = {(i + 1) * 0x9e3779b97f4a7c15 & (1 << 64) - 1:016x}", one))


def many(build, tmp, ca, o):
    a = Agent(build, tmp / "one-est")
    names = [f"host-{i:05}" for i in range(o.n)]
    multiply(a.store, "one-est", o.n)
    out, entries = {"n": o.n}, [(n, "est", "") for n in names]
    a.configure(ca.sections(), entries)
    for turn in ("without records", "with records"):
        if turn == "with records" and not o.records:
            records_write(a.store, "one-est", names)
        a.start()
        wait_for(a.seen, 120, 0.25)  # asked seldom: an answer about 10,000 is work of the agent, too
        out[turn] = {"known_s": time.monotonic() - a.since, "cpu_s": cpu_s(a.process.pid)}
        if turn == "without records":
            life = lambda: sum(1 for f in os.scandir(a.store / "state") if f.name.endswith(".life"))
            if o.records:
                wait_for(lambda: life() >= o.n, 1200, 1)
                out[turn].update(records_s=time.monotonic() - a.since, records_cpu_s=cpu_s(a.process.pid))
        else:
            out["memory"] = memory(a.process.pid)
            out["idle"] = a.idle(o.idle)
        a.stop()
    for path in (("status",), ("status", "--json"), ("check",), ("metrics",)):
        out[" ".join(path)] = a.muster(*path, timed=True, check=False)
    a.configure(ca.sections(), entries, interval="1min")
    a.start()
    wait_for(a.seen, 120)
    out["interval_cpu_s"] = a.idle(180) * 60
    out["memory later"] = memory(a.process.pid)
    a.stop()
    return out


# ---- renewals ----

def generations(store, names):
    out = {}
    for n in names:
        try:
            out[n] = os.readlink(store / "certs" / n / "current")
        except OSError:
            out[n] = None
    return out


def enroll_all(a, names):
    """By hand, two at a time: the agent's own pace is ten first requests a minute."""
    for i in range(0, len(names), 2):
        cmds = [[str(c) for c in (a.build / "src/cmd/muster/muster", "--config", a.conf, "--store", a.store, "--socket", a.socket, "--no-input", "-q",
                                  "enroll", n)] for n in names[i:i + 2]]
        for p in [subprocess.Popen(c, stdout=subprocess.DEVNULL) for c in cmds]:
            if p.wait():
                raise SystemExit(f"{p.args}: {p.returncode}")


def renewals(build, tmp, ca, o, proto):
    """All end within the hour, and who ends within the hour is not paced: how fast the agent is when it hurries."""
    names = [f"{proto}-{i:04}" for i in range(o.renewals)]
    a = Agent(build, tmp / f"renew-{proto}")
    a.configure(ca.sections(), [(n, proto, "key = rsa:2048\n" if proto == "scep" else "") for n in names])
    enroll_all(a, names)
    before = generations(a.store, names)
    shift = 365 * DAY - 1800
    ca.stop()
    ca.start(shift)
    ca_before = cpu_s(ca.process.pid)
    a.start(shift)
    try:
        wait_for(lambda: all(before[n] != g for n, g in generations(a.store, names).items()), 600, 0.1)
        took = time.monotonic() - a.since
        out = {"n": len(names), "s": took, "per_minute": 60 * len(names) / took, "agent_cpu_ms": 1000 * cpu_s(a.process.pid) / len(names),
               "ca_cpu_ms": 1000 * (cpu_s(ca.process.pid) - ca_before) / len(names), **memory(a.process.pid)}
    finally:
        a.stop()
        ca.stop()
        ca.start(0)
    return out


# ---- certmonger ----

class Certmonger:
    """Without a bus, in directories of its own; getcert finds it by what -c hands to its command. One at a time: a second
    one waits for the first."""

    running = []

    def __init__(self, dir):
        self.dir, self.process = dir, None
        for d in ("requests", "cas", "tmp", "certs"):
            (dir / d).mkdir(parents=True, exist_ok=True)
        self.env = {**os.environ, "CERTMONGER_REQUESTS_DIR": str(dir / "requests"), "CERTMONGER_CAS_DIR": str(dir / "cas"), "CERTMONGER_TMPDIR": str(dir / "tmp")}

    def start(self, patience=120):
        ready = self.dir / "env"
        ready.unlink(missing_ok=True)
        self.since = time.monotonic()
        self.process = subprocess.Popen(["certmonger", "-L", "-n", "-d", "0", "-c", f"sh -c 'env > {ready}.new; mv {ready}.new {ready}; exec sleep 86400'"],
                                        env=self.env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
        Certmonger.running.append(self)
        wait_for(ready.exists, patience)
        self.child = dict(line.split("=", 1) for line in ready.read_text().splitlines() if "=" in line)

    def getcert(self, *args, check=True, timeout=600):
        r = subprocess.run(["getcert", *map(str, args)], env=self.child, capture_output=True, text=True, timeout=timeout)
        if check and r.returncode:
            raise SystemExit(f"getcert {args}: {r.stdout}{r.stderr}")
        return r.stdout

    def monitored(self, n):
        """What its own files say: asking it over its bus would be work of ours on its account."""
        return sum("\nstate=MONITORING" in f.read_text() for f in (self.dir / "requests").iterdir()) >= n

    def stop(self):
        if self.process:
            os.killpg(self.process.pid, signal.SIGTERM)
            try:
                self.process.wait(60)
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait()
        self.process = None


def certmonger(tmp, ca, o):
    c = Certmonger(tmp / "certmonger")
    challenge = ca.secret("challenge1").read_text().strip()
    c.start()
    out = {"empty": memory(c.process.pid)}
    c.getcert("add-scep-ca", "-c", "mdm", "-u", ca.scep, "-N", ca.root, "-r", ca.root)
    request = lambda n, *more: c.getcert("request", "-c", "mdm", "-I", n, "-f", c.dir / f"certs/{n}.crt", "-k", c.dir / f"certs/{n}.key",
                                         "-N", f"O=Bench,CN={n}", "-L", challenge, *more)
    request("dev0", "-w", "-v")
    out["one"] = memory(c.process.pid)
    names = [f"dev{i}" for i in range(1, o.renewals // 3 + 1)]
    since = time.monotonic()
    for n in names:
        request(n)
    wait_for(lambda: c.monitored(len(names) + 1), 900, 0.2)
    out["enrolled_per_minute"] = 60 * len(names) / (time.monotonic() - since)
    certs = {n: (c.dir / f"certs/{n}.crt").read_bytes() for n in names}
    since = time.monotonic()
    for n in names:
        c.getcert("rekey", "-i", n)
    wait_for(lambda: all((c.dir / f"certs/{n}.crt").read_bytes() != old for n, old in certs.items()) and c.monitored(len(names) + 1), 900, 0.2)
    out["renewed_per_minute"] = 60 * len(names) / (time.monotonic() - since)
    c.stop()
    template = next(f.read_text() for f in (c.dir / "requests").iterdir() if re.search(r"^id=dev0$", f.read_text(), re.M))
    for n in (x for x in (1000, 10000) if x <= max(o.n, 1000)):
        d = Certmonger(tmp / f"certmonger-{n}")
        shutil.copytree(c.dir / "cas", d.dir / "cas", dirs_exist_ok=True)
        for i in range(n):
            for end in ("crt", "key"):
                shutil.copy(c.dir / f"certs/dev0.{end}", d.dir / f"certs/h{i}.{end}")
            text = template.replace(str(c.dir / "certs/dev0."), str(d.dir / f"certs/h{i}."))
            (d.dir / f"requests/h{i}").write_text(re.sub(r"^id=dev0$", f"id=h{i}", text, flags=re.M))
        try:
            d.start(o.patience)
            row = {"ready_s": time.monotonic() - d.since}
            d.getcert("status", "-i", f"h{n - 1}", check=False, timeout=o.patience)
            row["answered_s"] = time.monotonic() - d.since
            time.sleep(o.idle)
            before = cpu_s(d.process.pid)
            time.sleep(o.idle)
            row.update(memory(d.process.pid), cpu_s=cpu_s(d.process.pid), idle=(cpu_s(d.process.pid) - before) / o.idle)
        except (subprocess.TimeoutExpired, SystemExit) as e:
            row = {"failed": f"no answer within {o.patience} s" if isinstance(e, subprocess.TimeoutExpired) else f"its command is not started within {o.patience} s"}
            row.update(memory(d.process.pid), cpu_s=cpu_s(d.process.pid))
        out[str(n)] = row
        d.stop()
    return out


# ---- all of it ----

def mb(m):
    return f"{m['rss_mb']:.1f} MB resident, {m['dirty_mb']:.1f} MB private dirty"


def show(r):
    if "one" in r:
        for proto in PROTOCOLS:
            print(f"one certificate, {proto}: after it was enrolled {mb(r['one'][proto]['enrolled'])}; started again {mb(r['one'][proto]['restarted'])} (targets 13, 4)")
        print(f"one certificate, idle: {r['one']['idle']:.3%} of a core (target 0.1 %)")
    if "many" in r:
        m = r["many"]
        for turn in ("without records", "with records"):
            print(f"{m['n']} certificates, {turn}: each due date known after {m[turn]['known_s']:.2f} s (target 2), {m[turn]['cpu_s']:.2f} s of CPU")
        if "records_s" in m["without records"]:
            print(f"{m['n']} certificates: all records written after {m['without records']['records_s']:.0f} s, {m['without records']['records_cpu_s']:.1f} s of CPU")
        print(f"{m['n']} certificates: {mb(m['memory'])}, later {mb(m['memory later'])} (target 60); idle {m['idle']:.3%} of a core; a look at all of them "
              f"{m['interval_cpu_s']:.2f} s of CPU, {m['interval_cpu_s'] / 3600:.3%} at one an hour (target 0.1 %)")
        for path in ("status", "status --json", "check", "metrics"):
            print(f"{m['n']} certificates: muster {path}: {m[path][0]:.2f} s, {m[path][1]:.1f} MB at most")
    for proto, x in r.get("renewals", {}).items():
        print(f"renewals over {proto}: {x['per_minute']:.0f} a minute ({x['n']} in {x['s']:.1f} s), CPU {x['agent_cpu_ms']:.1f} ms of the agent "
              f"and {x['ca_cpu_ms']:.1f} ms of the responder for each; {mb(x)}")
    if "certmonger" in r:
        c = r["certmonger"]
        print(f"certmonger: empty {mb(c['empty'])}; one certificate {mb(c['one'])}")
        print(f"certmonger: {c['enrolled_per_minute']:.0f} enrollments and {c['renewed_per_minute']:.0f} renewals a minute over SCEP")
        for n in ("1000", "10000"):
            x = c.get(n)
            if x and "failed" in x:
                print(f"certmonger, {n} certificates: {x['failed']}; {mb(x)}, {x['cpu_s']:.1f} s of CPU")
            elif x:
                print(f"certmonger, {n} certificates: runs after {x['ready_s']:.1f} s, answers after {x['answered_s']:.1f} s, {mb(x)}, {x['cpu_s']:.1f} s of CPU, "
                      f"idle {x['idle']:.3%} of a core")


def main():
    a = argparse.ArgumentParser()
    a.add_argument("--build", default=ROOT / "build", type=Path)
    a.add_argument("-n", type=int, default=10000, help="certificates of one agent")
    a.add_argument("--renewals", type=int, default=300, help="per protocol")
    a.add_argument("--idle", type=int, default=30, help="seconds of nothing to do")
    a.add_argument("--records", action="store_true", help="wait until all first records are written: ten minutes more")
    a.add_argument("--patience", type=int, default=300, help="seconds until certmonger has to answer")
    a.add_argument("--only", default="one,many,renewals,certmonger", help="parts of it, by comma")
    a.add_argument("--json", type=Path)
    o = a.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: exit(1))  # what was started is stopped, what is known is shown
    build, parts, r = o.build.resolve(), o.only.split(","), {}
    with tempfile.TemporaryDirectory(prefix="muster-bench-", dir=os.environ.get("TMPDIR", "/var/tmp")) as t:
        tmp = Path(t)
        ca = Ca(build, tmp / "demo")
        try:
            if "one" in parts or "many" in parts:
                r["one"] = one(build, tmp, ca, o)
            if "many" in parts:
                r["many"] = many(build, tmp, ca, o)
            for proto in PROTOCOLS if "renewals" in parts else ():
                r.setdefault("renewals", {})[proto] = renewals(build, tmp, ca, o, proto)
            if "certmonger" in parts and shutil.which("certmonger"):
                r["certmonger"] = certmonger(tmp, ca, o)
        finally:
            for c in Certmonger.running:
                c.stop()
            ca.stop()
            show(r)
    if o.json:
        o.json.write_text(json.dumps(r, indent=1))


if __name__ == "__main__":
    main()
