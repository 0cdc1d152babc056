"""muster-ca as its operator meets it: demo, init, serve and the commands, by socket and by lock."""
import datetime
import json
import os
import re
import signal
import socket
import stat
import subprocess
from pathlib import Path

import pytest

from conftest import Server, run


def mode(path):
    return stat.S_IMODE(os.stat(path).st_mode)


@pytest.fixture
def ask(muster_ca):
    """Runs 'muster-ca --dir DIR ...' and returns the result; with json=True the object."""

    def call(dir, *args, code=0, **kw):
        r = run(muster_ca, "--dir", dir, *args, **kw)
        assert r.code == code, r
        return r

    def as_json(dir, *args, **kw):
        r = call(dir, *args, "--json", **kw)
        o = json.loads(r.out)
        assert o["schema"] == "muster/1"
        return o

    call.json = as_json
    return call


def pin_of(demo):
    out = subprocess.run(["openssl", "x509", "-in", demo.root, "-noout", "-fingerprint", "-sha256"],
                         capture_output=True, text=True, check=True).stdout
    return out.strip().split("=", 1)[1]


def enroll(muster, demo, tmp_path, name, challenge, *more):
    secret = demo.secret(challenge, tmp_path / f"{challenge}.txt")
    return run(muster, "--store", tmp_path / "store", "enroll", name, "--via", "scep", "--url", demo.url,
               "--subject", f"/C=NL/O=Test/CN={name}", "--challenge-file", secret, "--pin", pin_of(demo), *more)


# ---- demo ----

def test_demo_prints_what_one_needs_and_no_secret(demo):
    """PRODUCT 'muster-ca demo', D1, D4."""
    out = demo.out.decode()
    assert re.search(r"^SCEP  http://127\.0\.0\.1:\d+/app/cert/scep/$", out, re.M)
    m = re.search(r"^root  (\S+)  SHA-256 ((?:[0-9A-F]{2}:){31}[0-9A-F]{2}) ", out, re.M)
    assert m, out
    fp = subprocess.run(["openssl", "x509", "-in", m.group(1), "-noout", "-fingerprint", "-sha256"],
                        capture_output=True, text=True, check=True).stdout
    assert fp.strip().endswith(m.group(2))
    assert re.search(r"^try   .*muster enroll t1 --demo$", out, re.M)
    assert "challenge1" not in out and "challenge2" not in out


def test_demo_files_have_their_modes(demo):
    """D1, D3: passwords and keys are 0600, all of it is below the directory."""
    d = demo.dir
    for name in ("credentials", "challenge1", "challenge2", "hash.key"):
        assert mode(d / name) == 0o600, name
    assert mode(d / "admin.sock") == 0o660
    assert mode(d / "keys") == 0o700
    keys = list((d / "keys").iterdir())
    assert keys
    for k in keys:
        assert mode(k) == 0o600
    assert mode(d / "muster-ca.db") == 0o600
    conf = (d / "demo.conf").read_text()
    assert f"scep-url = {demo.url}" in conf and "root = root.pem" in conf and "challenge-file = challenge1" in conf


def test_demo_listens_on_loopback_only(demo):
    def listeners(file):
        for line in Path(file).read_text().splitlines()[1:]:
            f = line.split()
            if f[3] == "0A" and int(f[1].split(":")[1], 16) == demo.port:
                yield f[1].split(":")[0]

    assert set(listeners("/proc/net/tcp")) == {"0100007F"}
    assert list(listeners("/proc/net/tcp6")) == []


def test_demo_keeps_its_ca_over_a_restart(start_demo, ask):
    d = start_demo()
    before = d.root.read_bytes()
    assert d.stop() == 0
    again = start_demo()
    assert again.root.read_bytes() == before
    assert len(ask.json(again.dir, "ca", "list")["cas"]) == 1


def test_demo_in_memory_leaves_no_key_behind(start_demo, ask):
    d = start_demo("--memory", name="mem")
    assert not (d.dir / "muster-ca.db").exists()
    assert not (d.dir / "keys").exists()
    assert ask.json(d.dir, "ca", "list")["cas"][0]["ready"] is True
    d.stop()
    r = ask(d.dir, "ca", "list", code=1)
    assert "memory" in r.err


