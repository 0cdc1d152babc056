"""Kill -9 before and after each write, sync, rename, commit and send that somebody outside can see,
and at random under load. After it: no key and certificate are mixed, every recorded certificate
reaches its client, none was answered that is not recorded. Since a kill cannot show a missing
fsync, the order of the calls themselves is checked too (docs/durability.md).

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
from typing import NamedTuple

import pytest

from conftest import Demo, Server, run

RANDOM_KILLS = int(os.environ.get("MUSTER_KILLS", "15"))  # script/soak asks for 200
KILLED = -signal.SIGKILL
WRITES = ("write", "pwrite", "pwrite64", "writev")
SYNCS = ("fsync", "fdatasync")


@pytest.fixture(scope="module")
def release():
    p = Path(os.environ.get("MUSTER_RELEASE", os.environ.get("MUSTER_BUILD", "build")))
    assert (p / "tests/system/killat.so").exists(), f"no killat.so in {p}"
    return p


def begin(release, dir, env=None):
    """A demo responder over this directory, which may be an earlier one's, on a port of its own."""
    d = Demo(release, dir, "--sqlite", env=env)
    d.pin = fingerprint(d.root)
    return d


@pytest.fixture(scope="module")
def ca(release, tmp_path_factory):
    d = begin(release, tmp_path_factory.mktemp("kill") / "demo")
    yield d
    d.stop()


@pytest.fixture(scope="module")
def secret(ca, tmp_path_factory):
    return ca.secret("challenge1", tmp_path_factory.mktemp("secret") / "challenge1")


@pytest.fixture(scope="module")
def own_key(tmp_path_factory):
    """For passes whose subject is not how a key is made."""
    p = tmp_path_factory.mktemp("key") / "own.key"
    subprocess.run(["openssl", "genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", p], check=True, capture_output=True)
    p.chmod(0o600)
    return p


@pytest.fixture(scope="module")
def words(ca, secret, tmp_path_factory):
    """What lets one enroll, by protocol: a challenge, a password, the secret of a reference."""
    dir = tmp_path_factory.mktemp("words")
    password = ca.secret("estuser", dir / "estpwd")
    return {"scep": secret, "est": password, "pin": password, "cmp": ca.secret("fgt100f", dir / "fgt100f")}


# ---- the interposed calls ----

class Call(NamedTuple):
    n: int        # its place in the order in which calls began
    end: float    # calls with a greater number began after this one was done
    result: int
    call: str
    path: str     # or "socket" (TCP), "local" (administration)
    new: str


def preload(release, log=None, n=None, when=None):
    env = {"LD_PRELOAD": str(release / "tests/system/killat.so")}
    if log:
        env["KILLAT_LOG"] = str(log)
    if n:
        env.update(KILLAT_N=str(n), KILLAT_WHEN=when)
    return env


def events(log):
    """In the order in which they began. One that has not come back has no end yet."""
    begun, ended = {}, {}
    for line in Path(log).read_text().splitlines():
        n, call, *rest = line.split(" ")
        (ended if call == "=" else begun)[int(n)] = rest if call == "=" else [call, *rest]
    out = []
    for n, (call, path, *new) in sorted(begun.items()):
        end, result = map(int, ended[n]) if n in ended else (float("inf"), -1)
        out.append(Call(n, end, result, call, path, new[0] if new else ""))
    return out


def dir_of(path):
    return str(Path(path).parent)


