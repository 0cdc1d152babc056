"""'muster check' for monitoring and 'muster doctor': what they find, and the repair for it."""
import json
import os
import re
import shutil
import socket

import pytest

from conftest import run
from test_muster_cli import Cli, forger, relay  # noqa: F401

DAY = 86400


@pytest.fixture
def cli(muster, demo, tmp_path):
    return Cli(muster, demo, tmp_path)


def check(cli, *args, days=0):
    r = cli("--demo", "check", *args, env={"MUSTER_CLOCK_SHIFT": str(int(days * DAY))})
    assert r.out.count("\n") == 1, r
    return r.code, r.out.strip()


def doctor(cli, *args, **kw):
    r = cli("--json", "doctor", *args, **kw)
    d = json.loads(r.out)
    assert d["schema"] == "muster/1" and d["exit"] == r.code, r
    return r.code, d["findings"]


def finding(findings, check, level):
    found = [f for f in findings if f["check"] == check and f["level"] == level]
    assert found, (check, level, findings)
    return found[0]


def test_check_levels_follow_the_days_left(cli):
    assert cli.enroll("web").code == 0
    left = cli.facts("web")["days_left"]
    code, line = check(cli, "web")
    assert code == 0 and re.fullmatch(r"OK - 1 certificate, the nearest end in \d+ d \(web\) \| "
                                      r"certificates=1 failing=0 expired=0 days_left=\d+;14:;7:", line), line
    assert check(cli, days=left - 12)[0] == 1
    code, line = check(cli, days=left - 3)
    assert code == 2 and line.startswith("CRITICAL - web "), line
    code, line = check(cli, days=left + 2)
    assert code == 2 and "web EXPIRED" in line and "expired=1" in line, line
    assert check(cli, "--warn", "400", "--crit", "2")[0] == 1
    assert check(cli, "--warn", "400", "--crit", "400")[0] == 2


def test_check_knows_failing_renewals(cli, relay):  # noqa: F811
    assert cli.enroll("web").code == 0
    left = cli.facts("web")["days_left"]
    r = relay(lambda operation, reply: dict(reply, status=503, body=b"later"))
    conf = cli.store / "state/web.conf"
    conf.write_text(re.sub(r"(?m)^url *=.*$", f"url = {r.url}", conf.read_text()))
    shift = {"MUSTER_CLOCK_SHIFT": str((left - 60) * DAY)}
    assert cli("--demo", "renew", "web", env=shift).code == 3
    code, line = check(cli, days=left - 60)  # plenty of days left, and yet
    assert code == 1 and "web RETRYING" in line and "failed 1 times" in line and "failing=1" in line, line


def test_check_unknown(cli, tmp_path, muster):
    assert check(cli)[0] == 3
    code, line = check(cli, "nobody")
    assert code == 3 and line.startswith("UNKNOWN - "), line
    r = run(muster, "--store", tmp_path / "no", "check")
    assert r.code == 3 and r.out.startswith("UNKNOWN - "), r
    assert run(muster, "--store", tmp_path / "no", "check", "--warn", "x").code == 3


def test_doctor_of_a_healthy_one(cli):
    assert cli.enroll("web").code == 0
    code, findings = doctor(cli, "web")
    assert code == 0
    for word in ("clock", "store", "server", "CA's clock", "CA shown", "CA", "key", "chain", "renewal"):
        finding(findings, word, "ok")
    assert not [f for f in findings if f["level"] == "bad"]
    r = cli("doctor")
    assert r.code == 0 and re.search(r"^web$", r.out, re.M) and re.search(r"^\d+ fine, \d+ to note, 0 bad$", r.out, re.M), r


def test_doctor_key_mode_and_foreign_key(cli):
    assert cli.enroll("web").code == 0 and cli.enroll("other").code == 0
    key = (cli.store / "certs/web/latest.key").resolve()
    os.chmod(key, 0o644)
    code, findings = doctor(cli, "web")
    f = finding(findings, "key", "bad")
    assert code == 4 and f["code"] == "M701" and "chmod 600" in f["do"]
    shutil.copy(cli.store / "certs/other/latest.key", key)
    os.chmod(key, 0o600)
    code, findings = doctor(cli, "web")
    f = finding(findings, "key", "bad")
    assert code == 7 and f["code"] == "M214" and "--replace" in f["do"]


