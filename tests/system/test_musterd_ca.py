"""The agent by itself against a CA: SCEP, EST and CMP enrolled, renewed, waited for; killed, cut off, without a
clock or a disk; beside a hand that does the same."""
import json
import os
import random
import re
import signal
import socket
import subprocess
import threading
import time

import pytest

from conftest import Demo, need, run
from musterd import Musterd, wait_for

DAY = 86400


class World:
    """A demo CA and an agent that has it in its configuration, by all three protocols."""

    def __init__(self, build, dir):
        self.build, self.dir = build, dir
        self.ca = build / "src/cmd/muster-ca/muster-ca"
        self.demo = None
        self.agent = Musterd(build, dir / "agent")
        self.sections = ""

    def start_demo(self, shift=None, *options):
        env = {"MUSTER_CLOCK_SHIFT": str(shift)} if shift is not None else None
        self.demo = Demo(self.build, self.dir / "demo", *options, env=env)
        return self.demo

    def configure(self, certificates, agent="check-interval = 1min", challenge="challenge1"):
        d = self.demo
        self.sections = f"""
[ca "scep"]
protocol = scep
url = {d.url}
trust = {d.root}
challenge = file:{d.secret(challenge, self.dir / challenge)}
challenge-once = no
[ca "est"]
protocol = est
url = {d.est}
trust = {d.root}
user = estuser
password = file:{d.secret("estuser", self.dir / "estuser")}
[ca "cmp"]
protocol = cmp
url = {d.host}
trust = {d.root}
ref = fgt100f
secret = file:{d.secret("fgt100f", self.dir / "fgt100f")}
[defaults]
key = ec:P-256
await-result = 1s
max-await-result = 60min
[template "rsa"]
key = rsa:2048
"""
        self.agent.configure(self.sections + certificates, agent)

    def muster(self, *args, **kw):
        a = self.agent
        return run(a.muster, "--config", a.conf, "--store", a.store, "--socket", a.socket, "--no-input", *args, **kw)

    def issued(self):
        r = run(self.ca, "--dir", self.demo.dir, "issued", "list", "--json")
        assert r.code == 0, r
        return [i for i in json.loads(r.out)["issued"] if "127.0.0.1" not in i["subject"]]  # its own for TLS

    def approve(self):
        r = run(self.ca, "--dir", self.demo.dir, "queue", "list", "--json")
        ids = [q["id"] for q in json.loads(r.out)["queue"]]
        for i in ids:
            assert run(self.ca, "--dir", self.demo.dir, "queue", "approve", i).code == 0
        return len(ids)

    def serials(self):
        return {n: c["serial"] for n, c in self.agent.certs().items()}

    def all_in(self, state, seconds=60, names=None):
        def look():
            c = self.agent.certs()
            return c if c and all(c.get(n, {}).get("state") == state for n in (names or c)) else None
        try:
            return wait_for(look, seconds)
        except AssertionError:
            raise AssertionError(f"{self.agent.certs()}\n{self.agent.stderr()}")

    def end(self):
        self.agent.end()
        if self.demo:
            self.demo.stop()


@pytest.fixture
def world(build, tmp_path):
    w = World(build, tmp_path)
    yield w
    w.end()


ALL = """
[certificate "s"]
ca = scep
template = rsa
subject = /CN=s
[certificate "e"]
ca = est
subject = CN=e
san = DNS:e.example
[certificate "c"]
ca = cmp
subject = CN=c
"""


def subject_counts(world):
    counts = {}
    for i in world.issued():
        m = re.search(r"CN ?= ?([\w-]+)", i["subject"])
        counts[m.group(1)] = counts.get(m.group(1), 0) + 1
    return counts


def test_ready_first_then_all_three_protocols_are_enrolled(world):
    """S069, E094, issue 5: configured certificates of SCEP, EST and CMP enroll themselves."""
    world.start_demo()
    world.configure(ALL)
    world.agent.start()
    assert world.agent.messages[0] == "READY=1"
    world.all_in("OK")
    assert subject_counts(world) == {"s": 1, "e": 1, "c": 1}
    done = {(e["name"], e["action"], e["msg"]) for e in world.agent.events() if e.get("name")}
    for name, proto in (("s", "SCEP"), ("e", "EST"), ("c", "CMP")):
        assert (name, "certificate-generate", f"Successfully signed local certificate via {proto}") in done, done
        key = world.agent.store / "certs" / name / "latest.key"
        assert os.stat(key).st_mode & 0o777 == 0o600
    # a restart asks for nothing
    world.agent.stop()
    world.agent.start()
    world.all_in("OK")
    time.sleep(1)
    assert subject_counts(world) == {"s": 1, "e": 1, "c": 1}