def test_demo_refuses_a_port_in_use_and_a_real_ca(muster_ca, demo, tmp_path, ask):
    r = run(muster_ca, "demo", "--dir", tmp_path / "d", "--port", demo.port)
    assert r.code != 0 and "  do " in r.err, r
    ask(tmp_path / "real", "init", "--key", "ec:P-256")
    r = run(muster_ca, "demo", "--dir", tmp_path / "real", "--port", 0)
    assert r.code == 2 and "not a demo" in r.err, r


def test_a_second_demo_in_the_same_directory_is_refused(muster_ca, demo):
    r = run(muster_ca, "demo", "--dir", demo.dir, "--port", 0)
    assert r.code != 0 and "M707" in r.err and str(demo.process.pid) in r.err, r


@pytest.mark.parametrize("sig", [signal.SIGINT, signal.SIGTERM])
def test_demo_stops_cleanly(start_demo, sig):
    d = start_demo()
    d.process.send_signal(sig)
    d.process.wait(timeout=20)
    assert d.process.returncode == 0
    assert not (d.dir / "admin.sock").exists()
    with socket.socket() as s:
        assert s.connect_ex(("127.0.0.1", d.port)) != 0


def test_reload_by_sighup_is_logged(start_demo, ask):
    d = start_demo()
    d.process.send_signal(signal.SIGHUP)
    for _ in range(200):
        if "action=reload status=success" in d.stderr():
            break
        ask(d.dir, "ca", "list")
    assert "action=reload status=success" in d.stderr()


def test_the_clock_shift_is_said(start_demo, ask):
    d = start_demo(env={"MUSTER_CLOCK_SHIFT": "86400000"})
    assert "action=clock" in d.stderr() and "86400000" in d.stderr()
    year = int(ask.json(d.dir, "ca", "list")["time"][:4])
    assert year >= datetime.datetime.now(datetime.timezone.utc).year + 2


# ---- the queue and what is issued ----

def test_queue_approve_issued_revoke_crl(demo, muster, ask, tmp_path):
    r = enroll(muster, demo, tmp_path, "wait1", "challenge2", "--no-wait")
    assert r.code == 5, r
    rows = [q for q in ask.json(demo.dir, "queue", "list")["queue"] if "CN=wait1" in q["subject"]]
    assert len(rows) == 1
    txn, number = rows[0]["transaction"], rows[0]["id"]
    shown = ask.json(demo.dir, "queue", "show", txn)["request"]
    changes = {(c["change"], c["what"]) for c in shown["issue"]["changes"]}
    assert changes == {("removed", "C=NL"), ("added", "OU=AS")}
    human = ask(demo.dir, "queue", "show", number).out
    assert "- C=NL" in human and "+ OU=AS" in human
    serial = ask.json(demo.dir, "queue", "approve", number)["serial"]
    ask(demo.dir, "queue", "approve", number, code=1)
    assert run(muster, "--store", tmp_path / "store", "poll", "wait1").code == 0
    cert = ask.json(demo.dir, "issued", "show", serial)["certificate"]
    assert cert["state"] == "valid" and "CN=wait1" in cert["subject"] and "OU=AS" in cert["subject"]
    assert [c["serial"] for c in ask.json(demo.dir, "issued", "list", "--subject", "CN=wait1")["issued"]] == [serial]
    ask(demo.dir, "revoke", serial, "--reason", "superseded")
    ask(demo.dir, "revoke", "ABCDEF", code=1)
    crl = tmp_path / "crl.pem"
    ask(demo.dir, "crl", "show", "--out", crl)
    text = subprocess.run(["openssl", "crl", "-in", crl, "-noout", "-text"], capture_output=True, text=True, check=True).stdout
    assert serial.lstrip("0") in text.replace(":", "").upper()
    assert "Superseded" in text
    assert "revoke" in ask(demo.dir, "log", "--action", "revoke").out