def test_doctor_server_is_gone(cli, demo):
    assert cli.enroll("web").code == 0
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    conf = cli.store / "state/web.conf"
    conf.write_text(conf.read_text().replace(demo.url, f"http://127.0.0.1:{port}/scep"))
    code, findings = doctor(cli, "web")
    f = finding(findings, "connection", "bad")
    assert code == 3 and f["code"] == "M102" and f["likely"] and f["do"]
    conf.write_text(re.sub(r"(?m)^url *=.*$", "url = http://no-such-host.invalid/scep", conf.read_text()))
    code, findings = doctor(cli, "web")
    assert code == 3 and finding(findings, "DNS", "bad")["code"] == "M101"


def test_doctor_other_ca_behind_the_url(cli, forger):  # noqa: F811
    assert cli.enroll("web").code == 0
    conf = cli.store / "state/web.conf"
    f = forger(fail_info=2)
    conf.write_text(re.sub(r"(?m)^url *=.*$", f"url = {f.url}", conf.read_text()))
    code, findings = doctor(cli, "web")
    bad = finding(findings, "CA shown", "bad")
    assert code == 7 and bad["code"] == "M209" and re.search(r"SHA-256 ([0-9A-F]{2}:){31}[0-9A-F]{2}", bad["do"]), bad
    conf.write_text(conf.read_text() + "pin-sha256 = " + "ab" * 32 + "\n")
    code, findings = doctor(cli, "web")
    assert code == 7 and finding(findings, "CA shown", "bad")["code"] == "M211"


def test_doctor_clock_differs_from_the_ca(cli):
    assert cli.enroll("web").code == 0
    code, findings = doctor(cli, "--demo", "web", env={"MUSTER_CLOCK_SHIFT": "600"})
    f = finding(findings, "CA's clock", "bad")
    assert code == 8 and f["code"] == "M801" and "-600 s" in f["what"] or "-59" in f["what"], f


def test_doctor_store_that_cannot_be_written_and_chain(cli, tmp_path):
    assert cli.enroll("web").code == 0
    for f in (cli.store / "ca").glob("*.crt"):
        f.unlink()
    code, findings = doctor(cli, "web")
    assert code == 7 and finding(findings, "CA", "bad")["code"] == "M209"
    code, findings = doctor(cli, "nobody")
    assert code == 1 and finding(findings, "entry", "bad")["what"] == "there is no certificate 'nobody'"


def test_doctor_secrets_hooks_and_services(cli, demo, tmp_path):
    (tmp_path / "certs.d").mkdir()
    conf = tmp_path / "muster.conf"
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    conf.write_text(f"""
[ca "scep"]
protocol = scep
url = {demo.url}
challenge = file:{tmp_path}/missing
[certificate "web"]
ca = scep
subject = /CN=web
verify = tls:127.0.0.1:{port}
""")
    assert cli.enroll("web").code == 0
    code, findings = doctor(cli, "--config", str(conf), "web")
    assert code != 0
    assert "missing" in finding(findings, "secrets", "bad")["what"]
    f = finding(findings, "in use", "bad")
    assert f["code"] == "M902" and "muster deploy web" in f["do"], f


def test_a_cmp_server_is_asked_in_the_entrys_name(cli, tmp_path):
    """It answers nobody without a secret, so a probe alone would call every one of them bad."""
    secret = cli.demo.secret("fgt100f", tmp_path / "secret")
    r = cli("enroll", "c1", "--via", "cmp", "--url", f"{cli.demo.host}/app/cert/cmp2", "--cn", "c1", "--ref", "fgt100f",
            "--secret-file", secret)
    assert r.code == 0, r
    code, found = doctor(cli, "c1")
    assert finding(found, "server", "ok")["what"].endswith(" answers"), found
    assert not [f for f in found if f["level"] == "bad"], found
    assert finding(found, "CA shown", "ok")
    secret.write_text("not it\n")
    assert cli("enroll", "c2", "--via", "cmp", "--url", f"{cli.demo.host}/app/cert/cmp2", "--cn", "c2", "--ref", "fgt100f",
               "--secret-file", secret).code != 0
    code, found = doctor(cli, "c2")  # no certificate to ask with: that it is there is all there is to say
    assert "version 2" in finding(found, "server", "ok")["what"] and finding(found, "protection", "ok"), found