def test_renewal_when_due_and_not_before(world):
    """S070, S071, E095, issue 5: a third of the lifetime left is due; renewed by itself, once."""
    world.start_demo()
    world.configure(ALL)
    world.agent.start()
    world.all_in("OK")
    first = world.serials()
    world.agent.stop()
    world.demo.stop()
    for days, renewed in ((240, False), (300, True)):
        world.start_demo(days * DAY)
        world.configure(ALL)
        world.agent.start(shift=days * DAY)
        if renewed:
            wait_for(lambda: all(world.serials()[n] != first[n] for n in first), 90)
        world.all_in("OK")
        time.sleep(1)
        assert (world.serials() != first) == renewed
        assert subject_counts(world) == {n: 2 if renewed else 1 for n in first}
        world.agent.stop()
        if not renewed:
            world.demo.stop()


def test_reload_adds_and_removes(world):
    world.start_demo()
    one, two = '[certificate "one"]\nca = est\nsubject = CN=one\n', '[certificate "two"]\nca = cmp\nsubject = CN=two\n'
    world.configure(one)
    world.agent.start()
    world.all_in("OK")
    world.configure(one + two)
    world.agent.process.send_signal(signal.SIGHUP)
    world.all_in("OK", names=["one", "two"])
    world.configure(two + '[certificate "gone"]\nca = est\nautomation = no\nsubject = CN=gone\n')
    world.agent.post("/v1/reload")
    assert world.agent.cert("gone")["state"] == "DISABLED"
    world.configure(two)
    world.agent.post("/v1/reload")
    assert "gone" not in world.agent.certs()
    time.sleep(0.5)
    assert subject_counts(world) == {"one": 1, "two": 1}


def test_what_is_pending_goes_on_after_a_kill_with_the_same_transaction(world):
    """S076, S077, issue 5."""
    world.start_demo()
    world.configure('[certificate "p"]\nca = scep\ntemplate = rsa\nsubject = CN=p\n', challenge="challenge2")
    world.agent.start()
    c = world.all_in("PENDING")["p"]
    txn = c["pending"]["transaction"]
    key = (world.agent.store / "state/p.key").read_text()
    world.agent.kill()
    world.agent.start()
    c = world.all_in("PENDING")["p"]
    assert c["pending"]["transaction"] == txn
    assert world.approve() == 1
    c = world.all_in("OK")["p"]
    assert (world.agent.store / "certs/p/latest.key").read_text() == key
    assert c["last"]["transaction"] == txn
    assert subject_counts(world) == {"p": 1}


def test_killed_at_random_it_goes_on_and_enrolls_each_once(world):
    """Issue 5: kill -9 at any moment; the next run finishes the job."""
    world.start_demo()
    names = [f"k{i}" for i in range(12)]
    protocols = ["scep", "est", "cmp"]
    world.configure("".join(f'[certificate "{n}"]\nca = {protocols[i % 3]}\nsubject = CN={n}\n'
                            + ("template = rsa\n" if i % 3 == 0 else "") for i, n in enumerate(names)))
    rnd = random.Random(5)
    for _ in range(15):
        world.agent.start(wait=False)
        time.sleep(rnd.uniform(0.02, 0.6))
        world.agent.kill()
        for n in names:  # a pair is whole or not there
            crt = world.agent.store / "certs" / n / "latest.crt"
            if crt.exists():
                r = run(need("openssl"), "x509", "-in", crt, "-noout", "-pubkey")
                k = run(need("openssl"), "pkey", "-in", crt.with_suffix(".key"), "-pubout")
                assert r.out == k.out != "", (n, r, k)
    world.agent.start()
    world.all_in("OK", 90)
    counts = subject_counts(world)
    assert set(counts) == set(names)
    # SCEP and CMP find their request again; EST has no transaction, and may ask twice for what was answered and lost.
    assert all(v == 1 for n, v in counts.items() if names.index(n) % 3 != 1), counts
    assert all(v <= 3 for v in counts.values()), counts


def test_agent_and_hand_at_once_never_enroll_twice(world):
    """Issue 5: agent, timer, cron and hand share locks."""
    world.start_demo()
    names = [f"h{i}" for i in range(6)]
    world.configure("".join(f'[certificate "{n}"]\nca = {["est", "cmp"][i % 2]}\nsubject = CN={n}\n' for i, n in enumerate(names)))
    results = []

    def hand(n):
        results.append((n, world.muster("enroll", n)))

    threads = [threading.Thread(target=hand, args=(n,)) for n in names]
    world.agent.start()
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    world.all_in("OK")
    for n, r in results:  # nothing to do, or done, or told who is at it
        assert r.code == 0 or "M707" in r.err, r
    assert subject_counts(world) == {n: 1 for n in names}
    # and so with renewals of what is not due
    for n in names:
        assert world.muster("renew", n).code == 0
    assert subject_counts(world) == {n: 1 for n in names}