def test_queue_reject_tells_the_client(demo, muster, ask, tmp_path):
    r = enroll(muster, demo, tmp_path, "no1", "challenge2", "--no-wait")
    assert r.code == 5, r
    row = [q for q in ask.json(demo.dir, "queue", "list")["queue"] if "CN=no1" in q["subject"]][0]
    r = ask(demo.dir, "queue", "reject", row["transaction"], code=64)
    assert "--reason" in r.err
    ask(demo.dir, "queue", "reject", row["transaction"], "--reason", "ask the night shift")
    r = run(muster, "--store", tmp_path / "store", "poll", "no1")
    assert r.code == 2 and "ask the night shift" in r.err + r.out, r


def test_scep_disable_and_enable(start_demo, ask, muster, tmp_path):
    """S004."""
    demo = start_demo()
    ask(demo.dir, "scep", "disable")
    r = enroll(muster, demo, tmp_path, "off1", "challenge1")
    assert r.code != 0 and "M304" in r.err, r
    ask(demo.dir, "scep", "enable")
    r = enroll(muster, demo, tmp_path, "off1", "challenge1")
    assert r.code == 0, r


# ---- entries, profiles ----

def test_entry_new_hands_the_password_over_once(demo, ask, tmp_path):
    """D1."""
    out = tmp_path / "branch.secret"
    r = ask(demo.dir, "profile", "new", "branch", "approval=manual", "lifetime=10d")
    assert re.search(r"^approval\s+= manual$", r.out, re.M)
    r = ask(demo.dir, "entry", "new", "branch1", "--profile", "branch", "--out", out)
    assert mode(out) == 0o600
    password = out.read_text().strip()
    assert len(password) >= 22
    for args in (("entry", "list"), ("entry", "show", "branch1"), ("log",)):
        assert password not in ask(demo.dir, *args).out
        assert password not in ask(demo.dir, *args, "--json").out
    assert password not in r.out + r.err + demo.stderr()
    r = ask(demo.dir, "entry", "new", "branch2", "--out", out, code=73)
    assert "M702" in r.err and out.read_text().strip() == password
    assert "branch2" not in ask(demo.dir, "entry", "list").out
    o = ask.json(demo.dir, "entry", "new", "branch3", "--out", tmp_path / "b3")
    assert o["password"] == "*" and mode(o["password_file"]) == 0o600
    given = tmp_path / "given"
    given.write_text("long and given\n")
    given.chmod(0o644)
    r = run(demo.args[0], "--dir", demo.dir, "entry", "new", "branch4", "--password-file", given)
    assert r.code != 0 and "M701" in r.err
    given.chmod(0o600)
    ask(demo.dir, "entry", "new", "branch4", "--password-file", given, "--reusable")
    r = run(demo.args[0], "--dir", demo.dir, "entry", "new", "branch5", "--password-file", given)
    assert r.code != 0, "two entries with one password"


def test_entry_life(demo, ask, tmp_path):
    ask(demo.dir, "entry", "new", "life", "--out", tmp_path / "a")
    ask(demo.dir, "entry", "disable", "life")
    assert ask.json(demo.dir, "entry", "show", "life")["entry"]["state"] == "disabled"
    ask(demo.dir, "entry", "enable", "life")
    ask(demo.dir, "entry", "reset", "life")
    ask(demo.dir, "entry", "passwd", "life", "--out", tmp_path / "b")
    assert (tmp_path / "a").read_text() != (tmp_path / "b").read_text()
    ask(demo.dir, "entry", "remove", "life")
    ask(demo.dir, "entry", "show", "life", code=1)


def test_a_new_entry_enrolls_once(demo, muster, ask, tmp_path):
    secret = tmp_path / "once.secret"
    ask(demo.dir, "profile", "new", "plain")
    ask(demo.dir, "entry", "new", "once", "--profile", "plain", "--out", secret)

    def go(name):
        return run(muster, "--store", tmp_path / "store", "enroll", name, "--via", "scep", "--url", demo.url,
                   "--subject", f"/CN={name}", "--challenge-file", secret, "--pin", pin_of(demo))

    assert go("first").code == 0
    r = go("second")
    assert r.code == 2, r
    assert ask.json(demo.dir, "entry", "show", "once")["entry"]["state"] == "used"