def check_files(ev, below):
    """What is written is synced before it gets its name, and a directory after a name in it was made,
    changed or removed; returns how many names that were. The database is SQLite's own business
    (see check_answer), what only says that a process is there need not last, and the log of events is
    told after the fact: its torn end is skipped by who reads it."""
    names = 0
    ev = [e for e in ev if not re.search(r"/(lock|log/events[^/]*|log/trace/[^/]+|[^/]+\.lock|admin\.sock|muster-ca\.db(-\w+)?)$", e.path)]
    for w in [e for e in ev if e.call in WRITES and e.path.startswith(below)]:
        synced = [s for s in ev if s.call in SYNCS and s.path == w.path and s.n > w.end and s.result == 0]
        assert synced, f"{w} was never synced"
        for m in [m for m in ev if m.call.startswith("rename") and m.path == w.path and m.n > w.n]:
            assert any(s.end < m.n for s in synced), f"{m} before {w} was synced"
    for e in ev:
        if e.result != 0 or not e.call.startswith(("rename", "symlink", "link", "unlink", "mkdir")):
            continue
        name = e.new or e.path
        if not name.startswith(below) or ".tmp-" in name:
            continue
        names += 1
        assert any(s.call in SYNCS and s.path == dir_of(name) and s.n > e.end and s.result == 0 for s in ev), \
            f"{dir_of(name)} was not synced after {e}"
    return names


# ---- clients and records ----

def fingerprint(cert):
    out = subprocess.run(["openssl", "x509", "-in", cert, "-noout", "-fingerprint", "-sha256"], capture_output=True, text=True, check=True)
    return out.stdout.strip().split("=", 1)[1]


def muster(release, store, *args, env=None, timeout=60):
    full = dict(os.environ)
    full.update(env or {})
    return subprocess.run([str(release / "src/cmd/muster/muster"), "--store", str(store), "--no-input", "-q", *map(str, args)],
                          env=full, capture_output=True, text=True, timeout=timeout)


def enroll_est(release, ca, store, name, password, env=None, key=None, trust=None):
    return muster(release, store, "--debug", "est", "enroll", name, "--via", "est", "--url", ca.est, *(trust or ["--ca-cert", ca.root]), "--subject",
                  f"/CN={name}", "--user", "estuser", "--password-file", password, *(["--key-file", key] if key else []), env=env)


def enroll_pin(release, ca, store, name, password, env=None, key=None):
    """EST from a fingerprint: one connection fetches the CA, a second one does the rest (EST-19)."""
    return enroll_est(release, ca, store, name, password, env, key, ["--pin", ca.pin])


def enroll_cmp(release, ca, store, name, secret, env=None, key=None):
    return muster(release, store, "enroll", name, "--via", "cmp", "--url", f"{ca.host}/app/cert/cmp2", "--ca-cert", ca.root, "--subject",
                  f"/CN={name}", "--ref", "fgt100f", "--secret-file", secret, *(["--key-file", key] if key else []), env=env)


def enroll(release, ca, store, name, secret, env=None, key=None, more=()):
    return muster(release, store, "enroll", name, "--via", "scep", "--url", ca.url, "--subject", f"/CN={name}", "--challenge-file", secret,
                  "--pin", ca.pin, *(["--key-file", key] if key else []), *more, env=env)


ways = {"scep": enroll, "est": enroll_est, "pin": enroll_pin, "cmp": enroll_cmp}


def pair(store, name):
    """Serial of the pair in use, None if there is none. Key, certificate and chain are there together
    and the first two fit, or none of them is."""
    d = Path(store) / "certs" / name
    key, crt = d / "latest.key", d / "latest.crt"
    if not crt.exists() and not key.exists():
        return None
    assert crt.exists() and key.exists(), sorted(os.listdir(d))
    out = subprocess.run(["openssl", "x509", "-in", crt, "-noout", "-serial", "-pubkey"], capture_output=True, text=True, check=True).stdout
    serial, spki = out.split("\n", 1)
    assert spki == subprocess.run(["openssl", "pkey", "-in", key, "-pubout"], capture_output=True, text=True, check=True).stdout, \
        "key and certificate are mixed"
    assert (d / "ca.crt-0").exists()
    return serial.split("=")[1]


def records(release, ca, subject):
    """{name: [serial, newest first]} of the responder's records with CN=<subject>..."""
    out, before = {}, []
    while True:
        r = run(release / "src/cmd/muster-ca/muster-ca", "--dir", ca.dir, "issued", "list", "--json", "--limit", "1000", "--subject", subject, *before)
        assert r.code == 0, r
        rows = json.loads(r.out)["issued"]
        for row in rows:
            out.setdefault(row["subject"].rsplit("CN=", 1)[1], []).append(row["serial"])
        if len(rows) < 1000:
            return out
        before = ["--before", rows[-1]["id"]]


