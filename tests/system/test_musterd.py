"""The agent as a process: how it starts, what it tells systemd, who may ask it what, how it ends."""
import json
import os
import pwd
import re
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

import pytest

from conftest import need, run
from musterd import Musterd, Unix, wait_for


@pytest.fixture
def agent(build, tmp_path):
    """A function that makes agents; all are stopped at the end."""
    made = []

    def make(conf="", name="agent", **kw):
        a = Musterd(build, tmp_path / name, conf, **kw)
        made.append(a)
        return a

    yield make
    for a in made:
        a.end()


# ---- options ----

def test_options_that_end_at_once(build, tmp_path):
    program = build / "src/cmd/musterd/musterd"
    r = run(program, "--version")
    assert r.code == 0 and r.out.startswith("musterd "), r
    r = run(program, "--licenses")
    assert r.code == 0 and "OpenSSL" in r.out, r
    r = run(program, "--help")
    assert r.code == 0 and "--socket" in r.out, r
    for bad in (["--stor", "x"], ["--store"], ["word"]):
        r = run(program, *bad)
        assert r.code == 64 and "musterd --help" in r.err, r


def test_check_reads_the_configuration_and_ends(build, tmp_path):
    program = build / "src/cmd/musterd/musterd"
    conf = tmp_path / "muster.conf"
    conf.write_text("[agent]\nlog-level = info\n")
    r = run(program, "--check", "--config", conf)
    assert r.code == 0 and "fine" in r.out, r
    conf.write_text("[agent]\nlog-levl = info\n")
    r = run(program, "--check", "--config", conf)
    assert r.code in (4, 78), r
    assert "M706" in r.err and f"{conf}:2" in r.err and "log-level" in r.err, r
    assert not (tmp_path / "store").exists()


# ---- start and end ----

def test_ready_before_anything_and_status_and_stopping(agent):
    a = agent().start()
    assert a.messages[0] == "READY=1"
    assert a.message("STATUS=").startswith("STATUS=0 certificates")
    s = a.status()
    assert s["pid"] == a.process.pid and s["store"] == str(a.store) and s["fault"] is None
    assert (a.dir / "run/musterd.pid").read_text().strip() == str(a.process.pid)
    assert a.stop() == 0
    a.message("STOPPING=1")
    assert not a.socket.exists() and not (a.dir / "run/musterd.pid").exists()


def test_int_ends_and_usr1_does_not(agent):
    a = agent().start()
    a.process.send_signal(signal.SIGUSR1)
    a.process.send_signal(signal.SIGUSR2)
    assert a.status()["pid"] == a.process.pid
    assert a.stop(signal.SIGINT) == 0


def test_watchdog_is_fed_from_the_loop(agent):
    a = agent().start(env={"WATCHDOG_USEC": "400000"})
    for _ in range(4):
        a.message("WATCHDOG=1", seconds=5)


def test_no_second_one_at_the_same_place(agent):
    a = agent().start()
    r = run(*a.args("-F"), env={"NOTIFY_SOCKET": ""})
    assert r.code == 1 and "M707" in r.err and str(a.process.pid) in r.err, r
    assert a.status()["pid"] == a.process.pid
    assert (a.dir / "run/musterd.pid").read_text().strip() == str(a.process.pid)


def test_background_ends_when_it_is_ready_and_tells_failure(agent):
    a = agent()
    r = run(*a.args())  # returns once the child is ready
    assert r.code == 0 and r.out == "" and r.err == "", r
    pid = a.status()["pid"]
    assert int((a.dir / "run/musterd.pid").read_text()) == pid
    try:
        assert os.getsid(pid) != os.getsid(0)
        assert os.readlink(f"/proc/{pid}/fd/0") == "/dev/null"
        assert os.readlink(f"/proc/{pid}/fd/2") == "/dev/null"
        assert os.readlink(f"/proc/{pid}/cwd") == "/"
        r = run(*a.args())
        assert r.code == 1 and "M707" in r.err, r
    finally:
        os.kill(pid, signal.SIGTERM)
    wait_for(lambda: not a.socket.exists())


