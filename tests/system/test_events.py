"""What people see of what happened: 'muster log' and its filters (PRODUCT "Events", S079 to S085)."""
import json
import re
import signal
import socket
import subprocess

from conftest import run
from test_muster_cli import Cli, forger  # noqa: F401


def log(cli, *options):
    r = cli("log", *options)
    assert r.code == 0, r
    return r.out.splitlines()


def msgs(lines):
    return [re.search(r' msg="((?:[^"\\]|\\.)*)"', line).group(1) for line in lines]


def test_S079_S080_S085_enroll_and_renew_are_in_the_log(muster, demo, tmp_path):
    cli = Cli(muster, demo, tmp_path)
    r = cli.enroll("IPSECVPNTest")
    assert r.code == 0, r
    r = cli("renew", "IPSECVPNTest", "--force")
    assert r.code == 0, r
    vpn = log(cli, "--subtype", "vpn")
    assert len(vpn) == 2 and all('name="IPSECVPNTest"' in line for line in vpn), vpn
    assert msgs(vpn) == ["Certificate is loaded"] * 2
    assert [re.search(r"method=(\w+)", line).group(1) for line in vpn] == ["enroll", "renew"]
    system = log(cli, "--subtype", "system")
    assert msgs(system) == ["Successfully signed local certificate via SCEP"] * 2
    every = log(cli, "--action", "certificate-generate")
    assert len(every) == 4
    for line in every:
        assert re.match(r'date=\d{4}-\d\d-\d\d time=\d\d:\d\d:\d\d tz="\+0000" type=event subtype=\w+ level=\w+ '
                        r'action=certificate-generate status=success name="IPSECVPNTest" method=\w+ msg="', line), line
    assert log(cli, "--name", "another") == []
    assert log(cli, "--since", "2099-01-01") == [] and len(log(cli, "--since", "1h")) == 4
    assert cli("log", "--since", "yesterday").code == 64


def test_S081_no_connection_says_why_in_a_field_of_its_own(muster, demo, tmp_path):
    cli = Cli(muster, demo, tmp_path)
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    assert cli.enroll("down", url=f"http://127.0.0.1:{port}/scep").code == 3
    assert cli.enroll("nowhere", url="http://no-such-host.invalid/scep").code == 3
    down, nowhere = log(cli, "--action", "certificate-generate")
    assert msgs([down, nowhere]) == ["Failed to connect SCEP Server"] * 2
    assert "refused" in re.search(r'reason="([^"]*)"', down).group(1) and "code=M102" in down
    assert "no-such-host.invalid" in re.search(r'reason="([^"]*)"', nowhere).group(1) and "code=M101" in nowhere
    assert all("status=failure" in line for line in (down, nowhere))


def test_S082_S084_null_and_its_causes(muster, demo, tmp_path, forger):  # noqa: F811
    f = forger(fail_info=2)
    cli = Cli(muster, demo, tmp_path)
    cli("ca", "trust", f.root)
    assert cli.enroll("null", url=f.url).code == 2
    line, = log(cli)
    assert msgs([line]) == ["Failed to sign local certificate via SCEP-(null)"]
    assert "reason=" not in line and "code=M312" in line
    txn = re.search(r"txn=([0-9A-F]{32})", line).group(1)
    hint = re.search(r'hint="((?:[^"\\]|\\.)*)"', line).group(1)
    assert hint.startswith("1. ") and "2. " in hint and "challenge" in hint, hint
    assert txn in hint and re.search(r"at \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC", hint), hint
    last = cli.facts("null")["last"]
    assert last["reason"] is None and last["code"] == "M312" and len(last["causes"]) > 1


def test_S082_a_reason_stands_behind_the_dash(muster, demo, tmp_path, forger):  # noqa: F811
    f = forger(fail_info=2, text='not "today"\n\x1b[31m')
    cli = Cli(muster, demo, tmp_path)
    cli("ca", "trust", f.root)
    assert cli.enroll("text", url=f.url).code == 2
    line, = log(cli)
    assert 'via SCEP-not \\"today\\"' in line and "\x1b" not in line and 'reason="not \\"today\\"' in line
    event, = json.loads(cli("--json", "log").out)["events"]
    assert event["reason"].startswith('not "today"') and event["action"] == "certificate-generate"
    assert cli.facts("text")["last"]["reason"] == event["reason"]


def test_S085_a_pending_request_is_not_certificate_generate(muster, demo, tmp_path):
    cli = Cli(muster, demo, tmp_path)
    r = cli.enroll("waits", "--no-wait", challenge=cli.challenge2)
    assert r.code == 5, r
    assert msgs(log(cli)) == ["Local certificate request waits for the CA"]
    assert log(cli, "--action", "certificate-generate") == []


def test_damaged_lines_are_skipped(muster, demo, tmp_path):
    cli = Cli(muster, demo, tmp_path)
    assert cli.enroll("one").code == 0
    path = cli.store / "log/events"
    with open(path, "ab") as f:
        f.write(b'date=2025-11-20 time=17:40:0')  # torn by a power cut
    assert cli.enroll("two").code == 0
    with open(path, "ab") as f:
        f.write(b"\xff\xfe\x00 rubbish\n\x1b]0;x\x07\n")
    lines = log(cli)
    assert len(lines) == 4 and all("msg=" in line for line in lines), lines
    assert len(json.loads(cli("--json", "log").out)["events"]) == 4


def test_follow_shows_what_happens_now(muster, demo, tmp_path):
    cli = Cli(muster, demo, tmp_path)
    assert cli.enroll("first").code == 0
    p = subprocess.Popen([muster, "--store", cli.store, "log", "-f", "--subtype", "vpn"], stdout=subprocess.PIPE, text=True)
    try:
        assert 'name="first"' in p.stdout.readline()
        assert cli.enroll("second").code == 0
        assert 'name="second"' in p.stdout.readline()
    finally:
        p.send_signal(signal.SIGINT)
        p.wait(10)
