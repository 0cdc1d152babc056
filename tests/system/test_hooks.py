"""Hooks, recipes and verification with real scripts (PRODUCT "Hooks", muster-hooks(7)): what they are given, how they
end, who is run and who is not, what is done once, and a kill at each write of a deployment."""
import json
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
import threading
import time
from pathlib import Path

import pytest

from conftest import ROOT, Demo, run

CONF = """
[agent]
hook-timeout = {timeout}
{agent}
[ca "demo"]
protocol = scep
url = {url}
trust = {root}
challenge = file:{challenge}
challenge-once = no
[certificate "web"]
ca = demo
subject = CN=www.example.org
san = DNS:www.example.org
{more}
"""
TABLE = set("""PATH MUSTER_EVENT MUSTER_NAME MUSTER_CA MUSTER_PROTOCOL MUSTER_DIR MUSTER_CERT MUSTER_KEY MUSTER_CHAIN MUSTER_SERIAL
MUSTER_OLD_SERIAL MUSTER_SUBJECT MUSTER_SANS MUSTER_NOT_BEFORE MUSTER_NOT_AFTER MUSTER_DAYS_LEFT MUSTER_KEY_CHANGED
MUSTER_ERROR_CODE MUSTER_ERROR_TEXT MUSTER_ERROR_HINT MUSTER_ATTEMPT MUSTER_NEXT_TRY MUSTER_TRANSACTION MUSTER_TRACE
MUSTER_KEY_OWNER MUSTER_KEY_GROUP MUSTER_KEY_MODE""".split())


class Site:
    def __init__(self, build, demo, dir):
        self.muster, self.demo, self.dir = build / "src/cmd/muster/muster", demo, Path(dir)
        self.dir.chmod(0o755)
        self.store, self.conf, self.out = self.dir / "store", self.dir / "muster.conf", self.dir / "out"
        self.out.mkdir()
        self.out.chmod(0o777)
        self.recipes = self.dir / "recipes"
        self.recipes.mkdir(mode=0o755)
        self.challenge = demo.secret("challenge1", self.dir / "challenge1")
        self.configure()

    def configure(self, more="", timeout="60s", agent="", url=None):
        self.conf.write_text(CONF.format(url=url or self.demo.url, root=self.demo.root, challenge=self.challenge, more=more, timeout=timeout, agent=agent))

    def __call__(self, *args, env=None, timeout=60):
        return run(self.muster, "--config", self.conf, "--store", self.store, *args, timeout=timeout,
                   env={"MUSTER_RECIPES": str(self.recipes), **(env or {})})

    def script(self, path, text, mode=0o755):
        path = self.dir / path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("#!/bin/sh\n" + text + "\n")
        path.chmod(mode)
        return path

    def hook(self, phase, name, text, mode=0o755):
        return self.script(f"hooks.d/{phase}/{name}", text, mode)

    def read(self, name):
        return (self.out / name).read_text() if (self.out / name).exists() else ""

    def current(self):
        return os.readlink(self.store / "certs/web/current")[len(".gen/"):]

    def serials(self):
        return {p.stem for p in (self.store / "certs/web").glob("*.crt") if not p.is_symlink()}

    def record(self):
        return (self.store / "state/web.deploy").read_text()

    def enroll(self):
        r = self("enroll", "web")
        assert r.code == 0, r
        return r


@pytest.fixture
def site(build, demo, tmp_path):
    return Site(build, demo, tmp_path)


def environment(text):
    return dict(line.split("=", 1) for line in text.splitlines() if "=" in line)


# ---- what they are given ----

