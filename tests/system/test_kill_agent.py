"""musterd killed before and after each write, sync, rename, send and spawn of an enrollment, a renewal and their
deployment, and at random points while it has much to do (issue 5). After each kill the pair in use is whole, and the next
run finishes the job: one certificate more on record, the newest in use, every script run for it, nothing left over.

The whole of it takes long: script/soak agent. Here a sample of the calls is tried (MUSTER_AGENT_KILLS: how many of each
kind, 0 for all; MUSTER_AGENT_RANDOM: how many at random). The programs are those of the release build."""
import json
import os
import random
import re
import shutil
import signal
import time

import pytest

from conftest import run
from musterd import wait_for
from test_kill import events, pair, preload, records, release  # noqa: F401 (a fixture)
from test_musterd_ca import World

SAMPLE = int(os.environ.get("MUSTER_AGENT_KILLS", "5"))
RANDOM = int(os.environ.get("MUSTER_AGENT_RANDOM", "12"))
PART = os.environ.get("MUSTER_AGENT_PART", "1/1")  # of several runs side by side: "2/3"
RENEW_S = 300 * 86400
KILLED = -signal.SIGKILL
SCRIPTS = ("pre", "deploy", "post", "success")


class Killing(World):
    """A world whose every certificate is deployed by four scripts, which write down what they were run for."""

    def __init__(self, build, dir):
        super().__init__(build, dir)
        self.ran_file = dir / "ran"
        for phase in SCRIPTS[:3]:
            hook = self.agent.dir / "hooks.d" / phase / "note"
            hook.parent.mkdir(parents=True)
            hook.write_text(f"#!/bin/sh\necho {phase} $MUSTER_NAME $MUSTER_SERIAL >>{self.ran_file}\n")
            hook.chmod(0o755)

    def section(self, name, via):
        return (f'[certificate "{name}"]\nca = {via}\nsubject = CN={name}\nreuse-key = no\nsuccess-script = echo success $MUSTER_NAME $MUSTER_SERIAL >>{self.ran_file}\n'
                + ("template = rsa\n" if via == "scep" else ""))

    def ran(self, name, serial):
        lines = self.ran_file.read_text().splitlines() if self.ran_file.exists() else []
        return [line.split()[0] for line in lines if line.split()[1:] == [name, serial]]

    def on_record(self, name):
        return records(self.build, self.demo, f"CN={name}").get(name, [])

    def renewed(self, name, first):
        try:
            wait_for(lambda: os.readlink(self.agent.store / f"certs/{name}/current") != f".gen/{first}", 60)
        except AssertionError:
            raise AssertionError(f"{self.agent.cert(name)}\n{self.agent.stderr()[-3000:]}")

    def finished(self, names, seconds=60):
        """In use, deployed, and nothing more to do."""
        def done():
            c = self.agent.certs()
            return all(c.get(n, {}).get("state") == "OK" and "\nstate = installed\n" in (self.agent.store / f"state/{n}.life").read_text() for n in names)
        try:
            wait_for(done, seconds)
        except AssertionError:
            raise AssertionError(f"{self.agent.certs()}\n{self.agent.stderr()[-3000:]}")


@pytest.fixture
def world(release, tmp_path):
    w = Killing(release, tmp_path)
    yield w
    w.end()