def test_what_a_crash_left_is_no_obstacle(agent):
    a = agent().start()
    a.kill()
    assert a.socket.exists() and (a.dir / "run/musterd.pid").exists()
    a.start()
    assert a.status()["pid"] == a.process.pid


def test_secrets_leave_the_environment_and_no_core_is_written(agent):
    a = agent().start(env={"MUSTER_SECRET_CHALLENGE": "hush-hush", "MUSTER_SECRET_OTHER": "hush-too"})
    for what in ("environ", "cmdline"):
        with open(f"/proc/{a.process.pid}/{what}", "rb") as f:
            assert b"hush" not in f.read()
    with open(f"/proc/{a.process.pid}/limits") as f:
        limits = f.read()
    assert re.search(r"Max core file size\s+0\s", limits), limits
    with open(f"/proc/{a.process.pid}/status") as f:
        assert "Umask:\t0077" in f.read()
    assert any("2 variables MUSTER_SECRET_" in e["msg"] for e in a.events())
    assert "hush" not in a.stderr()


def test_clock_shift_is_told(agent):
    a = agent().start(shift=86400)
    assert a.status()["clock_shift"] == 86400
    assert "the clock is shifted" in a.message("STATUS=")
    assert any("shifted by 86400 s" in e["msg"] for e in a.events())


def test_clock_shift_needs_demo_in_a_release_build(agent, tmp_path):
    release = os.environ.get("MUSTER_RELEASE")
    assert release, "MUSTER_RELEASE names the release build"
    from pathlib import Path
    a = Musterd(Path(release), tmp_path / "release")
    a.start(shift=86400)
    assert a.status()["clock_shift"] == 0
    a.stop()
    a.start("--demo", shift=86400)
    assert a.status()["clock_shift"] == 86400
    a.end()


# ---- reload ----

SECTION = """
[ca "lab"]
protocol = scep
url = http://127.0.0.1:9/scep
[certificate "{}"]
ca = lab
automation = no
subject = CN=x
"""


def test_reload_adds_and_removes_and_tells_systemd(agent):
    a = agent(SECTION.format("one")).start()
    assert list(a.certs()) == ["one"]
    a.configure(SECTION.format("two"))
    a.process.send_signal(signal.SIGHUP)
    m = a.message("RELOADING=1")
    usec = int(re.search(r"MONOTONIC_USEC=(\d+)", m).group(1))
    assert abs(time.clock_gettime(time.CLOCK_MONOTONIC) * 1e6 - usec) < 60e6
    a.message("READY=1")
    assert list(a.certs()) == ["two"]
    a.configure(SECTION.format("three"))
    assert a.post("/v1/reload")["agent"]["reloaded"]
    assert list(a.certs()) == ["three"]


def test_another_store_or_socket_at_reload_is_said_to_need_a_restart(build, open_dir):
    """It stays with what it has open: said in the log, by systemd's status, by muster status and by who changes it."""
    d = Path(open_dir)
    conf = d / "muster.conf"
    conf.write_text(f"[agent]\nstore = {d}/store\ncontrol = unix:{d}/control.sock\nnotify = off\n" + SECTION.format("one"))
    conf.chmod(0o600)
    muster, musterd = build / "src/cmd/muster/muster", build / "src/cmd/musterd/musterd"
    log = open(d / "log", "wb")
    p = subprocess.Popen([musterd, "-F", "--config", conf], stdout=log, stderr=log)
    try:
        wait_for(lambda: (d / "control.sock").exists() and b"action=start" in (d / "log").read_bytes())
        ask = [muster, "--config", conf, "--socket", d / "control.sock", "--no-input"]
        r = run(*ask, "config", "set", "agent", "log-level", "info")
        assert r.code == 0 and "restart" not in r.err, r
        r = run(*ask, "config", "set", "agent", "store", d / "other")
        assert r.code == 0 and "keeps its present store until it is restarted" in r.err, r
        r = run(*ask, "config", "set", "agent", "control", f"unix:{d}/other.sock")
        assert r.code == 0 and "keeps its present store, control until it is restarted" in r.err, r
        text = (d / "log").read_text()
        assert f"names another store: it is taken when musterd is restarted; until then the present one stays in use: {d}/store" in text, text
        assert f"until then it listens at {d}/control.sock" in text, text
        r = run(*ask, "--store", d / "store", "status", "--json")
        assert json.loads(r.out)["agent"]["running"] is True, r
        r = run(*ask, "--store", d / "store", "status")
        assert "a restart is needed for another store, control" in r.out, r
        assert not (d / "other").exists() and not (d / "other.sock").exists()
        run(*ask, "config", "set", "agent", "control", f"unix:{d}/control.sock")
        r = run(*ask, "config", "set", "agent", "store", d / "store")
        assert r.code == 0 and "restarted" not in r.err, r
        assert "restart is needed" not in run(*ask, "status").out
    finally:
        p.terminate()
        assert p.wait(20) == 0
        log.close()