def test_the_environment_is_the_documented_one_and_nothing_else(site):
    """Each variable of the table and PATH; stdin at its end; umask, directory and descriptors as promised."""
    s = site
    s.configure(f"success-script = /usr/bin/env > {s.out}/env; umask > {s.out}/umask; pwd > {s.out}/pwd;\n"
                f"  ls -l /proc/self/fd > {s.out}/fd; read x; echo $? > {s.out}/stdin; id -u > {s.out}/uid;\n"
                f"  (: </dev/tty) 2>/dev/null || echo none > {s.out}/tty\nkey-group = ssl-cert\nkey-mode = 0640")
    r = s("enroll", "web", env={"HOME": "/nowhere", "LD_LIBRARY_PATH": "/x", "MUSTER_SECRET_CHALLENGE": "not-this-one"})
    assert r.code == 0, r
    e = environment(s.read("env"))
    e.pop("PWD", None), e.pop("_", None), e.pop("OLDPWD", None), e.pop("SHLVL", None)  # the shell's own
    assert set(e) <= TABLE and e["PATH"] == "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", e
    serial = s.current()
    entry = s.store / "certs/web"
    assert e["MUSTER_EVENT"] == "enrolled" and e["MUSTER_NAME"] == "web" and e["MUSTER_CA"] == "demo", e
    assert e["MUSTER_PROTOCOL"] == "scep" and e["MUSTER_DIR"] == str(entry), e
    assert e["MUSTER_CERT"] == f"{entry}/{serial}.crt" and e["MUSTER_KEY"] == f"{entry}/{serial}.key", e
    assert [Path(p).name for p in e["MUSTER_CHAIN"].split()] == ["ca.crt-0"] or "ca.crt-1" in e["MUSTER_CHAIN"], e
    assert all(Path(p).exists() for p in e["MUSTER_CHAIN"].split())
    assert e["MUSTER_SERIAL"] == serial and "MUSTER_OLD_SERIAL" not in e and e["MUSTER_KEY_CHANGED"] == "1", e
    assert "CN=www.example.org" in e["MUSTER_SUBJECT"] and "www.example.org" in e["MUSTER_SANS"], e
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", e["MUSTER_NOT_AFTER"]) and int(e["MUSTER_DAYS_LEFT"]) > 0, e
    assert e["MUSTER_KEY_GROUP"] == "ssl-cert" and e["MUSTER_KEY_MODE"] == "0640" and "MUSTER_ERROR_CODE" not in e, e
    assert s.read("umask").strip() == "0077" and s.read("pwd").strip() == "/" and s.read("uid").strip() == str(os.geteuid())
    assert s.read("stdin").strip() != "0" and s.read("tty").strip() == "none"
    fds = [line.split()[-3] for line in s.read("fd").splitlines() if "->" in line]
    assert [f for f in fds if int(f) > 3] == [], s.read("fd")  # 3 is ls's own
    # the renewal tells the one before
    assert s("renew", "web", "--force").code == 0
    e = environment(s.read("env"))
    assert e["MUSTER_EVENT"] == "renewed" and e["MUSTER_OLD_SERIAL"] == serial and e["MUSTER_SERIAL"] == s.current() != serial, e


def test_no_secret_and_no_key_is_in_environment_argv_or_log(site):
    """Every secret of the entry, plain, in base64 and percent-encoded, and each key's octets; what a script prints of a key."""
    import base64
    import urllib.parse
    s = site
    for phase in ("pre", "deploy", "post", "failed"):
        s.hook(phase, "look", f"tr '\\0' '\\n' < /proc/$$/environ >> {s.out}/all; tr '\\0' ' ' < /proc/$$/cmdline >> {s.out}/all")
    s.configure(f"success-script = cat $MUSTER_KEY; tr '\\0' '\\n' < /proc/$$/environ >> {s.out}/all\nfailure-script = true")
    r = s("-v", "enroll", "web")
    assert r.code == 0, r
    r2 = s("-v", "hook", "test", "web")
    r3 = s("hook", "test", "web", "--as", "failure")
    assert r2.code == 0 and r3.code == 0, (r2, r3)
    secret = s.challenge.read_text().strip()
    key = (s.store / f"certs/web/{s.current()}.key").read_text()
    seen = s.read("all") + r.out + r.err + r2.out + r2.err + r3.out + r3.err + s.record() + "".join(
        p.read_text(errors="replace") for p in (s.store / "state").glob("*") if p.suffix in (".deploy", ".last", ".life"))
    for form in (secret, base64.b64encode(secret.encode()).decode(), urllib.parse.quote(secret, safe="")):
        assert form not in seen
    for line in key.splitlines()[1:-1]:
        assert line not in seen
    assert "| *" in r2.err  # the key that the script printed