# ---- init, serve, the same commands without a server ----

def test_init_serve_and_commands_with_and_without_a_server(muster_ca, ask, tmp_path):
    d = tmp_path / "ca"
    r = ask(d, "init", "--cn", "Example", "--key", "ec:P-256", "--listen", "127.0.0.1:0")
    assert re.search(r"^root +CN=Example Root CA$", r.out, re.M) and re.search(r"^ra +", r.out, re.M), r
    for k in (d / "keys").iterdir():
        assert mode(k) == 0o600
    assert len(list((d / "keys").iterdir())) == 3
    assert mode(d / "hash.key") == 0o600 and mode(d / "keys") == 0o700
    before = {p.name: p.read_bytes() for p in (d / "keys").iterdir()}
    r = ask(d, "init", code=73)
    assert "M702" in r.err
    assert before == {p.name: p.read_bytes() for p in (d / "keys").iterdir()}
    # nobody serves: the command does it itself
    ask(d, "profile", "new", "here", "lifetime=5d")
    assert ask.json(d, "profile", "show", "here")["profile"]["settings"]["lifetime"] == "5d"
    ra = ask.json(d, "ca", "show", "ca")["ca"]["ra"][0]
    (tmp_path / "ra.pem").write_text(ra["pem"])
    text = subprocess.run(["openssl", "x509", "-in", tmp_path / "ra.pem", "-noout", "-text"], capture_output=True,
                          text=True, check=True).stdout
    assert "Digital Signature, Key Encipherment" in text and "2048 bit" in text
    s = Server([muster_ca, "--dir", d, "serve"], tmp_path / "serve.log", r"SCEP +(http://\S+)")
    try:
        assert ask.json(d, "profile", "show", "here")["profile"]["name"] == "here"
        ask(d, "entry", "new", "e1", "--profile", "here", "--out", tmp_path / "e1")
        caps = subprocess.run(["curl", "-s", "--noproxy", "*", s.match.group(1).decode() + "?operation=GetCACaps"],
                              capture_output=True, text=True, check=True).stdout
        assert "SCEPStandard" in caps.split()
    finally:
        assert s.stop() == 0
    assert ask.json(d, "entry", "show", "e1")["entry"]["name"] == "e1"


def test_a_long_directory_works(muster_ca, ask, tmp_path):
    """Longer than sockaddr_un takes."""
    d = tmp_path / ("x" * 60) / ("y" * 60)
    d.parent.mkdir()
    ask(d, "init", "--key", "ec:P-256", "--listen", "127.0.0.1:0")
    s = Server([muster_ca, "--dir", d, "serve"], tmp_path / "log", r"SCEP +(http://\S+)")
    try:
        assert ask.json(d, "ca", "list")["cas"][0]["name"] == "ca"
    finally:
        assert s.stop() == 0


def random_entry(demo, muster, ask, tmp_path, name):
    """Makes an entry, enrolls with it, and returns its password."""
    secret = tmp_path / f"{name}.secret"
    ask(demo.dir, "entry", "new", name, "--profile", "default", "--out", secret)
    r = run(muster, "--store", tmp_path / "store", "enroll", name, "--via", "scep", "--url", demo.url,
            "--subject", f"/CN={name}", "--challenge-file", secret, "--pin", pin_of(demo))
    assert r.code == 0, r
    return secret.read_text().strip()


def test_record_keeps_messages(start_demo, muster, ask, tmp_path):
    d = start_demo("--record", tmp_path / "rec")
    password = random_entry(d, muster, ask, tmp_path, "rec1").encode()
    files = {p.name.split("-", 1)[1] for p in (tmp_path / "rec").iterdir()}
    assert files == {"request.txt", "request.der", "reply.txt", "reply.der"}
    for p in (tmp_path / "rec").iterdir():
        assert mode(p) == 0o600
        assert password not in p.read_bytes()
    posts = [p for p in (tmp_path / "rec").glob("*-request.der")]
    kinds = subprocess.run(["openssl", "cms", "-cmsout", "-inform", "DER", "-in", posts[0], "-print", "-noout"],
                           capture_output=True, text=True)
    assert "signedData" in kinds.stdout