def test_wrong_reload_keeps_the_old_and_says_so(agent):
    a = agent(SECTION.format("one")).start()
    a.configure(SECTION.format("two").replace("subject", "subjct"))
    a.process.send_signal(signal.SIGHUP)
    a.message("RELOADING=1")
    a.message("READY=1")
    assert "wrong and not in use" in a.message("STATUS=")
    assert list(a.certs()) == ["one"]
    fault = a.status()["fault"]
    assert fault["code"] == "M706" and "subject" in fault["do"], fault
    assert any(e["action"] == "reload" and e["status"] == "failure" for e in a.events())
    status, body = a.ask("POST", "/v1/reload")
    assert status == 400 and body["error"]["code"] == "M706", body
    a.configure(SECTION.format("two"))
    a.post("/v1/reload")
    assert list(a.certs()) == ["two"] and a.status()["fault"] is None


# ---- the control socket ----

def test_curl_asks(agent):
    a = agent().start()
    r = run(need("curl"), "-s", "--fail", "--unix-socket", a.socket, "http://muster/v1/status")
    assert r.code == 0 and json.loads(r.out)["schema"] == "muster/1", r


def test_what_is_no_request_is_refused_with_a_sentence(agent):
    a = agent().start()
    for method, path, want in (("GET", "/v1/nothing", 404), ("DELETE", "/v1/status", 501), ("GET", "/v1/status?x=1", 400)):
        status, body = a.ask(method, path)
        assert status == want and body["error"]["what"], (path, body)
    c = Unix(a.socket)
    c.request("POST", "/v1/touch", body="x" * 100000)
    assert c.getresponse().status == 413


def as_nobody(*args, groups=None):
    """Runs args as user nobody, with these groups besides its own."""
    setpriv = need("setpriv")
    nobody = pwd.getpwnam("nobody")
    more = ["--groups", groups] if groups else ["--clear-groups"]
    return run(setpriv, f"--reuid={nobody.pw_uid}", f"--regid={nobody.pw_gid}", *more, *args)


@pytest.fixture
def group_muster():
    """Group 'muster' exists; taken away again if it did not."""
    made = subprocess.run(["getent", "group", "muster"], capture_output=True).returncode != 0
    if made:
        subprocess.run([need("groupadd"), "--system", "muster"], check=True)
    yield "muster"
    if made:
        subprocess.run([need("groupdel"), "muster"], check=True)


@pytest.fixture
def open_dir(tmp_path_factory):
    """A directory that others may look into, as pytest's own are not."""
    import tempfile
    d = tempfile.mkdtemp(prefix="musterd-")
    os.chmod(d, 0o755)
    yield d
    shutil.rmtree(d)


def test_members_read_root_changes_others_stay_outside(build, open_dir, group_muster):
    assert os.geteuid() == 0, "the tests of users need root"
    a = Musterd(build, open_dir + "/a")
    os.chmod(a.dir, 0o755)
    a.start()
    curl = [need("curl"), "-s", "--unix-socket", a.socket]
    r = as_nobody(*curl, "http://muster/v1/status", groups=group_muster)
    assert r.code == 0 and json.loads(r.out)["agent"]["pid"] == a.process.pid, r
    for path in ("/v1/reload", "/v1/touch", "/v1/certificates/x/renew"):
        r = as_nobody(*curl, "-X", "POST", "http://muster" + path, groups=group_muster)
        assert "group 'muster' may read; changes are for root" in r.out, r
    r = as_nobody(*curl, "http://muster/v1/status")
    assert r.code == 7, r  # may not even connect
    os.chmod(a.socket, 0o666)  # somebody opened it: then it is a sentence
    r = as_nobody(*curl, "http://muster/v1/status")
    assert "not from root, the program's own user or group 'muster'" in r.out, r
    a.end()