def test_hook_user_runs_them_with_his_groups(site):
    s = site
    s.out = Path(tempfile.mkdtemp(prefix="muster-hook-user-"))  # where he may go
    s.out.chmod(0o777)
    s.configure(f"success-script = id -un > {s.out}/who; id -G > {s.out}/groups; cat $MUSTER_KEY >/dev/null 2>&1 || echo no >> {s.out}/who", agent="hook-user = nobody")
    r = s("enroll", "web")
    if os.geteuid() != 0:
        assert r.code == 6 and "Only root" in r.err, r
        return
    assert r.code == 0, r
    groups = subprocess.run(["id", "-G", "nobody"], capture_output=True, text=True).stdout.split()
    assert s.read("who").split() == ["nobody", "no"] and s.read("groups").split() == groups
    shutil.rmtree(s.out)


# ---- how they end ----

def test_M904_who_does_not_end_is_ended_with_all_that_it_began(site):
    """A script that forks and does not listen to TERM."""
    s = site
    s.configure(f"success-script = trap '' TERM; (trap '' TERM; echo $$ > {s.out}/a; exec sleep 300) & echo $! > {s.out}/pid; sleep 300", timeout="1s")
    begin = time.monotonic()
    r = s("enroll", "web")
    assert r.code == 6 and "M904" in r.err and time.monotonic() - begin < 30, r
    pid = int(s.read("pid"))
    deadline = time.monotonic() + 5
    while os.path.exists(f"/proc/{pid}") and ") Z " not in Path(f"/proc/{pid}/stat").read_text():
        assert time.monotonic() < deadline, "it still runs"
        time.sleep(0.05)
    assert s.current()  # it is issued, saved and current all the same


def test_ten_megabytes_of_output_are_read_and_bounded(site):
    s = site
    s.configure("success-script = head -c 10000000 /dev/zero | tr '\\0' 'x' | fold -w 100; echo; echo the end; exit 3")
    r = s("enroll", "web")
    assert r.code == 6 and "M901" in r.err and 'ended with 3: "the end"' in r.err, r
    assert len(s.record()) < 4096
    r = s("hook", "test", "web")
    assert 60000 < len(r.err) < 120000, len(r.err)  # 64 KiB, with margins


def test_M901_the_last_line_escaped_and_the_failure_script_hears_it(site):
    s = site
    s.configure("success-script = printf 'one\\ntwo \\033[31mred\\n\\n'; exit 7\n"
                f"failure-script = env > {s.out}/env")
    r = s("enroll", "web")
    assert r.code == 6 and "M901" in r.err and "\x1b" not in r.err and r'two \x1b[31mred' in r.err, r
    e = environment(s.read("env"))
    assert e["MUSTER_EVENT"] == "failed" and e["MUSTER_ERROR_CODE"] == "M901" and "ended with 7" in e["MUSTER_ERROR_TEXT"], e
    assert e["MUSTER_ATTEMPT"] == "1" and e["MUSTER_ERROR_HINT"], e


def test_failure_script_on_a_failed_enrollment(site):
    """R031: the responder is off."""
    s = site
    s.hook("failed", "10-tell", f"echo $MUSTER_ERROR_CODE >> {s.out}/failed")
    s.configure(f"failure-script = env > {s.out}/env", url="http://127.0.0.1:9/scep")
    r = s("enroll", "web")
    assert r.code == 3, r
    e = environment(s.read("env"))
    assert e["MUSTER_EVENT"] == "failed" and e["MUSTER_ERROR_CODE"] == "M102" and "MUSTER_CERT" not in e, e
    assert s.read("failed") == "M102\n"


def test_what_it_leaves_running_goes_on_and_is_not_waited_for(site):
    s = site
    s.configure(f"success-script = (sleep 2; echo late > {s.out}/late) & echo started")
    begin = time.monotonic()
    s.enroll()
    if time.monotonic() - begin < 2:
        assert not s.read("late")
    deadline = time.monotonic() + 10
    while not s.read("late"):
        assert time.monotonic() < deadline
        time.sleep(0.05)


# ---- who is run ----

