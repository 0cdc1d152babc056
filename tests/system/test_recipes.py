"""The recipes beside stubs of their services: what they write, what they test and do, and what comes back."""
import os
import signal
import stat
import subprocess
import time

import pytest
from conftest import need
from recipes import RECIPES, Entry
from test_muster_cli import cli  # noqa: F401  (a fixture)


@pytest.fixture
def stubs(tmp_path):
    """Programs of services: each says what it was called with and fails where a file tells it to."""
    d = tmp_path / "stubs"
    d.mkdir()

    def stub(name, text=""):
        f = d / name
        f.write_text(f'#!/bin/sh\necho "{name} $*" >>"{d}/log"\n[ ! -e "{d}/{name}.fails" ] || {{ echo "{name}: error: the stub says no"; exit 3; }}\n{text}\n')
        f.chmod(0o755)

    for name in ("nginx", "apachectl", "haproxy", "swanctl", "freeradius", "postfix", "doveconf", "doveadm", "wpa_cli", "systemctl", "service"):
        stub(name)
    stub("wpa_cli", 'case $* in *status) echo wpa_state=COMPLETED;; esac')
    return d


@pytest.fixture
def entry(cli, stubs, tmp_path):  # noqa: F811
    assert cli.enroll("web").code == 0
    return Entry(cli, "web", tmp_path / "conf", stubs)


def said(stubs):
    log = stubs / "log"
    return log.read_text().splitlines() if log.exists() else []


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


# recipe, its settings, what must be called, in order; {d}: the target directory
CASES = [
    ("nginx", "", ["nginx -t -q", "nginx -s reload"]),
    ("apache2", "", ["apachectl configtest", "apachectl graceful"]),
    ("freeradius", "KEY_GROUP=1", ["freeradius -XC", "freeradius restart"]),
    ("openvpn", "CA_FILE={d}/ca.crt", ["openvpn restart"]),
    ("postgresql", "KEY_OWNER=7 KEY_GROUP=8", ["postgresql reload"]),
    ("postfix", "", ["postfix check", "postfix reload"]),
    ("dovecot", "", ["doveconf -n", "doveadm reload"]),
    ("mosquitto", "KEY_OWNER=7", ["mosquitto reload"]),
    ("wpa_supplicant", "CA_FILE={d}/ca.crt INTERFACE=wlan7", ["wpa_cli -i wlan7 reconfigure", "wpa_cli -i wlan7 status"]),
]


@pytest.mark.parametrize("recipe,settings,calls", CASES, ids=[c[0] for c in CASES])
def test_files_test_and_action_of_each(entry, stubs, tmp_path, recipe, settings, calls):
    d = tmp_path / "etc"
    act = {"nginx": "nginx -s reload", "apache2": "apachectl graceful", "dovecot": "doveadm reload"}.get(recipe)
    if recipe in ("freeradius", "openvpn", "postgresql", "mosquitto"):
        act = f'echo "{recipe} {calls[-1].split()[1]}" >>"{stubs}/log"'
    entry.settings(recipe, f"CERT_FILE={d}/c.crt KEY_FILE={d}/c.key\n{settings.format(d=d)}\n" + (f"ACT='{act}'\n" if act else ""))
    r = entry.run(recipe)
    assert r.returncode == 0, r.all
    assert [c for c in said(stubs) if not c.startswith("systemctl")] == calls, r.all
    assert (d / "c.crt").read_text() == entry.fullchain() and (d / "c.key").read_text() == entry.key()
    assert mode(d / "c.crt") == 0o644 and mode(d / "c.key") == (0o640 if recipe == "freeradius" else 0o600)
    assert sorted(p.name for p in d.iterdir()) == sorted(["c.crt", "c.key"] + (["ca.crt"] if "ca.crt" in settings else []))
    st = (d / "c.key").stat()
    assert st.st_uid == (7 if "KEY_OWNER=7" in settings else 0)
    assert ("M905: " in r.all) == (recipe in ("freeradius", "openvpn")), r.all