def test_unprivileged_with_its_own_store(build, open_dir):
    assert os.geteuid() == 0, "the tests of users need root"
    nobody = pwd.getpwnam("nobody")
    a = Musterd(build, open_dir + "/a")
    for path in (a.dir, a.conf, a.notify_path):
        os.chown(path, nobody.pw_uid, nobody.pw_gid)
    a.start(prefix=[need("setpriv"), f"--reuid={nobody.pw_uid}", f"--regid={nobody.pw_gid}", "--clear-groups"])
    assert a.status()["uid"] == nobody.pw_uid
    assert os.stat(a.socket).st_mode & 0o777 == 0o600
    assert os.stat(a.store / "state").st_uid == nobody.pw_uid
    a.end()


def test_slow_and_silent_clients_hold_up_nobody(agent):
    a = agent().start()
    silent = []
    for i in range(50):
        s = socket.socket(socket.AF_UNIX)
        s.connect(str(a.socket))
        if i % 2:
            s.send(b"GET /v1/status HT")
        silent.append(s)
    begin = time.monotonic()
    for _ in range(5):
        assert a.status()["pid"] == a.process.pid
    assert time.monotonic() - begin < 5
    silent[1].settimeout(30)
    assert silent[1].recv(10) == b"", "a request that never ends is closed"
    for s in silent:
        s.close()


def test_events_are_followed(agent):
    a = agent().start()
    place = a.get("/v1/events")["place"]
    c = Unix(a.socket)
    c.request("GET", f"/v1/events?after={place}&wait=30")
    time.sleep(0.2)
    a.post("/v1/reload")
    body = json.loads(c.getresponse().read())
    assert [e["action"] for e in body["events"]] == ["reload"], body


# ---- log and metrics ----

def test_log_to_journal_syslog_file_and_command(agent, tmp_path):
    sockets = {}
    for kind in ("journal", "syslog", "syslog5424"):
        sockets[kind] = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        sockets[kind].bind(str(tmp_path / kind))
        sockets[kind].settimeout(10)
    a = agent()
    a.conf.write_text(f"[agent]\nnotify = journal:{tmp_path}/journal, syslog:{tmp_path}/syslog, syslog5424:{tmp_path}/syslog5424, file:{tmp_path}/log\n")
    a.start()
    journal = sockets["journal"].recv(65536).decode()
    assert "\nMUSTER_ACTION=start\n" in journal and "PRIORITY=5\n" in journal, journal
    syslog = sockets["syslog"].recv(65536).decode()
    assert re.match(r"<29>[A-Z][a-z][a-z] [ \d]\d \d\d:\d\d:\d\d musterd\[\d+\]: date=\S+ .*action=start", syslog), syslog
    syslog = sockets["syslog5424"].recv(65536).decode()
    assert re.match(r"<29>1 \S+Z \S+ musterd \d+ start \[muster@32473 type=\"event\"", syslog), syslog
    log = (tmp_path / "log").read_text()
    assert "action=start" in log
    os.rename(tmp_path / "log", tmp_path / "log.1")
    a.process.send_signal(signal.SIGHUP)
    wait_for(lambda: (tmp_path / "log").exists() and "action=reload" in (tmp_path / "log").read_text())


def test_log_level(agent):
    a = agent()
    a.configure("", agent="log-level = error")
    a.start()
    assert a.events() == []
    a.configure("")
    a.post("/v1/reload")
    assert [e["action"] for e in a.events()] == ["reload"]