def test_hooks_are_regular_executables_of_ours_that_nobody_else_can_write(site):
    s = site
    for name in ("20-b", "10-a"):
        s.hook("deploy", name, f"echo {name} >> {s.out}/ran")
    s.hook("deploy", "30-writable", f"echo no >> {s.out}/ran", 0o777)
    s.hook("deploy", "40-plain", f"echo no >> {s.out}/ran", 0o644)
    s.hook("deploy", ".hidden", f"echo no >> {s.out}/ran")
    s.hook("deploy", "60-old.bak", f"echo no >> {s.out}/ran")
    elsewhere = s.script("elsewhere", f"echo no >> {s.out}/ran")
    (s.dir / "hooks.d/deploy/50-link").symlink_to(elsewhere)
    r = s.enroll()
    assert s.read("ran") == "10-a\n20-b\n", r
    for name in ("30-writable", "40-plain", "50-link"):
        assert re.search(rf"{name} is not run", r.err), r
    (s.dir / "hooks.d/deploy").chmod(0o777)
    r = s("renew", "web", "--force")
    assert "others may write it" in r.err and s.read("ran") == "10-a\n20-b\n", r


def test_recipes_are_names_and_never_paths(site):
    s = site
    s.script("recipes/thing", f"echo thing $* $MUSTER_SERIAL >> {s.out}/ran")
    s.script("evil", f"echo evil >> {s.out}/ran")
    s.configure("deploy = thing key-mode=0640")
    s.enroll()
    assert s.read("ran") == f"thing key-mode=0640 {s.current()}\n"
    for word in ("../evil", str(s.dir / "evil"), "nothing-of-that-name"):
        s.configure(f"deploy = {word}")
        r = s("deploy", "web")
        assert r.code != 0 and "evil" not in s.read("ran"), r


def test_a_script_that_cannot_be_run_is_told(site):
    s = site
    s.script("recipes/thing", "")
    (s.recipes / "thing").write_text("#!/nowhere/interpreter\n")
    s.configure("deploy = thing")
    r = s("enroll", "web")
    assert r.code == 6 and "M901" in r.err and "No such file" in r.err, r


# ---- pre ----

def test_pre_is_asked_before_the_switch_and_may_veto(site):
    s = site
    s.enroll()
    old = s.current()
    s.configure(f"success-script = echo $MUSTER_SERIAL >> {s.out}/success\nfailure-script = echo $MUSTER_ERROR_CODE >> {s.out}/failed")
    s.hook("pre", "10-no", f"readlink {s.store}/certs/web/current >> {s.out}/pre; [ -s $MUSTER_KEY ] && [ -s $MUSTER_CERT ] && exit 1")
    r = s("renew", "web", "--force")
    assert r.code == 6 and "M901" in r.err, r
    assert s.current() == old and len(s.serials()) == 2 and s.read("success") == "" and s.read("failed") == "M901\n"
    assert s.read("pre") == f".gen/{old}\n"
    new = (s.serials() - {old}).pop()
    r = s("renew", "web")  # the veto stands: neither asked again nor enrolled again
    assert s.current() == old and len(s.serials()) == 2 and s.read("pre") == f".gen/{old}\n", r
    assert new in s("show", "web").out
    s.hook("pre", "10-no", "exit 0")
    r = s("deploy", "web")
    assert r.code == 0 and s.current() == new and s.read("success") == new + "\n", r


def test_pre_that_says_75_is_asked_again(site):
    s = site
    s.hook("pre", "10-later", f"echo x >> {s.out}/asked; [ -e {s.out}/now ] || exit 75")
    r = s("enroll", "web")
    assert r.code == 6 and "asks to wait" in r.err and not (s.store / "certs/web/current").exists(), r
    r = s("enroll", "web")
    assert r.code == 6 and s.read("asked") == "x\nx\n" and len(s.serials()) == 1, r
    (s.out / "now").touch()
    r = s("enroll", "web")
    assert r.code == 0 and s.current() and len(s.serials()) == 1, r


# ---- once, and by hand ----

def test_what_failed_is_gone_on_with_by_the_next_run(site):
    """Without an agent too. What was done does not run again."""
    s = site
    s.script("recipes/one", f"echo one >> {s.out}/ran")
    s.script("recipes/two", f"echo two >> {s.out}/ran; [ -e {s.out}/fine ]")
    s.configure("deploy = one, two")
    r = s("enroll", "web")
    assert r.code == 6 and s("renew", "web").code == 6 and s.read("ran").split() == ["one", "two", "two"], r
    (s.out / "fine").touch()
    assert s("renew", "web").code == 0 and s("renew", "web").code == 0  # --all would wait for its pause
    assert s.read("ran").split() == ["one", "two", "two", "two"]