def check_nothing_left(store, name):
    left = [str(p) for p in store.rglob(".tmp-*") if name in str(p)]
    left += [str(p) for p in (store / "state" / f"{name}.pending", store / "state" / f"{name}.key", store / "secrets" / f"{name}.challenge") if p.exists()]
    assert not left, left


# ---- the client ----

@pytest.mark.parametrize("via,when", [("scep", "before"), ("scep", "after"), ("est", "before"), ("est", "after"),
                                      ("pin", "before"), ("cmp", "before"), ("cmp", "after")])
def test_client_killed_at_every_visible_call(release, ca, words, own_key, tmp_path, via, when):
    """Killed in an enrollment and started again. Before each call with a key that it makes itself,
    after each with one that is there (then a forgotten request is made again as it was)."""
    enroll, secret = ways[via], words[via]
    key = own_key if when == "after" else None
    log, begin = tmp_path / "calls", f"{via}-{when}-"
    r = enroll(release, ca, tmp_path / "whole", f"{begin}whole", secret, preload(release, log), key)
    assert r.returncode == 0, r.stderr
    total = len(events(log))
    assert total > 50, "the log has too few calls to be true"
    kills, serials = 0, {f"{begin}whole": pair(tmp_path / "whole", f"{begin}whole")}
    for n in range(1, total + 1):
        name = f"{begin}{n}"
        store = tmp_path / name
        r = enroll(release, ca, store, name, secret, preload(release, None, n, when), key)
        assert r.returncode == KILLED, f"not killed {when} call {n}: {r.stderr}"
        kills += 1
        had = pair(store, name)
        assert had or f"{via} saved:" not in r.stderr, f"killed {when} call {n}: told as saved before it was (E078)"
        r = enroll(release, ca, store, name, secret, key=key)
        assert r.returncode == 0, (n, when, r.stderr)
        serials[name] = pair(store, name)
        assert serials[name] and had in (None, serials[name]), f"killed {when} call {n}: another pair than before"
        check_nothing_left(store, name)
        shutil.rmtree(store)
    assert records(release, ca, f"CN={begin}") == {name: [serial] for name, serial in serials.items()}
    print(f"client, enrollment, {via}, {when}: {kills} kills at {total} calls")


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("via,more", [("scep", []), ("est", ["--rekey"]), ("cmp", [])])
def test_renewal_killed_at_every_visible_call_keeps_a_working_pair(release, ca, words, tmp_path, via, more, when):
    """At every moment a pair is in use; what was recorded arrives, and a renewal that never got out is
    begun again. SCEP and CMP (kur) take a new key by themselves, EST on wish."""
    base, log, cn = tmp_path / "base", tmp_path / "calls", f"renew-{via}-{when}"
    assert ways[via](release, ca, base, cn, words[via]).returncode == 0
    first = pair(base, cn)
    shutil.copytree(base, tmp_path / "whole", symlinks=True)
    r = muster(release, tmp_path / "whole", "renew", cn, "--force", *more, env=preload(release, log))
    assert r.returncode == 0, r.stderr
    total, again = len(events(log)), 0
    assert total > 30
    for n in range(1, total + 1):
        store = tmp_path / f"n{n}"
        shutil.copytree(base, store, symlinks=True)
        known = records(release, ca, f"CN={cn}")[cn]
        r = muster(release, store, "renew", cn, "--force", *more, env=preload(release, None, n, when))
        assert r.returncode == KILLED, f"not killed {when} call {n}: {r.stderr}"
        had, issued = pair(store, cn), records(release, ca, f"CN={cn}")[cn]
        assert had in (first, issued[0]) and len(issued) - len(known) in (0, 1)
        r = muster(release, store, "poll", cn)  # nothing to do where no request is out
        assert r.returncode == 0, (n, when, r.stderr)
        now, issued = pair(store, cn), records(release, ca, f"CN={cn}")[cn]
        if len(issued) == len(known):
            assert now == had == first
            again += 1
            r = muster(release, store, "renew", cn, "--force", *more)
            assert r.returncode == 0, (n, when, r.stderr)
            now, issued = pair(store, cn), records(release, ca, f"CN={cn}")[cn]
        assert now == issued[0] and len(issued) == len(known) + 1, f"killed {when} call {n}"
        check_nothing_left(store, cn)
        shutil.rmtree(store)
    assert 0 < again < total
    print(f"client, renewal, {via}, {when}: {total} kills at {total} calls")