def test_renew_all_by_a_pair_of_processes_and_the_agent_at_once_never_enrolls_twice(world):
    """Issue 5: agent, timer, cron and hand share locks. First two processes enroll all there is, then, when all is due,
    two processes and the agent renew it: one request each, and nobody calls the other's work a failure."""
    names = [f"p{i}" for i in range(9)]
    sections = "".join(f'[certificate "{n}"]\nca = {["scep", "est", "cmp"][i % 3]}\nsubject = CN={n}\n'
                       + ("template = rsa\n" if i % 3 == 0 else "") for i, n in enumerate(names))

    def pair(shift):
        env = {"MUSTER_CLOCK_SHIFT": str(shift)}
        results = []
        threads = [threading.Thread(target=lambda: results.append(world.muster("renew", "--all", env=env, timeout=120))) for _ in range(2)]
        for t in threads:
            t.start()
        return threads, results

    for shift, agent, times in ((0, False, 1), (300 * DAY, True, 2)):
        world.start_demo(shift)
        world.configure(sections)
        threads, results = pair(shift)
        if agent:
            world.agent.start(shift=shift)
        for t in threads:
            t.join()
        assert len(results) == 2 and all(r.code == 0 for r in results), results
        if not agent:
            world.agent.start(shift=shift)
        wait_for(lambda: subject_counts(world) == {n: times for n in names}, 90)
        world.all_in("OK")
        world.agent.stop()
        assert world.muster("renew", "--all", env={"MUSTER_CLOCK_SHIFT": str(shift)}).code == 0
        assert subject_counts(world) == {n: times for n in names}
        world.demo.stop()


def test_wishes_over_the_socket(world):
    world.start_demo()
    world.configure('[certificate "w"]\nca = est\nsubject = CN=w\n')
    a = world.agent.start()
    world.all_in("OK")
    first = a.cert("w")["serial"]
    place = a.post("/v1/certificates/w/renew")["place"]  # not due: nothing

    def force():
        status, body = a.ask("POST", "/v1/certificates/w/renew", {"force": True})
        assert status == 200 or body["error"]["code"] == "M707", body  # the first wish is not done yet
        return status == 200

    wait_for(force)
    wait_for(lambda: a.cert("w")["serial"] != first)
    events = a.get(f"/v1/events?after={place}")["events"]
    assert any(e.get("name") == "w" and e["status"] == "success" for e in events), events
    status, body = a.ask("POST", "/v1/certificates/none/renew")
    assert status == 404, body


def test_ca_down_then_up(world):
    """Issue 5: not reached is tried again by itself, with growing pauses."""
    demo = world.start_demo()
    port = demo.port
    world.configure('[certificate "d"]\nca = cmp\nsubject = CN=d\n')
    world.demo.stop()
    world.agent.start()
    c = world.agent.wait_state("d", "RETRYING")
    assert c["last"]["code"] == "M102" and c["next_try"], c
    world.demo = Demo(world.build, world.dir / "demo", "--port", str(port), "--est-port", "0")
    world.agent.wait_state("d", "OK", 120)  # the first pause is a minute
    assert subject_counts(world) == {"d": 1}


def test_clock_of_1970_waits(world):
    """M801: nothing is asked for before the clock can be believed."""
    world.start_demo()
    world.configure(ALL)
    world.agent.start(shift=-int(time.time()) + 3600)
    wait_for(lambda: any("clock" in e["msg"].lower() and e.get("code") == "M801" for e in world.agent.events()))
    time.sleep(1)
    assert world.issued() == []
    world.agent.stop()
    world.agent.start()
    world.all_in("OK")


@pytest.fixture
def tmpfs(tmp_path):
    """A small file system of its own at the place of the store."""
    assert os.geteuid() == 0, "the tests of file systems need root"
    d = tmp_path / "agent" / "store"
    d.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=600k,mode=755", "tmpfs", d], check=True)
    yield d
    subprocess.run(["umount", "-l", d], check=True)