def test_once_per_serial_and_again_by_hand(site):
    s = site
    s.configure(f"success-script = echo $MUSTER_SERIAL >> {s.out}/success")
    s.enroll()
    s("enroll", "web"), s("renew", "web")
    assert s.read("success").split() == [s.current()]
    assert s("deploy", "web").code == 0
    assert s.read("success").split() == [s.current()] * 2
    r = s("deploy", "web", "--verify")
    assert r.code == 0 and s.read("success").split() == [s.current()] * 2, r


def test_hook_test_runs_all_and_changes_nothing(site):
    s = site
    s.script("recipes/thing", f"echo recipe $MUSTER_EVENT >> {s.out}/ran")
    s.configure(f"deploy = thing\nsuccess-script = echo script $MUSTER_EVENT $MUSTER_SERIAL >> {s.out}/ran\nfailure-script = echo failure $MUSTER_EVENT $MUSTER_ERROR_CODE >> {s.out}/ran")
    s.enroll()
    (s.out / "ran").unlink()
    before = {p: (p.stat().st_mtime_ns, p.read_bytes()) for p in (s.store / "state").glob("*") if p.suffix != ".lock"}
    r = s("hook", "test", "web", "--json")
    assert r.code == 0 and [p["what"] for p in json.loads(r.out)["parts"]] == ["recipe thing", "success-script"], r
    assert s.read("ran") == f"recipe test\nscript test {s.current()}\n"
    (s.out / "ran").unlink()
    assert s("hook", "test", "web", "--as", "failure").code == 0
    assert s.read("ran").startswith("failure test M"), s.read("ran")
    assert before == {p: (p.stat().st_mtime_ns, p.read_bytes()) for p in (s.store / "state").glob("*") if p.suffix != ".lock"}


def test_options_of_enroll_do_the_same(site):
    """--deploy, --success-script, --failure-script and --verify by hand, kept for the renewals."""
    s = site
    s.script("recipes/thing", f"cp $MUSTER_CERT {s.out}/copy; echo recipe >> {s.out}/ran")
    s.conf.write_text("")
    r = s("enroll", "hand", "--via", "scep", "--url", s.demo.url, "--ca-cert", s.demo.root, "--cn", "hand", "--challenge-file", s.challenge,
          "--deploy", "thing", "--success-script", f"echo script >> {s.out}/ran", "--verify", f"file:{s.out}/copy")
    assert r.code == 0 and s.read("ran") == "recipe\nscript\n" and "in use" in r.err + r.out, r
    r = s("renew", "hand", "--force", "--challenge-file", s.challenge)
    assert r.code == 0 and s.read("ran") == "recipe\nscript\n" * 2, r


# ---- verification ----

class TLS:
    """A service that shows what lies in a directory when it was told to reload."""

    def __init__(self, crt, key):
        self.files = (crt, key)
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        self.load()
        threading.Thread(target=self.serve, daemon=True).start()

    def load(self):
        c = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        c.load_cert_chain(*self.files)
        self.context = c

    def serve(self):
        while True:
            try:
                s, _ = self.socket.accept()
            except OSError:
                return
            try:
                self.context.wrap_socket(s, server_side=True).close()
            except (OSError, ssl.SSLError):
                pass


def test_M902_a_service_that_shows_the_old_one(site):
    """RENEWED-STALE: exit 6, the serial that is seen; once it reloads, --verify says so."""
    s = site
    s.enroll()
    old = s.current()
    entry = s.store / "certs/web"
    service = TLS(entry / "latest.crt", entry / "latest.key")
    s.configure(f"verify = tls:127.0.0.1:{service.port} sni=www.example.org")
    assert s("deploy", "web", "--verify").code == 0
    r = s("renew", "web", "--force")
    assert r.code == 6 and f"still presents {old}" in r.err and "M902" in r.err, r
    assert "RENEWED-STALE" in s("status", "web").out
    service.load()
    r = s("deploy", "web", "--verify", "--json")
    part = json.loads(r.out)["parts"][0]
    assert r.code == 0 and part["serial_seen"] == s.current() and part["ok"], r
    assert "RENEWED-STALE" not in s("status", "web").out


