"""The traces that are kept (PRODUCT "Trace", trace-size): what muster trace shows, who points at it, and that it is a ring."""
import json
import re
import stat
import subprocess
import time

import pytest

from test_hooks import site  # noqa: F401
from test_muster_cli import Cli, forger  # noqa: F401

NAME = re.compile(r"^([\w.-]+)\.\d{8}T\d{6}Z(-\d+)?$")


@pytest.fixture
def cli(muster, demo, tmp_path):
    return Cli(muster, demo, tmp_path)


def files(store):
    d = store / "log/trace"
    return sorted(d.iterdir()) if d.exists() else []


def test_each_exchange_is_kept_and_shown(cli):
    assert cli("trace").code == 1  # nothing yet
    assert cli.enroll("vpn").code == 0
    assert cli("renew", "vpn", "--force").code == 0
    kept = files(cli.store)
    assert len(kept) == 2 and all(NAME.match(p.name).group(1) == "vpn" for p in kept), kept
    assert stat.S_IMODE(kept[0].parent.stat().st_mode) == 0o700
    assert all(stat.S_IMODE(p.stat().st_mode) == 0o600 for p in kept)
    r = cli("trace")
    assert r.out.split() == [p.name for p in kept], r
    r = cli("trace", "vpn")
    assert r.out == "".join(p.read_text() for p in kept)
    lines = r.out.splitlines()
    assert all(re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ vpn scep \w+: ", line) for line in lines), r
    assert lines[0].endswith("scep start: PKCSReq for 'vpn'") and lines[-1].endswith("scep result: ok (0)"), r
    assert any("auth: challenge *" in line for line in lines), r
    r = cli("trace", "vpn", "--last")
    assert r.out == kept[1].read_text() and "start: RenewalReq" in r.out
    assert cli("trace", kept[0].name).out == kept[0].read_text()
    txn = re.search(r"transaction id: (\w+)", kept[0].read_text()).group(1)
    for words in ([txn], [txn.lower()], ["vpn", "--id", txn], ["--id", txn]):
        r = cli("trace", *words)
        assert r.code == 0 and r.out == kept[0].read_text(), r
    t = json.loads(cli("--json", "trace", "vpn", "--last").out)["traces"]
    assert t == [{"trace": kept[1].name, "lines": kept[1].read_text().splitlines()}]
    assert json.loads(cli("--json", "trace").out)["traces"] == [p.name for p in kept]
    for word in ("nobody", "2B9E", "../../etc/passwd", "vpn.20200101T000000Z"):
        r = cli("trace", word)
        assert r.code == 1 and "no trace of" in r.err and "trace-size" in r.err, r


def test_a_failure_says_where_its_trace_is(cli, forger):  # noqa: F811
    f = forger(fail_info=2)
    cli("ca", "trust", f.root)
    r = cli.enroll("no", url=f.url)
    assert r.code == 2 and "\n  trace     muster trace no --last\n" in r.err, r
    name = cli.facts("no")["last"]["trace"]
    assert NAME.match(name).group(1) == "no"
    r = cli("trace", "no", "--last")
    assert "pkistatus: FAILURE" in r.out and "result: M" in r.out, r
    for words in (["status", "no"], ["doctor", "no"]):
        assert "trace     muster trace no --last" in cli(*words).out, words
    r = cli("--json", "enroll", "no", "--url", f.url, "--challenge-file", cli.challenge)
    assert NAME.match(json.loads(r.out)["error"]["trace"]).group(1) == "no", r
    # nobody was asked: nothing to look at
    r = cli("enroll", "weak", "--url", f.url, "--key", "rsa:512")
    assert r.code != 0 and "muster trace" not in r.err, r


def test_traces_are_a_ring(muster, demo, tmp_path):
    conf = tmp_path / "muster.conf"
    conf.write_text("[agent]\ntrace-size = 16K\n")
    cli = Cli(muster, demo, tmp_path)
    for _ in range(6):
        assert cli.enroll("vpn", "--replace", "--config", conf).code == 0
    kept = files(cli.store)
    assert 1 <= len(kept) < 6 and sum(p.stat().st_size for p in kept) <= 16 * 1024, kept
    assert cli.facts("vpn")["last"]["trace"] == kept[-1].name or len(kept) > 1
    conf.write_text("[agent]\ntrace-size = 0\n")
    before = [p.name for p in kept]
    assert cli.enroll("other", "--config", conf).code == 0
    assert [p.name for p in files(cli.store)] == before and cli.facts("other")["last"]["trace"] is None


def test_a_request_that_waits_is_one_trace(cli):
    assert cli.enroll("slow", "--no-wait", challenge=cli.challenge2).code == 5
    for _ in range(2):
        assert cli("poll", "slow").code == 5
    (kept,) = files(cli.store)
    assert kept.read_text().count("scep result: pending\n") == 3
    assert kept.read_text().count("pkistatus: PENDING") == 3


def test_follow_shows_what_comes(cli):
    p = subprocess.Popen([str(cli.muster), "--store", str(cli.store), "trace", "vpn", "--follow"], stdout=subprocess.PIPE, text=True)
    try:
        assert cli.enroll("vpn").code == 0
        seen, end = "", time.monotonic() + 20
        while "scep result: ok (0)" not in seen:
            assert time.monotonic() < end, seen
            seen += p.stdout.readline()
        assert seen == files(cli.store)[0].read_text()
    finally:
        p.kill()
        p.wait()


def test_hooks_get_the_name_of_the_trace(site):  # noqa: F811
    """PRODUCT "Hooks": MUSTER_TRANSACTION is the id of the exchange, MUSTER_TRACE the name of its trace."""
    site.configure(f"success-script = env > {site.out}/env.txt")
    assert site("enroll", "web").code == 0
    env = dict(line.split("=", 1) for line in (site.out / "env.txt").read_text().splitlines() if "=" in line)
    text = site("trace", env["MUSTER_TRACE"]).out
    assert f"transaction id: {env['MUSTER_TRANSACTION']}\n" in text and "scep saved: web" in text