@pytest.mark.parametrize("renews", [False, True])
def test_client_order_of_write_sync_rename_and_send(release, ca, secret, tmp_path, renews):
    """A file is synced before it gets its name, its directory after; the request, its key and
    everything above it are durable before anything is sent that the CA remembers; the switch is one
    call, after all of its files are durable and before the request is forgotten."""
    log, store, name = tmp_path / "calls", tmp_path / "a" / "b", f"order-{renews}".lower()
    env = preload(release, log)
    assert enroll(release, ca, store, name, secret, None if renews else env).returncode == 0
    if renews:
        assert muster(release, store, "renew", name, "--force", env=env).returncode == 0
    ev = events(log)
    assert [e.n for e in ev] == list(range(1, len(ev) + 1))
    assert check_files(ev, str(tmp_path)) >= (12 if renews else 24)
    post = [e for e in ev if e.path == "socket"][-1]
    before, after = [e for e in ev if e.end < post.n], [e for e in ev if e.n > post.end]
    assert check_files(before, str(tmp_path)) >= (2 if renews else 10), "the message was sent before what it needs was durable"
    stored = [e.new for e in before if e.call.startswith("rename")]
    assert f"{store}/state/{name}.pending" in stored and f"{store}/state/{name}.key" in stored
    switch = [e for e in after if e.call.startswith(("rename", "symlink")) and e.new == f"{store}/certs/{name}/current"]
    assert [e.call[:6] for e in switch] == (["rename"] if renews else ["symlin"]), switch
    pair_ev = [e for e in after if e.end < switch[0].n]
    named = [e.new for e in pair_ev if e.call.startswith("rename")]
    for ending in (".key", ".crt", "/ca.crt-0"):
        assert any(n.endswith(ending) and "latest" not in n for n in named), ending
    assert check_files(pair_ev, f"{store}/certs/") >= (6 if renews else 10)
    removed = [e for e in after if e.call.startswith("unlink") and e.result == 0]
    assert f"{store}/state/{name}.pending" in [e.path for e in removed]
    for e in removed:
        between = [s for s in after if s.call in SYNCS and s.path == f"{store}/certs/{name}" and switch[0].end < s.n and s.end < e.n]
        assert between, f"{e} before the pair was durable"


# ---- the responder ----

def check_answer(ev, kind):
    """The answer that ends this begins after a sync of the write-ahead log that began after the last
    write to it."""
    wal = [e for e in ev if e.path.endswith("-wal")]
    answer = [e for e in ev if e.path == kind][-1]
    written = [e for e in wal if e.call in WRITES]
    assert written and max(e.end for e in written) < answer.n, "answered while its record was written"
    last = max(e.end for e in written)
    assert any(e.call in SYNCS and e.result == 0 and last < e.n and e.end < answer.n for e in wal), "answered before the log was synced"