def test_M902_names_the_file_that_the_recipe_wrote(site):
    """The recipe says what it wrote; the error, status and --json say that the service should read it."""
    s = site
    s.enroll()
    service = TLS(s.store / "certs/web/latest.crt", s.store / "certs/web/latest.key")
    shutil.copy(ROOT / "share/recipes/copy", s.recipes / "copy")
    (s.recipes / "copy").chmod(0o755)
    lib = (ROOT / "share/recipes/lib.sh").read_text()  # hooks get a clean environment: where muster is stands in the file
    (s.recipes / "lib.sh").write_text(f"MUSTER={s.muster}\nMUSTER_RECIPE_CONF={s.dir}/none\nASAN_OPTIONS=detect_leaks=0\nexport ASAN_OPTIONS\n{lib}")
    target = s.out / "chain.pem"
    s.configure(f"deploy = copy fullchain-file={target} key-file={s.out}/key.pem\nverify = tls:127.0.0.1:{service.port}")
    r = s("renew", "web", "--force")
    assert r.code == 6 and "M902" in r.err and f"It should read {target}" in r.err, r
    assert f"It should read {target}" in s("status", "web").out
    seen = json.loads(s("show", "web", "--json").out)["certificates"][0]["deploy"]
    assert [d["file"] for d in seen] == [str(target)] * 2, seen
    r = s("deploy", "web", "--verify")  # the record knows it without running the recipe again
    assert r.code == 6 and f"It should read {target}" in r.err, r


def test_the_first_deployment_tells_the_old_serial(site):
    """An entry that was renewed before anything was deployed: MUSTER_OLD_SERIAL is that of the pair before."""
    s = site
    s.enroll()
    old = s.current()
    assert s("renew", "web", "--force").code == 0
    s.configure(f"success-script = /usr/bin/env > {s.out}/env")
    assert s("deploy", "web").code == 0
    e = environment(s.read("env"))
    assert e["MUSTER_OLD_SERIAL"] == old and e["MUSTER_SERIAL"] == s.current() != old, e


def test_a_changed_ca_is_told_to_post(build, start_demo, tmp_path):
    """ca-changed: a CA that the known one vouches for came to those trusted; hooks.d/post hears of it, once."""
    d = start_demo()
    s = Site(build, d, tmp_path)
    s.configure(f"success-script = echo >> {s.out}/success")
    s.hook("post", "tell", f"/usr/bin/env > {s.out}/$MUSTER_EVENT; echo $MUSTER_EVENT >> {s.out}/events")
    s.enroll()
    ca = build / "src/cmd/muster-ca/muster-ca"
    name = re.search(r'"name": ?"([^"]+)"', run(ca, "--dir", d.dir, "ca", "list", "--json").out).group(1)
    assert run(ca, "--dir", d.dir, "ca", "next", name).code == 0
    r = s("renew", "web", "--next-ca")
    assert r.code == 0, r
    assert s.read("events").split() == ["enrolled", "ca-changed"], r
    e = environment(s.read("ca-changed"))
    assert e["MUSTER_NAME"] == "web" and "MUSTER_ERROR_CODE" not in e and e["MUSTER_SERIAL"] == s.current(), e
    assert s.read("success").count("\n") == 1


def test_a_reload_may_take_a_moment(site):
    s = site
    s.enroll()
    entry = s.store / "certs/web"
    service = TLS(entry / "latest.crt", entry / "latest.key")
    s.configure(f"verify = tls:127.0.0.1:{service.port}")
    old = s.current()

    def later():
        while s.current() == old:
            time.sleep(0.02)
        time.sleep(1.2)
        service.load()

    t = threading.Thread(target=later)
    t.start()
    r = s("renew", "web", "--force")
    t.join()
    assert r.code == 0, r