def test_disk_full_is_told_and_recovered(tmpfs, world):
    """M702: nothing is switched; it goes on once there is room."""
    world.start_demo()
    world.configure('[certificate "f"]\nca = est\nsubject = CN=f\n[certificate "g"]\nca = cmp\nsubject = CN=g\n')
    a = world.agent.start()
    world.all_in("OK")
    before = world.serials()
    filler = tmpfs / "filler"
    with open(filler, "wb", buffering=0) as f:
        try:
            while True:
                f.write(b"x" * 4096)
        except OSError:
            pass
    a.ask("POST", "/v1/certificates/f/renew", {"force": True})
    wait_for(lambda: "M702" in a.stderr())
    assert a.process.poll() is None and world.serials()["f"] == before["f"]
    filler.unlink()
    a.post("/v1/certificates/g/renew", {"force": True})
    wait_for(lambda: world.serials()["g"] != before["g"])
    a.post("/v1/touch")
    wait_for(lambda: a.cert("f")["state"] == "OK")


def test_read_only_store_is_told_and_recovered(tmpfs, world):
    world.start_demo()
    world.configure('[certificate "r"]\nca = est\nsubject = CN=r\n')
    world.agent.start()
    world.all_in("OK")
    world.agent.stop()
    subprocess.run(["mount", "-o", "remount,ro", tmpfs], check=True)
    world.configure('[certificate "r"]\nca = est\nsubject = CN=r\n[certificate "n"]\nca = est\nsubject = CN=n\n')
    a = world.agent.start()
    wait_for(lambda: "M702" in a.stderr())
    assert a.cert("r")["state"] == "OK"
    subprocess.run(["mount", "-o", "remount,rw", tmpfs], check=True)
    a.post("/v1/touch")
    a.wait_state("n", "OK", 90)


def test_secrets_by_credential_directory(world, tmp_path):
    """LoadCredential=: credential:NAME."""
    world.start_demo()
    world.configure("")
    creds = tmp_path / "creds"
    creds.mkdir()
    (creds / "est-password").write_text((world.dir / "estuser").read_text())
    (creds / "est-password").chmod(0o400)
    text = world.sections.replace(f"file:{world.dir}/estuser", "credential:est-password")
    assert "credential:" in text
    world.agent.configure(text + '[certificate "x"]\nca = est\nsubject = CN=x\n')
    world.agent.start(env={"CREDENTIALS_DIRECTORY": str(creds)})
    world.all_in("OK")


def test_no_secret_in_log_environment_or_arguments(world):
    world.start_demo()
    world.configure(ALL, agent="log-level = debug")
    a = world.agent.start()
    world.all_in("OK")
    secrets = [(world.dir / n).read_text().strip() for n in ("challenge1", "estuser", "fgt100f")]
    log = a.stderr() + json.dumps(a.events()) + json.dumps(a.certs())
    for what in ("environ", "cmdline"):
        with open(f"/proc/{a.process.pid}/{what}", "rb") as f:
            log += f.read().decode(errors="replace")
    assert "trace" in log
    for s in secrets:
        assert s not in log.replace("file:" + str(world.dir), ""), s


def test_the_agent_waits_for_a_key_that_the_CA_makes_and_gets_it_encrypted(world):
    """serverkeygen by the configuration: an operator approves, the key comes encrypted to a shared one (EST-76), and the
    renewal, which the CA approves by itself, brings another."""
    world.start_demo()
    ca = lambda *a: run(world.ca, "--dir", world.demo.dir, *a)
    word, fleet = world.dir / "word", world.dir / "fleet.secret"
    assert ca("profile", "new", "slowkeys", "protocols=est", "keygen=yes", "approval=manual", "max-requests=0", "renew-before=any").code == 0
    assert ca("entry", "new", "keyless", "--profile", "slowkeys", "--reusable", "--out", word).code == 0
    assert ca("entry", "new", "fleet", "--shared-key", "--out", fleet).code == 0
    world.configure(f"""
[certificate "k"]
ca = est
label = slowkeys
user = keyless
password = file:{word}
subject = CN=k
server-key = yes
server-key-to = shared:fleet
shared-key = file:{fleet}
""")
    world.agent.start()
    world.all_in("PENDING")
    assert world.approve() == 1
    r = world.muster("poll", "k")  # sooner than the minute that the CA asks for
    assert r.code == 0, r
    world.all_in("OK")
    first = world.serials()["k"]
    r = world.muster("renew", "k", "--force")
    assert r.code == 0, r
    wait_for(lambda: world.serials()["k"] != first, 60)
    world.all_in("OK")
    key, crt = (world.agent.store / f"certs/k/latest.{x}" for x in ("key", "crt"))
    assert subprocess.run([need("openssl"), "pkey", "-in", key, "-pubout"], capture_output=True, check=True).stdout == \
        subprocess.run([need("openssl"), "x509", "-in", crt, "-noout", "-pubkey"], capture_output=True, check=True).stdout
    assert len(world.issued()) == 2
