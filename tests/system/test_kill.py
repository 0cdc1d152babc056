"""Kill -9 before and after each write, sync, rename, commit and send that somebody outside can see,
and at random under load. After it: no key and certificate are mixed, every recorded certificate
reaches its client, none was answered that is not recorded. Since a kill cannot show a missing
fsync, the order of the calls themselves is checked too.

The programs are those of the release build: a preloaded library cannot come before a sanitizer."""
import json
import os
import random
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from conftest import Demo, Server, run

RANDOM_KILLS = int(os.environ.get("MUSTER_KILLS", "15"))  # script/soak asks for 200


@pytest.fixture(scope="module")
def release():
    p = Path(os.environ.get("MUSTER_RELEASE", os.environ.get("MUSTER_BUILD", "build")))
    assert (p / "tests/system/killat.so").exists(), f"no killat.so in {p}"
    return p


@pytest.fixture(scope="module")
def ca(release, tmp_path_factory):
    d = Demo(release, tmp_path_factory.mktemp("kill") / "demo", "--sqlite")
    yield d
    d.stop()


def preload(release, log=None, n=None, when=None):
    env = {"LD_PRELOAD": str(release / "tests/system/killat.so")}
    if log:
        env["KILLAT_LOG"] = str(log)
    if n:
        env.update(KILLAT_N=str(n), KILLAT_WHEN=when)
    return env


def events(log):
    """[(number, call, path or 'socket', new path)] in order."""
    out = []
    for line in Path(log).read_text().splitlines():
        part = line.split(" ")
        out.append((int(part[0]), part[1], part[2], part[3] if len(part) > 3 else ""))
    return out


def enroll(release, ca, store, name, secret, env=None, timeout=60):
    args = [str(release / "src/cmd/muster/muster"), "--store", str(store), "--no-input", "-q", "enroll", name, "--via", "scep",
            "--url", ca.url, "--subject", f"/CN={name}", "--challenge-file", str(secret), "--pin", ca.pin]
    full = dict(os.environ)
    full.update(env or {})
    return subprocess.run(args, env=full, capture_output=True, text=True, timeout=timeout)


def pair_is_whole(store, name):
    """latest.key and latest.crt are both there and belong together, or both are absent."""
    d = Path(store) / "certs" / name
    key, crt = d / "latest.key", d / "latest.crt"
    if not crt.exists() and not key.exists():
        return False
    assert crt.exists() and key.exists(), sorted(os.listdir(d))
    a = subprocess.run(["openssl", "pkey", "-in", key, "-pubout"], capture_output=True, text=True, check=True).stdout
    b = subprocess.run(["openssl", "x509", "-in", crt, "-noout", "-pubkey"], capture_output=True, text=True, check=True).stdout
    assert a == b, "key and certificate are mixed"
    assert (d / "ca.crt-0").exists()
    return True


def issued(release, ca, subject):
    r = run(release / "src/cmd/muster-ca/muster-ca", "--dir", ca.dir, "issued", "list", "--json", "--subject", subject)
    assert r.code == 0, r
    return [row for row in json.loads(r.out)["issued"] if subject in row["subject"]]


@pytest.fixture(scope="module")
def secret(ca, tmp_path_factory):
    out = subprocess.run(["openssl", "x509", "-in", ca.root, "-noout", "-fingerprint", "-sha256"], capture_output=True, text=True, check=True)
    ca.pin = out.stdout.strip().split("=", 1)[1]
    return ca.secret("challenge1", tmp_path_factory.mktemp("secret") / "challenge1")


def test_client_killed_at_every_visible_call(release, ca, secret, tmp_path):
    log = tmp_path / "calls"
    r = enroll(release, ca, tmp_path / "whole", "whole", secret, preload(release, log))
    assert r.returncode == 0, r.stderr
    total = len(events(log))
    assert total > 20, "the log has too few calls to be true"
    kills = 0
    for n in range(1, total + 1):
        for when in ("before", "after"):
            name = f"k{n}{when[0]}"
            store = tmp_path / name
            r = enroll(release, ca, store, name, secret, preload(release, None, n, when))
            # A run may need a call less than the first one did (timing of the sockets).
            assert r.returncode in (-signal.SIGKILL, 0), (n, when, r.stderr)
            kills += r.returncode == -signal.SIGKILL
            if (store / "certs" / name).exists():
                pair_is_whole(store, name)
            r = enroll(release, ca, store, name, secret)
            assert r.returncode == 0, (n, when, r.stderr)
            assert pair_is_whole(store, name), (n, when)
            assert len(issued(release, ca, f"CN={name}")) == 1, f"killed {when} call {n}: issued more than once"
            left = [str(p) for p in store.rglob("*") if re.search(r"(\.tmp|~|\.new)$|/\.#", str(p))]
            assert not left, left
            shutil.rmtree(store)
    print(f"{kills} kills at {total} calls")
    assert kills >= 2 * (total - 4)