def test_M609_and_M610_what_a_web_server_needs(site, muster_ca):
    """C007: a certificate without the usages is not deployed to a web server; one without SAN is told."""
    s = site
    s.script("recipes/nginx", f"echo ran >> {s.out}/ran")
    s.configure("deploy = nginx\nkey-usage = nonRepudiation")
    r = s("enroll", "web")
    usages = subprocess.run(["openssl", "x509", "-in", s.store / "certs/web/latest.crt", "-noout", "-ext", "keyUsage"], capture_output=True, text=True).stdout
    if "Digital Signature" in usages and "Key Encipherment" in usages:
        pytest.fail(f"the demo gave more than was asked for: {usages}")
    assert r.code == 6 and "M609" in r.err and s.read("ran") == "", r


# ---- killed at any instant ----

@pytest.fixture(scope="module")
def release():
    p = Path(os.environ.get("MUSTER_RELEASE", os.environ.get("MUSTER_BUILD", "build")))
    assert (p / "tests/system/killat.so").exists(), f"no killat.so in {p}"
    return p


def killed(site, release, n, when, log=None):
    env = {"LD_PRELOAD": str(release / "tests/system/killat.so")}
    if log:
        env["KILLAT_LOG"] = str(log)
    if n:
        env.update(KILLAT_N=str(n), KILLAT_WHEN=when)
    return site("renew", "web", "--force", env=env)


def test_killed_at_each_write_of_a_deployment_the_next_run_goes_on(release, demo, tmp_path):
    """Renewed with pre, recipe, script and post, killed before and after each call that somebody can see: pair whole, no
    script that was done runs again, the one that ran at most once more, and the next run ends in the same state."""
    s = Site(release, demo, tmp_path)
    for phase, name in (("pre", "p"), ("post", "q")):
        s.hook(phase, name, f"echo {name} $MUSTER_SERIAL >> {s.out}/ran")
    s.script("recipes/thing", f"echo r $MUSTER_SERIAL >> {s.out}/ran")
    conf = f"success-script = echo s $MUSTER_SERIAL >> {s.out}/ran"
    s.hook("deploy", "r", f"echo r $MUSTER_SERIAL >> {s.out}/ran")
    s.configure(conf)
    s.enroll()
    shutil.copytree(s.store, tmp_path / "begin", symlinks=True)
    log = tmp_path / "calls"

    def again():
        shutil.rmtree(s.store)
        shutil.copytree(tmp_path / "begin", s.store, symlinks=True)
        (s.out / "ran").write_text("")

    again()
    assert killed(s, release, 0, "", log).code == 0
    first = min(int(line.split()[0]) for line in log.read_text().splitlines() if "state/web.deploy" in line or "web.deploy" in line)
    last = max(int(line.split()[0]) for line in log.read_text().splitlines() if line.split()[1] != "=")
    old = os.readlink(tmp_path / "begin/certs/web/current")[5:]
    step = max(1, (last - first) // int(os.environ.get("MUSTER_DEPLOY_KILLS", "30")))
    done = 0
    for n in range(first, last + 1, step):
        for when in ("before", "after"):
            again()
            r = killed(s, release, n, when)
            if r.code != -signal.SIGKILL:
                continue
            done += 1
            current = s.current()
            pair = s.store / "certs/web"
            same = [subprocess.run(["openssl", *a], capture_output=True).stdout for a in (
                ["x509", "-in", pair / "latest.crt", "-noout", "-pubkey"], ["pkey", "-in", pair / "latest.key", "-pubout"])]
            assert same[0] == same[1] != b"", f"{n} {when}: the pair is torn"
            ran = s.read("ran").split("\n")[:-1]
            # a next run: whatever is out, held or not deployed goes on
            r = s("renew", "web")
            assert r.code in (0, 6), (n, when, r)
            if s.current() == current == old and not (pair / "next").exists():
                continue  # killed before anything was issued here
            after = s.read("ran").split("\n")[:-1]
            assert r.code == 0 and s.current() != old, (n, when, r)
            counts = {line: after.count(line) for line in set(after) if s.current() in line}
            assert {k.split()[0] for k in counts} == {"p", "r", "s", "q"}, (n, when, after, s.record())
            assert sum(counts.values()) <= 5, (n, when, ran, after)  # the one that ran once more, no other
    print(f"muster, renewal and deployment by hand: {done} kills at {last - first + 1} calls")
    assert done > 20, done