def test_haproxy_and_strongswan(entry, stubs, tmp_path):
    d = tmp_path / "etc"
    entry.settings("haproxy", f"PEM_FILE={d}/c.pem CONFIG={d}/h.cfg KEY_GROUP=3 ACT=true\n")
    r = entry.run("haproxy")
    assert r.returncode == 0 and said(stubs) == [f"haproxy -c -q -f {d}/h.cfg"], r.all
    assert (d / "c.pem").read_text() == entry.fullchain() + entry.key() and mode(d / "c.pem") == 0o640 and (d / "c.pem").stat().st_gid == 3
    entry.settings("strongswan", f"SWANCTL_DIR={d}\n")
    r = entry.run("strongswan")
    assert r.returncode == 0 and said(stubs)[-1] == "swanctl --load-creds --noprompt", r.all
    assert (d / "x509/muster-web.crt").read_text() == (entry.dir / "latest.crt").read_text()
    assert mode(d / "private/muster-web.key") == 0o600 and (d / "x509ca/muster-web-0.crt").read_text() == (entry.dir / "ca.crt-0").read_text()


def test_copy_p12_settings_and_generic(entry, stubs, tmp_path):
    d = tmp_path / "etc"
    entry.settings("copy", f"CERT_FILE={d}/c.crt CHAIN_FILE={d}/ca.crt COMBINED_FILE={d}/all.pem CERT_DER_FILE={d}/c.der KEY_MODE=0440\n")
    r = entry.run("copy")
    assert r.returncode == 0, r.all
    assert (d / "c.crt").read_text() == (entry.dir / "latest.crt").read_text() and mode(d / "all.pem") == 0o440
    der = subprocess.run([need("openssl"), "x509", "-in", entry.dir / "latest.crt", "-outform", "der"], capture_output=True, check=True).stdout
    assert (d / "c.der").read_bytes() == der

    secret = tmp_path / "p12.pass"
    secret.write_text("geheim7\n")
    secret.chmod(0o644)
    entry.settings("p12", f"P12_FILE={d}/c.p12 PASSWORD_FILE={secret}\n")
    r = entry.run("p12")
    assert r.returncode == 1 and "M701" in r.all and not (d / "c.p12").exists(), r.all
    secret.chmod(0o600)
    r = entry.run("p12")
    assert r.returncode == 0 and mode(d / "c.p12") == 0o600, r.all
    opened = subprocess.run([need("openssl"), "pkcs12", "-in", d / "c.p12", "-nodes", "-passin", f"file:{secret}"], capture_output=True, text=True)
    assert opened.returncode == 0 and "PRIVATE KEY" in opened.stdout, opened.stderr

    (d / "s").write_text("A=1\nK=MIIA\nC=MIIA\n")
    entry.settings("settings", f"FILE={d}/s PAIRS='K pkey C cert' ACT=false\n")
    r = entry.run("settings")
    assert r.returncode == 1 and (d / "s").read_text() == "A=1\nK=MIIA\nC=MIIA\n", r.all
    entry.settings("settings", f"FILE={d}/s PAIRS='K pkey C cert' ACT='touch {d}/acted'\n")
    assert entry.run("settings").returncode == 0 and (d / "acted").exists()
    assert (d / "s").read_text().split("\n")[2] == "C=" + "".join((entry.dir / "latest.crt").read_text().split("\n")[1:-2])
    entry.settings("settings", f"FILE={d}/s PAIRS='KK pkey' ACT=false\n")
    r = entry.run("settings")
    assert r.returncode == 1 and "M903" in r.all, r.all

    entry.settings("generic", f"FULLCHAIN_FILE={d}/g.crt KEY_FILE={d}/g.key TEST='test -s {d}/g.key' ACT='cp {d}/g.crt {d}/taken'\n")
    assert entry.run("generic").returncode == 0 and (d / "taken").read_text() == entry.fullchain()
    assert not [p.name for p in d.iterdir() if p.name.startswith(".")]