def test_renewal_killed_at_every_visible_call_keeps_a_working_pair(release, ca, secret, tmp_path):
    base = tmp_path / "base"
    assert enroll(release, ca, base, "r", secret).returncode == 0
    muster = release / "src/cmd/muster/muster"

    def renew(store, env=None):
        full = dict(os.environ)
        full.update(env or {})
        return subprocess.run([muster, "--store", store, "--no-input", "-q", "renew", "r", "--force"], env=full, capture_output=True, text=True, timeout=60)

    log = tmp_path / "calls"
    shutil.copytree(base, tmp_path / "whole", symlinks=True)
    r = renew(tmp_path / "whole", preload(release, log))
    assert r.returncode == 0, r.stderr
    total = len(events(log))
    for n in range(1, total + 1, 1):
        when = ("before", "after")[n % 2]
        store = tmp_path / f"n{n}"
        shutil.copytree(base, store, symlinks=True)
        renew(store, preload(release, None, n, when))
        assert pair_is_whole(store, "r"), f"killed {when} call {n}: no pair in use"
        r = renew(store)
        assert r.returncode == 0, (n, when, r.stderr)
        assert pair_is_whole(store, "r")
        shutil.rmtree(store)


def test_client_order_of_write_sync_rename_and_send(release, ca, secret, tmp_path):
    """A file is synced before it gets its name, its directory after; the request's key and state are
    durable before anything is sent that the CA remembers; the switch comes after all of its files."""
    log = tmp_path / "calls"
    store = tmp_path / "o"
    assert enroll(release, ca, store, "o", secret, preload(release, log)).returncode == 0
    ev = events(log)
    inside = [e for e in ev if str(store) in e[2] or str(store) in e[3]]
    assert inside
    renames = [e for e in ev if e[1].startswith("rename")]
    assert renames
    writes = [e for e in ev if e[1] in ("write", "pwrite", "pwrite64", "writev") and str(store) in e[2]]
    assert writes
    for n, _, path, _ in writes:
        synced = [s for s in ev if s[1] in ("fsync", "fdatasync") and s[2] == path and s[0] > n]
        assert synced, f"{path} was written and never synced"
        moved = [m for m in renames if m[2].split("/")[-1] == path.split("/")[-1] and m[0] > n]
        for m in moved[:1]:
            assert synced[0][0] < m[0], f"{path} got its name before it was synced"
    for n, _, old, new in renames:
        later = [s for s in ev if s[1] in ("fsync", "fdatasync") and s[0] > n and Path(s[2]).is_dir()]
        assert later, f"no directory was synced after {new}"
    def last(kind):
        found = [e[0] for e in ev if kind(e)]
        return max(found) if found else None
    sends = [e[0] for e in ev if e[2] == "socket"]
    post = max(sends)
    state = [e[0] for e in ev if "/state/" in e[2] + e[3] and e[1].startswith("rename") and e[0] < post]
    assert state, "nothing about the request was stored before it was sent"
    synced_dirs = [e[0] for e in ev if e[1] in ("fsync", "fdatasync") and e[2].endswith("/state") and max(state) < e[0] < post]
    assert synced_dirs, "the state's directory was not synced before the request was sent"
    switch = [e[0] for e in ev if e[1].startswith("rename") and e[3].split("/")[-1] == "current"]
    assert len(switch) == 1, "the pair is switched by one rename"
    for ending in (".key", ".crt"):
        named = [e[0] for e in ev if e[1].startswith(("rename", "link")) and e[3].endswith(ending) and "latest" not in e[3] and "/state/" not in e[3]]
        assert named and max(n for n in named if n < switch[0]) < switch[0]
    removed = [e[0] for e in ev if e[1].startswith("unlink") and ".pending" in e[2]]
    assert removed and min(removed) > switch[0], "the request was forgotten before the pair was in use"


def test_responder_answers_only_what_is_durable(release, secret, ca, tmp_path):
    """In the responder's calls each answer to an enrollment comes after a sync of the write-ahead log
    that follows the last write to it."""
    log = tmp_path / "calls"
    d = Demo(release, tmp_path / "demo", "--sqlite", env=preload(release, log))
    d.pin = subprocess.run(["openssl", "x509", "-in", d.root, "-noout", "-fingerprint", "-sha256"], capture_output=True, text=True).stdout.strip().split("=", 1)[1]
    mine = d.secret("challenge1", tmp_path / "c1")
    start = len(events(log))
    assert enroll(release, d, tmp_path / "s", "s1", mine).returncode == 0
    ev = events(log)[start:]
    d.stop()
    wal = [e for e in ev if e[2].endswith("-wal")]
    assert any(e[1].startswith("pwrite") or e[1] == "write" for e in wal), wal
    answers = [e[0] for e in ev if e[2] == "socket"]
    last_write = max(e[0] for e in wal if "write" in e[1])
    answer = max(answers)
    assert last_write < answer
    assert any(last_write < e[0] < answer for e in wal if e[1] in ("fsync", "fdatasync")), "answered before the log was synced"


