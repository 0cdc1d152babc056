"""What people and monitoring see of an entry: 'muster status' in both styles, its JSON, and what it says
with the next step (PRODUCT "Sessions")."""
import json
import re
import subprocess
import threading

import pytest

from test_muster_cli import Cli, approve, forger, relay  # noqa: F401

DAY = 86400


def status(cli, *args, days=0):
    r = cli("--demo", "status", *args, env={"MUSTER_CLOCK_SHIFT": str(int(days * DAY))})
    assert r.code == 0, r
    return r.out


def router(cli, name, days=0):
    return status(cli, name, "--style", "router", days=days).splitlines()


def conf(cli, path, text):
    """A configuration beside the store; options that name it."""
    path.write_text(text)
    return ["--config", str(path)]


@pytest.fixture
def cli(muster, demo, tmp_path):
    return Cli(muster, demo, tmp_path)


def test_R048_R049_R050_R051_R053_two_lines_of_a_first_enrollment(cli, demo, tmp_path, muster_ca):
    c = conf(cli, tmp_path / "muster.conf", f"""
[ca "scep"]
protocol = scep
url = {demo.url}
[certificate "gw"]
ca = scep
subject = /CN=gw
""")
    r = cli(*c, "status", "gw", "--style", "router")
    assert r.out == "Module scepClient not running\nCertificate not enrolled\n", r
    assert cli.enroll("gw1", "--no-wait", challenge=cli.challenge2).code == 5
    assert router(cli, "gw1") == ["Module scepClient running", "Certificate enrollment"]
    approve(muster_ca, demo)
    assert cli("poll", "gw1").code == 0
    serial = cli.facts("gw1")["serial"]
    assert router(cli, "gw1") == ["Module scepClient not running", f"Certificate enrolled {serial}"]
    assert (cli.store / "certs/gw1" / f"{serial}.crt").exists()


def test_R049_R050_a_failed_enrollment(cli, forger):  # noqa: F811
    f = forger(fail_info=2)
    cli("ca", "trust", f.root)
    assert cli.enroll("no", url=f.url).code == 2
    assert router(cli, "no") == ["Module scepClient not running", "Certificate not enrolled"]


def test_R050_R052_renewal_in_progress_and_failed(cli, demo, muster_ca, relay):  # noqa: F811
    assert cli.enroll("re", "--no-wait", challenge=cli.challenge2).code == 5
    approve(muster_ca, demo)
    assert cli("poll", "re").code == 0
    serial = cli.facts("re")["serial"]
    asked, go_on = threading.Event(), threading.Event()

    def change(operation, reply):
        if operation == "PKIOperation":
            asked.set()
            assert go_on.wait(30)
            reply["status"], reply["body"] = 503, b"later"
        return reply

    conf_file = cli.store / "state/re.conf"
    conf_file.write_text(re.sub(r"(?m)^url *=.*$", f"url = {relay(change).url}", conf_file.read_text()))
    p = subprocess.Popen([cli.muster, "--store", cli.store, "renew", "re", "--force"], stderr=subprocess.DEVNULL)
    assert asked.wait(30)
    assert router(cli, "re") == ["Module scepClient running", "Certificate re-enrollment"]
    assert cli.facts("re")["state"] == "RENEWING"
    go_on.set()
    assert p.wait(30) == 3
    # a failed renewal keeps the line of the certificate that is valid
    assert router(cli, "re") == ["Module scepClient not running", f"Certificate enrolled {serial}"]


def test_R047_automation_off(cli, demo, tmp_path):
    c = conf(cli, tmp_path / "muster.conf", f"""
[agent]
automation = no
[ca "scep"]
protocol = scep
url = {demo.url}
[certificate "off"]
ca = scep
subject = /CN=off
""")
    r = cli(*c, "status", "off", "--style", "router")
    assert r.out == "Module scepClient disabled\nCertificate not enrolled\n", r
    r = cli(*c, "--json", "status", "off")
    entry, = json.loads(r.out)["certificates"]
    assert entry["state"] == "DISABLED" and entry["automation"] is False