def numbers(ev):
    """All calls; or some, spread over them, and those behind which the most was wrong once: the pair that waits has its
    name, the request is forgotten."""
    if SAMPLE:
        step = max(1, len(ev) // SAMPLE)
        chosen = {e.n for e in ev if e.n % step == 1 or (e.new or e.path).endswith("/next") or (e.call == "unlinkat" and e.path.endswith(".pending"))}
    else:
        chosen = {e.n for e in ev}
    part, parts = map(int, PART.split("/"))
    return sorted(chosen)[part - 1::parts]


def to_the_end(world, name, log=None):
    """A run that is not killed; its calls until all was done."""
    world.agent.start("--demo", env=preload(world.build, log) if log else None, shift=world.shift)
    world.finished([name])
    ev = events(log) if log else []
    world.agent.stop()
    return ev


def check_nothing_left(store, name):
    """The challenge stays: the configuration says that it may be used again."""
    left = [p for p in store.rglob(".tmp-*") if name in str(p)] + [p for p in (store / f"state/{name}.pending", store / f"state/{name}.key") if p.exists()]
    assert not left, left


def check_scripts(world, name, serial, at):
    ran = world.ran(name, serial)
    assert set(ran) == set(SCRIPTS), f"{at}: {ran}"
    assert len(ran) <= len(SCRIPTS) + 1, f"{at}: {ran}"  # the one that ran may run once more


def killed_at(world, name, n, when, first=None):
    """False: the run was done with fewer calls."""
    world.agent.start("--demo", env=preload(world.build, None, n, when), shift=world.shift, wait=False)
    end = time.monotonic() + 30
    while world.agent.process.poll() is None and time.monotonic() < end:
        time.sleep(0.01)
        try:
            serial = os.readlink(world.agent.store / f"certs/{name}/current")[len(".gen/"):]
        except OSError:
            continue
        if serial != first and len(world.ran(name, serial)) == len(SCRIPTS):
            time.sleep(0.5)  # the last calls of all
            break
    if world.agent.process.poll() is None:
        world.agent.stop()
        return False
    assert world.agent.process.returncode == KILLED, (n, when, world.agent.stderr()[-2000:])
    return True


@pytest.mark.parametrize("via", ["scep", "est", "cmp"])
def test_musterd_killed_at_every_visible_call_of_an_enrollment(world, tmp_path, via):
    """From nothing to a deployed certificate."""
    world.start_demo()
    world.shift, log, kills = 0, tmp_path / "calls", 0
    world.configure(world.section("whole", via))
    ev = to_the_end(world, "whole", log)
    assert "fork" in {e.call for e in ev} and len(ev) > 80
    for n in numbers(ev):
        for when in ("before", "after"):
            name, at = f"{via}{n}{when[0]}", f"killed {when} call {n}"
            shutil.rmtree(world.agent.store)
            world.configure(world.section(name, via))
            if not killed_at(world, name, n, when):
                continue
            kills += 1
            had = pair(world.agent.store, name)
            to_the_end(world, name)
            now, known = pair(world.agent.store, name), world.on_record(name)
            assert had in (None, now) and now == known[0], f"{at}: {had}, {now}, {known}"
            assert len(known) == 1, f"{at}: {known}"
            check_scripts(world, name, now, at)
            check_nothing_left(world.agent.store, name)
    print(f"musterd, enrollment over {via}: {kills} kills at {len(ev)} calls")
    assert kills >= len(numbers(ev))


@pytest.mark.parametrize("via", ["scep", "est", "cmp"])
def test_musterd_killed_at_every_visible_call_of_a_renewal(world, tmp_path, via):
    """From a certificate that is due to the next one, deployed."""
    world.start_demo()
    world.shift, log, kills, base = 0, tmp_path / "calls", 0, tmp_path / "base"
    world.configure(world.section("r", via))
    to_the_end(world, "r")
    first = pair(world.agent.store, "r")
    world.demo.stop()
    world.start_demo(RENEW_S)
    world.configure(world.section("r", via))
    shutil.copytree(world.agent.store, base, symlinks=True)
    world.shift = RENEW_S
    world.agent.start("--demo", env=preload(world.build, log), shift=RENEW_S)
    world.renewed("r", first)
    world.finished(["r"])
    ev = events(log)
    world.agent.stop()
    for n in numbers(ev):
        for when in ("before", "after"):
            at = f"killed {when} call {n}"
            shutil.rmtree(world.agent.store)
            shutil.copytree(base, world.agent.store, symlinks=True)
            world.ran_file.write_text("")
            known = world.on_record("r")
            if not killed_at(world, "r", n, when, first):
                continue
            kills += 1
            had = pair(world.agent.store, "r")
            assert had in (first, world.on_record("r")[0]), at
            world.agent.start("--demo", shift=RENEW_S)
            world.renewed("r", first)
            world.finished(["r"])
            world.agent.stop()
            now, after = pair(world.agent.store, "r"), world.on_record("r")
            assert now == after[0] and len(after) == len(known) + 1, f"{at}: {now}, {after}"
            check_scripts(world, "r", now, at)
            check_nothing_left(world.agent.store, "r")
    print(f"musterd, renewal over {via}: {kills} kills at {len(ev)} calls")
    assert kills >= len(numbers(ev))


def test_musterd_killed_at_random_points(world):
    """It always has something to enroll, to renew and to deploy; each kill is followed by the next start."""
    seed = os.environ.get("MUSTER_SEED", "1")
    rng, names, sections, wishes, kills, looked_at = random.Random(seed), [], "", {}, 0, {}

    def current(name):
        try:
            return os.readlink(world.agent.store / f"certs/{name}/current")
        except OSError:
            return None

    world.start_demo()
    while kills < RANDOM:
        young = [n for n in names if current(n) is None]
        if len(young) < 3:
            for via in ("scep", "est", "cmp"):
                names.append(f"{via}-{len(names)}")
                sections += world.section(names[-1], via)
                young.append(names[-1])
            world.configure(sections)
        touched = set(young)
        world.agent.start(wait=False)
        old = [n for n in names if n not in touched]
        if old and rng.random() < 0.6:
            for n in rng.sample(old, min(2, len(old))):
                touched.add(n)
                try:
                    wait_for(world.agent.socket.exists, 10, 0.005)
                    status, _ = world.agent.ask("POST", f"/v1/certificates/{n}/renew", {"force": True})
                    wishes[n] = wishes.get(n, 0) + (status == 200)
                except (OSError, AssertionError):
                    wishes[n] = wishes.get(n, 0) + 1  # it may have been heard
        time.sleep(rng.uniform(0.0, 0.6))
        world.agent.kill()
        kills += 1
        for n in touched:
            if looked_at.get(n) != current(n):  # what a link leads to does not change
                pair(world.agent.store, n)
                looked_at[n] = current(n)
    world.configure(sections)
    world.agent.start()
    world.finished(names, 60 + len(names) * 7)  # ten a minute
    world.agent.stop()
    for n in names:
        serial, known = pair(world.agent.store, n), world.on_record(n)
        assert serial == known[0], (n, serial, known)
        assert len(known) <= 1 + wishes.get(n, 0), (n, known, wishes.get(n))
        assert set(SCRIPTS) == set(world.ran(n, serial)), (n, world.ran(n, serial))
        check_nothing_left(world.agent.store, n)
    print(f"musterd at random: {kills} kills, {len(names)} enrollments, {sum(wishes.values())} renewals asked for; seed {seed}")