def test_a_failed_test_brings_the_old_files_back(entry, stubs, tmp_path):
    d = tmp_path / "etc"
    d.mkdir()
    (d / "c.crt").write_text("old certificate")
    os.chmod(d / "c.crt", 0o604)
    entry.settings("nginx", f"CERT_FILE={d}/c.crt KEY_FILE={d}/c.key\n")
    (stubs / "nginx.fails").touch()
    r = entry.run("nginx")
    assert r.returncode == 1, r.all
    assert r.stderr.splitlines()[-1] == "nginx: the test 'nginx -t -q' ended with 3: nginx: error: the stub says no; the old files are back"
    assert (d / "c.crt").read_text() == "old certificate" and mode(d / "c.crt") == 0o604
    assert [p.name for p in d.iterdir()] == ["c.crt"] and said(stubs) == ["nginx -t -q"]


def test_a_restart_that_fails_starts_the_service_with_the_old_files(entry, stubs, tmp_path):
    d = tmp_path / "etc"
    d.mkdir()
    (d / "c.key").write_text("old")
    entry.settings("freeradius", f"CERT_FILE={d}/c.crt KEY_FILE={d}/c.key KEY_GROUP=1 ACT='cat {d}/c.key >>{d}/started; grep -q old {d}/c.key'\n")
    r = entry.run("freeradius")
    assert r.returncode == 1 and "the old files are back" in r.stderr.splitlines()[-1], r.all
    assert (d / "started").read_text() == entry.key() + "old" and (d / "c.key").read_text() == "old"


def test_systemd_is_asked_and_a_service_that_does_not_run_is_left_alone(entry, stubs, tmp_path):
    d = tmp_path / "etc"
    entry.settings("nginx", f"CERT_FILE={d}/c.crt KEY_FILE={d}/c.key\n")
    assert entry.run("nginx", MU_SYSTEMD=str(tmp_path)).returncode == 0
    assert said(stubs) == ["nginx -t -q", "systemctl -q is-active nginx", "systemctl reload nginx"]
    (stubs / "systemctl.fails").touch()
    r = entry.run("nginx", MU_SYSTEMD=str(tmp_path))
    assert r.returncode == 0 and "does not run" in r.all and said(stubs)[-1] == "systemctl -q is-active nginx", r.all
    r = entry.run("nginx", MU_SYSTEMD="/nowhere")  # its script in /etc/init.d knows that it does not run
    assert r.returncode == 0 and "does not run" in r.all and (d / "c.key").read_text() == entry.key(), r.all


def test_wpa_without_association_goes_back(entry, stubs, tmp_path):
    d = tmp_path / "etc"
    d.mkdir()
    (d / "c.key").write_text("old")
    (stubs / "wpa_cli").write_text(f'#!/bin/sh\ngrep -q old {d}/c.key && echo wpa_state=COMPLETED || echo wpa_state=SCANNING\necho "wpa_cli $*" >>{stubs}/log\n')
    entry.settings("wpa_supplicant", f"CERT_FILE={d}/c.crt KEY_FILE={d}/c.key CA_FILE={d}/ca.crt WAIT=1\n")
    r = entry.run("wpa_supplicant")
    assert r.returncode == 1 and "no association" in r.stderr.splitlines()[-1], r.all
    assert (d / "c.key").read_text() == "old" and not (d / "c.crt").exists()
    assert said(stubs).count("wpa_cli reconfigure") == 2