def test_responder_answers_only_what_is_durable(release, tmp_path):
    """Issued, renewed, pending, approved, revoked: each is told after it was committed."""
    log, store = tmp_path / "calls", tmp_path / "s"
    d = begin(release, tmp_path / "demo", preload(release, log))
    mine, waits = d.secret("challenge1", tmp_path / "c1"), d.secret("challenge2", tmp_path / "c2")
    muster_ca = [release / "src/cmd/muster-ca/muster-ca", "--dir", d.dir]

    def step(kind, code, call, *args, **more):
        start = events(log)[-1].n
        r = call(*args, **more)
        got = r.returncode if hasattr(r, "returncode") else r.code
        assert got == code, r
        check_answer([e for e in events(log) if e.n > start], kind)

    step("socket", 0, enroll, release, d, store, "s1", mine)
    step("socket", 0, muster, release, store, "renew", "s1", "--force")
    step("socket", 5, enroll, release, d, store, "s2", waits, more=["--no-wait"])
    queue = json.loads(run(*muster_ca, "queue", "list", "--json").out)["queue"]
    assert len(queue) == 1
    step("local", 0, run, *muster_ca, "queue", "approve", str(queue[0]["id"]))
    # The certificate was made at the approval; that it was fetched is not promised, only what it is.
    assert muster(release, store, "poll", "s2").returncode == 0
    assert records(release, d, "CN=s2")["s2"] == [pair(store, "s2")]
    step("local", 0, run, *muster_ca, "revoke", pair(store, "s1"), "--reason", "superseded")
    start = events(log)[-1].n
    d.stop()
    check_files(events(log), str(d.dir.parent / "demo"))
    assert events(log)[-1].n > start


def test_responder_killed_at_every_visible_call(release, tmp_path):
    """Killed anywhere in an enrollment and started again, on another port: the client's next try goes
    on with its request there and gets the certificate, and there is one only. Each has a key of its
    own: with the same one the same request is made again, even where it was forgotten."""
    base, log = tmp_path / "base", tmp_path / "calls"
    begin(release, base).stop()
    shutil.copytree(base, tmp_path / "whole")
    d = begin(release, tmp_path / "whole", preload(release, log))
    first = len(events(log)) + 1
    mine = d.secret("challenge1", tmp_path / "c1")
    assert enroll(release, d, tmp_path / "s", "whole", mine).returncode == 0
    total = len(events(log))
    d.stop()
    assert total - first > 5
    kills, answered, unanswered = 0, 0, 0
    for n in range(first, total + 1):
        for when in ("before", "after"):
            name, dir, store = f"s{n}{when[0]}", tmp_path / f"s{n}{when[0]}", tmp_path / f"st{n}{when[0]}"
            shutil.copytree(base, dir)
            d = begin(release, dir, preload(release, None, n, when))
            r = enroll(release, d, store, name, mine)
            assert r.returncode in (0, 3), (n, when, r.stderr)
            assert d.process.wait(20) == KILLED, f"not killed {when} call {n}"
            kills += 1
            d.file.close()
            d = begin(release, dir)
            recorded = records(release, d, f"CN={name}").get(name, [])
            if r.returncode == 0:
                answered += 1
                assert recorded == [pair(store, name)], f"killed {when} call {n}: answered and not recorded"
            else:
                unanswered += len(recorded)
                r = enroll(release, d, store, name, mine)
                assert r.returncode == 0, (n, when, r.stderr)
                assert records(release, d, f"CN={name}")[name] == [pair(store, name)], f"killed {when} call {n}"
                assert recorded in ([], [pair(store, name)]), f"killed {when} call {n}: the recorded one never arrived"
            d.stop()
            shutil.rmtree(dir)
    # Both ways of losing an answer were met, or the test looked at nothing.
    assert answered >= 1 and unanswered >= 2, (answered, unanswered)
    print(f"responder, enrollment: {kills} kills at {total - first + 1} calls, {unanswered} recorded and not yet answered")