def test_debug_traces_without_secrets(start_demo, muster, ask, tmp_path):
    """D1."""
    d = start_demo("--debug", "scep")
    password = random_entry(d, muster, ask, tmp_path, "tr1")
    err = d.stderr()
    assert re.search(r"scep \w+: ", err)
    assert password not in err


# ---- how it fails ----

@pytest.mark.parametrize("args, code, says", [
    ((), 64, "--help"),
    (("quue", "list"), 64, "did you mean 'queue'"),
    (("queue", "aprove", "1"), 64, "did you mean 'approve'"),
    (("queue", "list", "--stat", "all"), 0, ""),
    (("queue", "list", "--colour"), 64, "unknown option --colour"),
    (("queue", "list", "--state", "lost"), 1, "pending, issued, rejected"),
    (("queue", "show"), 64, "usage:"),
    (("queue", "show", "77777"), 1, "queue list"),
    (("entry", "new", "../x"), 1, "name"),
    (("entry", "new", "x", "--profil", "p", "--colour"), 64, "--colour"),
    (("profile", "new", "p9", "lifetyme=3d"), 4, "lifetime"),
    (("issued", "show", "zz"), 1, ""),
    (("crl", "show", "--ca", "other"), 1, "other"),
])
def test_mistakes_are_told(demo, args, code, says):
    r = run(demo.args[0], "--dir", demo.dir, *args)
    assert r.code == code and says in r.err, r


def test_errors_are_objects_with_json(demo):
    r = run(demo.args[0], "--dir", demo.dir, "entry", "show", "nobody", "--json")
    o = json.loads(r.out)
    assert r.code == 1 and o["schema"] == "muster/1"
    assert set(o["error"]) == {"code", "kind", "what", "likely", "next"} and o["error"]["kind"] == "not-found"


def test_no_instance_says_how_to_make_one(muster_ca, tmp_path):
    r = run(muster_ca, "--dir", tmp_path / "none", "queue", "list")
    assert r.code == 1 and "init makes one" in r.err, r
    assert not (tmp_path / "none").exists()


def test_a_bad_configuration_names_the_line(ask, tmp_path):
    d = tmp_path / "ca"
    ask(d, "init", "--key", "ec:P-256")
    (d / "muster-ca.conf").write_text("[server]\nlisten = 127.0.0.1:0\nworkerz = 3\n")
    r = ask(d, "serve", code=4)
    assert "M706" in r.err and "muster-ca.conf:3" in r.err and "workers" in r.err


def test_every_command_has_a_help(muster_ca):
    r = run(muster_ca, "--help")
    assert r.code == 0
    commands = re.findall(r"^  (\w+) ", r.out, re.M)
    assert {"demo", "init", "serve", "ca", "entry", "profile", "queue", "issued", "revoke", "crl", "log", "scep"} <= set(commands)
    for c in commands:
        r = run(muster_ca, c, "--help")
        assert r.code == 0 and "usage: muster-ca" in r.out, r
        assert "(null)" not in r.out
        for verb in re.findall(r"^  (\w+) ", r.out, re.M):
            v = run(muster_ca, c, verb, "--help")
            assert v.code == 0 and f"usage: muster-ca [--dir DIR] {c}" in v.out, v


def test_garbage_on_the_admin_socket_harms_nobody(demo, ask):
    for junk in (b"\0" * 5000, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"POST /v1/entries HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\n{[}",
                 b"GET /v1/ca HTTP/1.1\r\n\r\n"):
        s = socket.socket(socket.AF_UNIX)
        s.settimeout(15)
        s.connect(str(demo.dir / "admin.sock"))
        s.sendall(junk)
        s.shutdown(socket.SHUT_WR)
        while s.recv(4096):
            pass
        s.close()
    assert ask.json(demo.dir, "ca", "list")["cas"]