def test_R046_several_entries_stand_under_their_names(cli):
    assert cli.enroll("a").code == 0 and cli.enroll("b").code == 0
    lines = status(cli, "--style", "router").splitlines()
    assert lines[0] == "a:" and lines[1] == "Module scepClient not running" and lines[4] == "b:", lines
    assert cli("status", "--style", "page").code == 64


def test_the_table_names_who_needs_somebody(cli, forger):  # noqa: F811
    f = forger(fail_info=2)
    cli("ca", "trust", f.root)
    assert cli.enroll("fine").code == 0
    assert cli.enroll("refused", url=f.url).code == 2
    assert cli.enroll("waits", "--no-wait", challenge=cli.challenge2).code == 5
    lines = status(cli).splitlines()
    assert re.match(r"NAME +VIA +STATE +EXPIRES +RENEWS +LAST RESULT +IN USE$", lines[0])
    rows = {line.split()[0]: line for line in lines[1:4]}
    assert re.search(r"scep +OK +\d{4}-\d\d-\d\d \(\d+d\) +\d{4}-\d\d-\d\d +issued \d+ s ago +-$", rows["fine"]), rows
    assert re.search(r"REJECTED .* M312", rows["refused"])
    assert re.search(r"PENDING .*waiting 0 of 60 min", rows["waits"])
    assert lines[4] == "3 certificates: 1 fine, 1 waiting, 1 needs you    (muster doctor refused)"


def test_status_of_one_says_what_and_the_next_step(cli, forger):  # noqa: F811
    f = forger(fail_info=2)
    cli("ca", "trust", f.root)
    assert cli.enroll("refused", url=f.url).code == 2
    out = status(cli, "refused")
    assert "refused: M312: The CA refused and gave no reason (`-(null)`)." in out
    assert re.search(r"^  what ", out, re.M) and re.search(r"^  likely +1\. ", out, re.M) and re.search(r"^  do ", out, re.M)


def test_S071_renewal_off_and_expired_is_M604(cli, tmp_path):
    assert cli.enroll("old").code == 0
    conf_file = cli.store / "state/old.conf"
    conf_file.write_text(conf_file.read_text() + "renew-days = 0\n")
    days = cli.facts("old")["days_left"]
    out = status(cli, "old")
    assert re.search(f"M604: old expires in ({days}|{days - 1}) days and renewal is off", out) and "muster config set old renew-days 30" in out
    out = status(cli, "old", days=days + 3)
    assert re.search(r"EXPIRED .*renewal is off +M604", out), out
    assert "and renewal is off" in out


def test_json_has_the_documented_shape(cli):
    assert cli.enroll("web").code == 0
    r = cli("--json", "status", "web")
    d = json.loads(r.out)
    assert d["schema"] == "muster/1" and d["time"].endswith("Z")
    c, = d["certificates"]
    for key in ("name protocol ca state subject serial sha256 not_before not_after days_left renew_days due_since held pending "
                "attempts next_try legacy changed last deploy").split():
        assert key in c, key
    for key in "result code reason transaction causes do".split():
        assert key in c["last"], key
    assert c["due_since"] is None and c["held"] is False and c["next_try"] is None and c["deploy"] == []


def test_show_as_console_has_the_words_of_the_console(cli, demo):
    assert cli.enroll("gw").code == 0
    r = cli("show", "gw", "--as", "console")
    assert r.code == 0, r
    lines = r.out.splitlines()
    assert lines[:2] == ["config vpn certificate local", '    edit "gw"'] and lines[-2:] == ["    next", "end"], r
    assert "        set enroll-protocol scep" in lines and f'        set scep-url "{demo.url}"' in lines
    assert any(line.startswith('        set certificate "-----BEGIN CERTIFICATE-----') for line in lines)
    assert cli.challenge.read_text().strip() not in r.out
    assert cli("show", "gw", "--as", "poem").code == 64