def test_metrics_by_file_socket_and_port(agent, tmp_path):
    s = socket.socket()
    s.bind(("127.0.0.1", 0))
    port = s.getsockname()[1]
    s.close()
    a = agent()
    a.configure("", agent=f"metrics = textfile:{tmp_path}/muster.prom, unix:{a.dir}/run/metrics.sock, 127.0.0.1:{port}")
    a.start()
    curl = [need("curl"), "-s", "--fail"]
    for where in (["--unix-socket", a.dir / "run/metrics.sock", "http://x/metrics"], [f"http://127.0.0.1:{port}/metrics"]):
        r = run(*curl, *where)
        assert r.code == 0 and "muster_build_info" in r.out, r
    assert run(*curl, f"http://127.0.0.1:{port}/").code == 22
    assert run(*curl, "-X", "POST", f"http://127.0.0.1:{port}/metrics").code == 22
    wait_for(lambda: (tmp_path / "muster.prom").exists())
    assert "muster_build_info" in (tmp_path / "muster.prom").read_text()
    assert "muster_build_info" in a.get("/v1/metrics")
    # the same port in another list, then none
    a.configure("", agent=f"metrics = 127.0.0.1:{port}")
    a.post("/v1/reload")
    assert run(*curl, f"http://127.0.0.1:{port}/metrics").code == 0
    assert not (a.dir / "run/metrics.sock").exists()
    a.configure("", agent="metrics = off")
    a.post("/v1/reload")
    assert run(*curl, f"http://127.0.0.1:{port}/metrics").code == 7


# ---- muster beside it ----

def test_status_says_whether_the_agent_runs(agent):
    a = agent(SECTION.format("one"))
    where = [a.muster, "--config", a.conf, "--store", a.store, "--socket", a.socket]
    r = run(a.muster, *where[1:3], *where[5:], "status", env={"MUSTER_STORE": str(a.store)})
    a.start()
    r = run(*where, "status")
    assert r.code == 0 and f"agent: running, process {a.process.pid}, since" in r.out, r
    r = run(*where, "status", "--json")
    assert json.loads(r.out)["agent"]["pid"] == a.process.pid
    a.stop()
    assert "agent: not running" in run(*where, "status").out
    assert json.loads(run(*where, "status", "--json").out)["agent"] == {"running": False}


def test_who_may_not_read_the_store_is_told_by_the_agent(build, open_dir, group_muster):
    assert os.geteuid() == 0, "the tests of users need root"
    a = Musterd(build, open_dir + "/a", SECTION.format("one"))
    os.chmod(a.dir, 0o755)
    a.start()
    env = ["env", "-u", "XDG_DATA_HOME", f"HOME={open_dir}/none", f"MUSTER_SOCKET={a.socket}", f"MUSTER_STORE={a.store}"]
    # the configuration is not for everybody either
    os.chmod(a.conf, 0o600)
    none = os.path.join(open_dir, "empty.conf")
    open(none, "w").close()
    ask = [*env, a.muster, "--config", none]
    r = as_nobody(*ask, "status", groups=group_muster)
    assert r.code == 0 and "one " in r.out and "DISABLED" in r.out and "agent: running" in r.out, r
    mine = run(a.muster, "--config", a.conf, "--store", a.store, "show", "one")
    r = as_nobody(*ask, "show", "one", groups=group_muster)
    assert r.code == 0 and r.out == mine.out, (r, mine)
    r = as_nobody(*ask, "list", "--json", groups=group_muster)
    assert [c["name"] for c in json.loads(r.out)["certificates"]] == ["one"], r
    r = as_nobody(*ask, "log", groups=group_muster)
    assert "action=start" in r.out, r
    r = as_nobody(*ask, "status")  # no member: the store's own error stands
    assert r.code != 0 and "M704" in r.err, r
    a.end()


def test_commands_poke_the_agent(agent):
    a = agent().start()
    place = a.get("/v1/events")["place"]
    r = run(a.muster, "--config", a.conf, "--store", a.store, "--socket", a.socket, "-v", "--no-input",
            "enroll", "t", "--url", "http://127.0.0.1:9/scep")
    assert r.code == 3 and "no running agent" not in r.err, r
    events = a.get(f"/v1/events?after={place}&wait=20")["events"]
    assert [e["name"] for e in events] == ["t"], events
    a.stop()
    r = run(a.muster, "--config", a.conf, "--store", a.store, "--socket", a.socket, "-v", "--no-input",
            "enroll", "t", "--url", "http://127.0.0.1:9/scep")
    assert r.code == 3 and "no running agent was told" in r.err, r