def test_ended_by_the_time_limit_the_old_files_come_back(entry, tmp_path):
    d = tmp_path / "etc"
    d.mkdir()
    (d / "g.key").write_text("old")
    entry.settings("generic", f"KEY_FILE={d}/g.key TEST='echo $$ >{d}/waits; sleep 60' ACT=true\n")
    p = subprocess.Popen([RECIPES / "generic"], env=entry.env(), start_new_session=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    end = time.monotonic() + 20
    while not (d / "waits").exists() and time.monotonic() < end:
        time.sleep(0.02)
    assert (d / "g.key").read_text() == entry.key()
    os.killpg(p.pid, signal.SIGTERM)
    assert p.wait(20) != 0 and (d / "g.key").read_text() == "old", p.stdout.read()
    # and after a kill that nothing can answer, the last one that was good is still known
    p = subprocess.Popen([RECIPES / "generic"], env=entry.env(), start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT)
    while (d / "g.key").read_text() == "old" and time.monotonic() < end:
        time.sleep(0.02)
    os.killpg(p.pid, signal.SIGKILL)
    p.wait()
    entry.settings("generic", f"KEY_FILE={d}/g.key TEST=false ACT=true\n")
    assert entry.run("generic").returncode == 1 and (d / "g.key").read_text() == "old"


def test_hook_test_changes_nothing(entry, stubs, tmp_path):
    d = tmp_path / "etc"
    for recipe, file in (("nginx", "CERT_FILE"), ("haproxy", "PEM_FILE"), ("copy", "CERT_DER_FILE")):
        entry.settings(recipe, f"{file}={d}/x KEY_FILE={d}/k\n")
        r = entry.run(recipe, event="test")
        assert r.returncode == 0 and f"would write {d}/x" in r.all and not d.exists(), r.all
    assert "nginx -t -q" in said(stubs) and "nginx -s reload" not in said(stubs)


def test_owner_and_mode_of_the_configuration_and_of_one_entry(entry, tmp_path):
    d = tmp_path / "etc"
    entry.settings("copy", f"KEY_FILE={d}/k\n")
    assert entry.run("copy", MUSTER_KEY_OWNER="7", MUSTER_KEY_GROUP="8", MUSTER_KEY_MODE="0440").returncode == 0
    st = (d / "k").stat()
    assert (st.st_uid, st.st_gid, stat.S_IMODE(st.st_mode)) == (7, 8, 0o440)
    (entry.conf / "copy.d").mkdir()
    (entry.conf / "copy.d/web.conf").write_text("KEY_MODE=0400\n")
    (entry.conf / "copy.d/other.conf").write_text("KEY_MODE=0777\n")
    assert entry.run("copy").returncode == 0 and mode(d / "k") == 0o400


def test_words_behind_the_recipes_name(entry, tmp_path):
    d = tmp_path / "etc"
    entry.settings("copy", "KEY_MODE=0400\n")
    r = entry.run("copy", f"key-file={d}/a key", "key-mode=0440")
    assert r.returncode == 0 and mode(d / "a key") == 0o440, r.all
    for word in ("path=/x", "muster-name=y", "colour=red", "x;y=1", "KEY_FILE=/x", "key-file"):
        r = entry.run("copy", word)
        assert r.returncode == 1 and word.split("=")[0] in r.all, r.all


def test_settings_that_others_can_write_are_not_read(entry, tmp_path):
    d = tmp_path / "etc"
    entry.settings("copy", f"KEY_FILE={d}/k; touch {tmp_path}/ran\n")
    os.chmod(entry.conf / "copy.conf", 0o666)
    r = entry.run("copy")
    assert r.returncode == 1 and "writable by nobody else" in r.all and not (tmp_path / "ran").exists() and not d.exists()


def test_no_copy_goes_through_a_link_and_no_name_is_a_path(entry, tmp_path):
    d = tmp_path / "etc"
    d.mkdir()
    (tmp_path / "outside").write_text("mine")
    (d / "k").symlink_to("../outside")
    entry.settings("copy", f"KEY_FILE={d}/k\n")
    r = entry.run("copy")
    assert r.returncode == 1 and "M702" in r.all and (tmp_path / "outside").read_text() == "mine" and (d / "k").is_symlink(), r.all
    for name in ("../x", "/etc", ".x", "", "a b"):
        r = entry.run("nginx", MUSTER_NAME=name)
        assert r.returncode == 1 and "MUSTER_NAME" in r.all, r.all


def test_no_key_and_no_secret_in_the_arguments(entry, tmp_path):
    """What the recipes start is seen by every user: paths may be there, keys not."""
    d = tmp_path / "etc"
    secret = tmp_path / "p"
    secret.write_text("geheim8\n")
    secret.chmod(0o600)
    entry.settings("p12", f"P12_FILE={d}/c.p12 PASSWORD_FILE={secret}\n")
    trace = tmp_path / "strace"
    p = subprocess.run([need("strace"), "-f", "-s", "4096", "-e", "trace=execve", "-o", trace, RECIPES / "p12"],
                       env={**entry.env(), "ASAN_OPTIONS": "detect_leaks=0"}, capture_output=True, text=True)
    assert p.returncode == 0, p.stderr
    seen = trace.read_text()
    assert "pkcs12" in seen and "geheim8" not in seen
    for line in entry.key().splitlines()[1:-1]:
        assert line not in seen