def test_responder_killed_while_it_starts_and_stops(release, own_key, tmp_path):
    """What was recorded is there after a kill while the first start makes the CA, and while a later
    one starts or stops."""
    base, log, kills = tmp_path / "base", tmp_path / "calls", 0

    def killed(dir, n, when):
        try:
            d = begin(release, dir, preload(release, None, n, when))
        except AssertionError:
            return 1  # before it was ready
        d.process.send_signal(signal.SIGTERM)
        code = d.process.wait(20)
        d.file.close()
        return code == KILLED

    d = begin(release, base, preload(release, log))
    mine = d.secret("challenge1", tmp_path / "c1")
    made = len(events(log))
    assert enroll(release, d, tmp_path / "s", "e1", mine, key=own_key).returncode == 0
    serial = pair(tmp_path / "s", "e1")
    d.stop()
    check_files(events(log), str(base))
    for i, n in enumerate(range(1, made + 1, max(1, made // 10))):
        dir = tmp_path / f"new{n}"
        assert killed(dir, n, ("before", "after")[i % 2])
        kills += 1
        d = begin(release, dir)
        assert enroll(release, d, tmp_path / f"ns{n}", "e2", mine, key=own_key).returncode == 0
        d.stop()
        shutil.rmtree(dir)
    log.unlink()
    shutil.copytree(base, tmp_path / "whole")
    begin(release, tmp_path / "whole", preload(release, log)).stop()
    again = len(events(log))
    for i, n in enumerate(range(1, again + 1, max(1, again // 30))):
        dir = tmp_path / f"old{n}"
        shutil.copytree(base, dir)
        kills += killed(dir, n, ("before", "after")[i % 2])
        d = begin(release, dir)
        assert records(release, d, "CN=e1") == {"e1": [serial]}, n
        d.stop()
        shutil.rmtree(dir)
    print(f"responder, start and stop: {kills} kills at {made} and {again} calls")
    assert kills >= 35


# ---- both, at random ----

def test_killed_at_random_under_load(release, tmp_path):
    """Client and responder killed at random while four clients enroll: nothing answered is missing from
    the record, everything recorded reaches its client."""
    rng = random.Random(os.environ.get("MUSTER_SEED", "1"))
    dir, store = tmp_path / "demo", tmp_path / "store"

    def start(port="0"):
        d = Server([release / "src/cmd/muster-ca/muster-ca", "demo", "--dir", dir, "--sqlite", "--port", port], tmp_path / "demo.log", r"SCEP +(http://\S+)")
        d.dir, d.url, d.pin = dir, d.match.group(1).decode(), fingerprint(dir / "root.pem")
        return d

    d = start()
    url, pin = d.url, d.pin
    port = re.search(r":(\d+)/", url).group(1)
    clients, names, kills, answered = {}, [], {"client": 0, "responder": 0}, {}

    def client(name):
        return subprocess.Popen([release / "src/cmd/muster/muster", "--store", store, "--no-input", "-q", "enroll", name, "--via", "scep", "--url", url,
                                 "--subject", f"/CN={name}", "--challenge-file", dir / "challenge1", "--pin", pin], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    while sum(kills.values()) < RANDOM_KILLS:
        while len(clients) < 4:
            names.append(f"l{len(names)}")
            clients[names[-1]] = client(names[-1])
        time.sleep(rng.uniform(0.005, 0.3))
        if rng.random() < 0.5:
            d.kill()
            kills["responder"] += 1
            d.file.close()
            d = start(port)
            assert (d.url, d.pin) == (url, pin)
        else:
            victim = rng.choice(list(clients))
            clients[victim].kill()
            kills["client"] += clients[victim].wait() == KILLED
        for name, p in list(clients.items()):
            if p.poll() is not None:
                if p.returncode == 0:
                    answered[name] = pair(store, name)
                del clients[name]
    for p in clients.values():
        p.wait(60)
    recorded = records(release, d, "CN=l")
    for name in names:
        assert len(recorded.get(name, [])) <= 1, name
        assert name not in answered or recorded[name] == [answered[name]], name
    for name in names:
        p = client(name)
        assert p.wait(60) == 0, name
        assert pair(store, name), name
    for name in names:
        check_nothing_left(store, name)
    after = records(release, d, "CN=l")
    assert after == {name: [pair(store, name)] for name in names}
    assert all(after[name] == serials for name, serials in recorded.items())
    d.stop()
    print(f"random: {kills['client']} kills of a client, {kills['responder']} of the responder; {len(names)} enrollments, "
          f"{len(answered)} answered at once, {len(recorded)} recorded before the last try; seed {os.environ.get('MUSTER_SEED', '1')}")