def test_responder_killed_at_every_visible_call(release, secret, ca, tmp_path):
    """Killed anywhere in an enrollment and started again: the client's next try gets the certificate,
    and there is one only."""
    base = tmp_path / "base"
    d = Demo(release, base, "--sqlite")
    d.stop()

    def begin(dir, env=None):
        d = Demo(release, dir, "--sqlite", env=env)
        d.pin = subprocess.run(["openssl", "x509", "-in", d.root, "-noout", "-fingerprint", "-sha256"], capture_output=True, text=True).stdout.strip().split("=", 1)[1]
        return d

    log = tmp_path / "calls"
    shutil.copytree(base, tmp_path / "whole")
    d = begin(tmp_path / "whole", preload(release, log))
    first = len(events(log)) + 1
    mine = d.secret("challenge1", tmp_path / "c1")
    assert enroll(release, d, tmp_path / "s", "whole", mine).returncode == 0
    total = len(events(log))
    d.stop()
    assert total > first
    for n in range(first, total + 1):
        for when in ("before", "after"):
            name = f"s{n}{when[0]}"
            dir = tmp_path / name
            shutil.copytree(base, dir)
            d = begin(dir, preload(release, None, n, when))
            r = enroll(release, d, tmp_path / f"st{name}", name, mine)
            answered = r.returncode == 0
            d.kill()
            d.file.close()
            d = begin(dir)
            rows = issued(release, d, f"CN={name}")
            assert rows or not answered, f"killed {when} call {n}: answered and not recorded"
            # The port is another one after the restart: the stored request goes there.
            r = enroll(release, d, tmp_path / f"st{name}", name, mine)
            assert r.returncode == 0, (n, when, r.stderr)
            assert pair_is_whole(tmp_path / f"st{name}", name)
            assert len(issued(release, d, f"CN={name}")) == 1, f"killed {when} call {n}"
            d.stop()
            shutil.rmtree(dir)


def test_killed_at_random_under_load(release, secret, ca, tmp_path):
    """Client and responder killed at random while four clients enroll: nothing answered is missing from
    the record, everything recorded reaches its client."""
    rng = random.Random(os.environ.get("MUSTER_SEED", "1"))
    dir = tmp_path / "demo"

    def begin(port="0"):
        return Server([release / "src/cmd/muster-ca/muster-ca", "demo", "--dir", dir, "--sqlite", "--port", port], tmp_path / "demo.log", r"SCEP +(http://\S+)")

    d = begin()
    url = d.match.group(1).decode()
    port = re.search(r":(\d+)/", url).group(1)
    d.dir, d.url = dir, url
    d.pin = subprocess.run(["openssl", "x509", "-in", dir / "root.pem", "-noout", "-fingerprint", "-sha256"], capture_output=True, text=True).stdout.strip().split("=", 1)[1]
    mine = tmp_path / "c1"
    mine.touch(mode=0o600)
    mine.write_text(re.search(r"challenge1\s*[=:]\s*(\S+)", (dir / "credentials").read_text()).group(1) + "\n")
    clients, names, kills = {}, [], 0

    def spawn():
        name = f"l{len(names)}"
        names.append(name)
        clients[name] = again(name)

    def again(name):
        return subprocess.Popen([release / "src/cmd/muster/muster", "--store", tmp_path / "store", "--no-input", "-q", "enroll", name, "--via", "scep", "--url", url,
                                 "--subject", f"/CN={name}", "--challenge-file", mine, "--pin", d.pin], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    while kills < RANDOM_KILLS:
        while len(clients) < 4:
            spawn()
        time.sleep(rng.uniform(0.005, 0.15))
        if rng.random() < 0.5:
            d.kill()
            kills += 1
            d.file.close()
            d = begin(port)
            d.dir, d.url = dir, url
            d.pin = subprocess.run(["openssl", "x509", "-in", dir / "root.pem", "-noout", "-fingerprint", "-sha256"], capture_output=True, text=True).stdout.strip().split("=", 1)[1]
        else:
            victim = rng.choice(list(clients))
            clients[victim].kill()
            kills += 1
        for name, p in list(clients.items()):
            if p.poll() is not None:
                del clients[name]
    for p in clients.values():
        p.wait(60)
    for name in names:
        for _ in range(3):
            p = again(name)
            if p.wait(60) == 0:
                break
        assert p.returncode == 0, name
        assert pair_is_whole(tmp_path / "store", name)
        rows = issued(release, d, f"CN={name}")
        assert len([r for r in rows if r["subject"].endswith(f"CN={name}")]) == 1, name
    d.stop()
    print(f"{kills} kills, {len(names)} enrollments")
