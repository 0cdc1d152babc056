"""What one agent takes (issue 5): at most 13 MB resident of which 4 MB private dirty, also right after it has enrolled. The
program is that of the release build."""
import os
import re
import time
from pathlib import Path

import pytest

from test_musterd_ca import World


def memory_kb(pid, field, file="smaps_rollup"):
    return int(re.search(rf"{field}:\s+(\d+)", Path(f"/proc/{pid}/{file}").read_text()).group(1))


@pytest.fixture
def world(tmp_path):
    release = os.environ.get("MUSTER_RELEASE")
    assert release, "MUSTER_RELEASE names the release build"
    w = World(Path(release), tmp_path)
    yield w
    w.end()


@pytest.mark.parametrize("via", ["scep", "est", "cmp"])
def test_one_certificate_takes_at_most_13_mb_while_it_is_enrolled_and_a_third_less_at_rest(world, via):
    world.start_demo()
    world.configure(f'[certificate "one"]\nca = {via}\nsubject = CN=one\n' + ("template = rsa\n" if via == "scep" else ""))
    world.agent.start()
    world.all_in("OK")
    pid, end = world.agent.process.pid, time.monotonic() + 20
    assert memory_kb(pid, "VmHWM", "status") <= 13 * 1024
    while memory_kb(pid, "Rss") > 9 * 1024:  # what only work needs is given back a moment later
        assert time.monotonic() < end, memory_kb(pid, "Rss")
        time.sleep(0.2)
    assert memory_kb(pid, "Private_Dirty") <= 4 * 1024
    world.muster("renew", "one", "--force")  # and the agent goes on as before
    assert world.agent.status()["certificates"] == 1
