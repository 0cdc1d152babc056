"""D1, E067: passwords are found nowhere but where they belong. Everything the programs say and leave
behind is searched for each secret: plain, in base64 at each alignment, percent-encoded, in hex."""
import base64
import json
import os
import re
import secrets
import select
import signal
import sqlite3
import subprocess
import time
import urllib.parse

import pytest
from conftest import Server, run
from test_muster_ca import pin_of


def secret(word):
    """Distinctive, and different in each of the encodings."""
    return f"{word}+{secrets.token_urlsafe(9)}/ %&=x"


def shapes(text):
    """What a leak of this secret would look like, as octets."""
    raw = text.encode()
    found = {"plain": raw, "percent": urllib.parse.quote(text, safe="").encode(),
             "percent, slash kept": urllib.parse.quote(text).encode(), "form": urllib.parse.quote_plus(text).encode(),
             "hex": raw.hex().encode(), "HEX": raw.hex().upper().encode(), "json": json.dumps(text)[1:-1].encode()}
    found["percent, lower case"] = re.sub(rb"%[0-9A-F]{2}", lambda m: m.group().lower(), found["percent"])
    for shift in range(3):
        # Only groups of four that hold nothing but the secret: the neighbors do not matter then.
        whole = base64.b64encode(b"\0" * shift + raw)
        first, last = (4 if shift else 0), (shift + len(raw)) // 3 * 4
        found[f"base64, shifted {shift}"] = whole[first:last]
        found[f"base64url, shifted {shift}"] = whole[first:last].replace(b"+", b"-").replace(b"/", b"_")
    return found


def leaks(haystack, known):
    """Which of the secrets (name -> text) are in these octets, and how."""
    joined = re.sub(rb"[\r\n]+", b"", haystack)  # base64 is broken into lines
    return [f"{name} ({how})" for name, text in known.items() for how, octets in shapes(text).items()
            if octets in haystack or octets in joined]


class Hunt:
    def __init__(self):
        self.known, self.found, self.searched = {}, [], 0

    def new(self, name, path, text=None):
        """A secret in a file of mode 0600."""
        self.known[name] = text or secret(name)
        path.touch(mode=0o600)
        path.write_text(self.known[name] + "\n")
        return path

    def search(self, where, octets):
        if isinstance(octets, str):
            octets = octets.encode(errors="surrogateescape")
        self.searched += len(octets)
        self.found += [f"{where}: {what}" for what in leaks(octets, self.known)]

    def result(self, r, *codes):
        assert not codes or r.code in codes, r
        words = " ".join(str(a) for a in r.args[1:])
        self.search(f"stdout of {words}", r.out)
        self.search(f"stderr of {words}", r.err)
        return r

    def files(self, top, skip=()):
        n = 0
        for p in top.rglob("*"):
            if p.is_file() and not p.is_symlink() and p not in skip:
                self.search(p, p.read_bytes())
                self.search(f"name of {p}", str(p))
                n += 1
        return n

    def over(self):
        assert self.searched > 1000
        assert self.found == []


def descendants(pid):
    parents = {}
    for p in os.listdir("/proc"):
        if p.isdigit():
            try:
                with open(f"/proc/{p}/stat") as f:
                    parents.setdefault(int(f.read().rsplit(")", 1)[1].split()[1]), []).append(int(p))
            except OSError:
                pass
    todo, found = [pid], []
    while todo:
        found.append(todo.pop())
        todo += parents.get(found[-1], [])
    return found


def processes(hunt, pid, *what):
    """What others may see of a process and its children while it runs."""
    for p in descendants(pid):
        for name in what:
            try:
                with open(f"/proc/{p}/{name}", "rb") as f:
                    hunt.search(f"/proc/{p}/{name}", f.read())
            except OSError:
                pass


@pytest.fixture
def hunt():
    return Hunt()


@pytest.mark.parametrize("wrap", [
    lambda t: t, lambda t: urllib.parse.quote(t, safe=""), lambda t: urllib.parse.quote(t, safe="").lower() if t.islower() else urllib.parse.quote(t),
    lambda t: base64.b64encode(t.encode()).decode(), lambda t: base64.b64encode(b"a" + t.encode() + b"zz").decode(),
    lambda t: base64.encodebytes(b"some octets more " * 5 + t.encode() + b" and more" * 9).decode(), lambda t: t.encode().hex()])
def test_the_search_itself_finds_each_shape(wrap):
    known = {"a": secret("a"), "b": secret("b")}
    assert {x.split()[0] for x in leaks(b"log: " + wrap(known["a"]).encode() + b"\n", known)} == {"a"}
    assert leaks(b"nothing of the kind, a+b/ %&=x", known) == []


def wait_for(process, word, timeout=30):
    """stderr up to this word."""
    end, seen = time.monotonic() + timeout, b""
    while word not in seen and time.monotonic() < end:
        if select.select([process.stderr], [], [], max(0, end - time.monotonic()))[0]:
            chunk = os.read(process.stderr.fileno(), 65536)
            if not chunk:
                break
            seen += chunk
    assert word in seen, seen
    return seen


@pytest.fixture
def world(start_demo, muster, muster_ca, tmp_path, hunt):
    """A demo that records and traces, with entries of secret passwords."""

    class World:
        def __init__(self):
            self.record, self.log, self.dir = tmp_path / "record", tmp_path / "log", tmp_path / "secrets"
            self.dir.mkdir()
            self.auto, self.manual = hunt.new("auto", self.dir / "auto"), hunt.new("manual", self.dir / "manual")
            self.wrong, self.keypass = hunt.new("wrong", self.dir / "wrong"), hunt.new("keypass", self.dir / "keypass")
            self.fresh = hunt.new("fresh", self.dir / "fresh")
            self.demo = start_demo("-v", "--record", str(self.record), "--log", str(self.log))
            self.ca("entry", "new", "e-auto", "--profile", "scep-auto", "--reusable", "--password-file", self.auto)
            self.ca("entry", "new", "e-manual", "--profile", "scep-manual", "--reusable", "--password-file", self.manual)

        def ca(self, *args, codes=(0,)):
            hunt.result(run(muster_ca, "--dir", self.demo.dir, *args), *codes)
            return hunt.result(run(muster_ca, "--dir", self.demo.dir, *args, "--json"), *(() if args[1:2] == ("new",) else codes))

        def store(self, name):
            store = tmp_path / name
            hunt.result(run(muster, "--store", store, "--no-input", "ca", "trust", self.demo.root), 0)
            return store

        def lists(self):
            for words in (["entry", "list"], ["entry", "show", "e-auto"], ["entry", "show", "e-manual"], ["queue", "list", "--state", "all"],
                          ["issued"], ["log", "--limit", "1000"], ["profile", "list"], ["profile", "show", "scep-auto"], ["ca", "list"],
                          ["ca", "show", "demo"], ["crl", "show"], ["stats"]):
                self.ca(*words)

        def remains(self):
            """What the responder leaves: log, recordings, database, in their files."""
            self.demo.stop()
            assert self.record.is_dir() and hunt.files(self.record) > 0
            assert "trace" in self.log.read_text() or "scep" in self.log.read_text()
            hunt.search("log", self.log.read_bytes())
            hunt.search("stdout of the demo", self.demo.out)
            hunt.search("stderr of the demo", self.demo.stderr())
            hunt.files(self.demo.dir)
            db = sqlite3.connect(f"file:{self.demo.dir / 'muster-ca.db'}?mode=ro", uri=True)
            hunt.search("database, as text", "\n".join(db.iterdump()))
            for (table,) in db.execute("select name from sqlite_master where type = 'table'").fetchall():
                for row in db.execute(f'select * from "{table}"'):
                    for value in row:
                        if isinstance(value, bytes):
                            hunt.search(f"database, {table}", value)
            db.close()

    return World()


def test_secrets_of_muster_and_its_ca_are_nowhere(world, hunt, muster, tmp_path):
    """enroll (issued, refused, pending), poll, renew, with each way to give a challenge, at each level of talk."""
    store = world.store("store")
    key = tmp_path / "enc.key"
    subprocess.run(["openssl", "genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-aes256",
                    "-pass", f"file:{world.keypass}", "-out", key], check=True, capture_output=True)

    def go(*args, codes=(0,), **kw):
        return hunt.result(run(muster, "--store", store, "--no-input", *args, **kw), *codes)

    u = ["--url", world.demo.url]
    for i, talk in enumerate(([], ["-v"], ["-d"], ["-vv"], ["--json"], ["-d", "--json"], ["--debug", "scep,http"], ["-q"])):
        go(*talk, "enroll", f"ok{i}", *u, "--challenge-file", world.auto)
        go(*talk, "enroll", f"ok{i}", *u, "--challenge-file", world.auto)
        go(*talk, "enroll", f"no{i}", *u, "--challenge-file", world.wrong, codes=(2,))
        go(*talk, "renew", f"ok{i}", "--force")
        go(*talk, "show", f"no{i}")
    go("-d", "enroll", "get", *u, "--method", "get", "--challenge-file", world.auto)
    go("-d", "enroll", "old", *u, "--cipher", "aes256", "--digest", "sha512", "--challenge-file", world.auto)
    go("-d", "enroll", "stdin", *u, "--challenge-file", "-", input=hunt.known["auto"] + "\n", codes=(0, 1, 4))
    env = go("-d", "-v", "enroll", "env", *u, env={"MUSTER_SECRET_CHALLENGE": hunt.known["auto"]})
    assert "MUSTER_SECRET_CHALLENGE" in env.err
    go("-d", "enroll", "key", *u, "--challenge-file", world.auto, "--key-file", key, "--key-pass-file", world.keypass)
    go("-d", "renew", "key", "--force", "--key-pass-file", world.keypass)
    go("-d", "renew", "key", "--force")  # what it was given is kept for that
    go("-d", "renew", "key", "--force", "--key-pass-file", world.wrong, codes=(4,))
    go("-d", "enroll", "badkey", *u, "--challenge-file", world.auto, "--key-file", key, "--key-pass-file", world.wrong, codes=range(1, 80))
    go("-d", "enroll", "wait", *u, "--challenge-file", world.manual, "--no-wait", codes=(5,))
    go("-d", "poll", "wait", codes=(5,))
    queue = json.loads(world.ca("queue", "list").out)["queue"]
    world.ca("queue", "show", str(queue[0]["id"]))
    hunt.result(run(world_program(world), "--dir", world.demo.dir, "queue", "approve", str(queue[0]["id"])), 0)
    go("-d", "poll", "wait")
    go("-d", "enroll", "rejected", *u, "--challenge-file", world.manual, "--no-wait", codes=(5,))
    number = json.loads(world.ca("queue", "list").out)["queue"][0]["id"]
    hunt.result(run(world_program(world), "--dir", world.demo.dir, "queue", "reject", str(number), "--reason", "no"), 0)
    go("-d", "poll", "rejected", codes=(2,))
    hunt.result(run(world_program(world), "--dir", world.demo.dir, "entry", "passwd", "e-auto", "--password-file", world.fresh), 0)
    go("-d", "enroll", "late", *u, "--challenge-file", world.auto, codes=(2,))
    go("-d", "enroll", "late", *u, "--challenge-file", world.fresh)
    # A password in place of something else: what is wrong is said, the password is not.
    for words in (["list"], ["list", "--json"], ["show", "ok0"], ["show", "env", "--json"], ["status", "--json"], ["diff", "ok0"], ["ca", "list", "--json"]):
        go(*words)
    world.lists()
    kept_for_the_owner(store, hunt)
    world.remains()
    hunt.over()


def kept_for_the_owner(store, hunt):
    """In the store a secret may be kept, for its owner's eyes only; the rest holds none."""
    seen = 0
    for p in store.rglob("*"):
        if p.is_file() and not p.is_symlink():
            if p.stat().st_mode & 0o077:
                hunt.search(p, p.read_bytes())
                seen += 1
            elif leaks(p.read_bytes(), hunt.known):
                assert p.relative_to(store).parts[0] in ("secrets", "state"), p
    assert seen > 5


def test_secrets_of_EST_are_nowhere(world, hunt, muster, tmp_path):
    """E009, E067: HTTP and SRP passwords and the key's, right and wrong, at each level of talk."""
    store = world.store("store")

    def go(*args, codes=(0,), **kw):
        return hunt.result(run(muster, "--store", store, "--no-input", *args, **kw), *codes)

    u = ["--via", "est", "--url", world.demo.est, "--ca-cert", "CA_Cert_1"]
    by_http = [*u, "--user", "e-auto", "--password-file"]
    for i, talk in enumerate(([], ["-v"], ["-d"], ["-vv"], ["--json"], ["-d", "--json"], ["--debug", "est,tls,http"], ["-q"])):
        go(*talk, "enroll", f"ok{i}", *by_http, world.auto, "--key-pass-file", world.keypass)
        go(*talk, "enroll", f"no{i}", *by_http, world.wrong, codes=(2,))
        go(*talk, "renew", f"ok{i}", "--force")
        go(*talk, "show", f"ok{i}")
        go(*talk, "show", f"no{i}")
    go("-d", "enroll", "srp", *u, "--srp-user", "e-auto", "--srp-password-file", world.wrong, codes=range(1, 80))
    go("-d", "enroll", "srp2", *u, "--srp-user", "e-auto", "--srp-password-file", world.auto, codes=range(80))
    for variable, user in (("PASSWORD", "--user"), ("SRP_PASSWORD", "--srp-user")):
        go("-d", "-v", "enroll", "env" + variable, *u, user, "e-auto", env={f"MUSTER_SECRET_{variable}": hunt.known["auto"]}, codes=range(80))
    go("-d", "enroll", "again", *by_http, world.auto, "--renew-auth", "password")
    go("-d", "renew", "again", "--force", codes=range(80))
    go("-d", "enroll", "made", *by_http, world.auto, "--server-key", "--key-pass-file", world.keypass, codes=range(80))
    for words in (["list", "--json"], ["show", "envPASSWORD", "--json"], ["ca", "list", "--json"]):
        go(*words)
    kept_for_the_owner(store, hunt)
    world.lists()
    world.remains()
    hunt.over()


def world_program(world):
    return world.demo.args[0]


def test_passwords_of_the_demo_are_not_in_its_log_or_lists(world, hunt, muster, tmp_path):
    """They are in credentials, for those who may read it, and entries are not named like them."""
    hunt.known.update(demo1="challenge1", demo2="challenge2")
    store = world.store("store")
    given = world.demo.secret("challenge1", tmp_path / "first"), world.demo.secret("challenge2", tmp_path / "second")
    for name, path, code in (("a", given[0], 0), ("m", given[1], 5)):
        hunt.result(run(muster, "--store", store, "--no-input", "-d", "enroll", name, "--url", world.demo.url, "--challenge-file", path, "--no-wait"), code)
    world.lists()
    world.demo.stop()
    hunt.search("log", world.log.read_bytes())
    hunt.files(world.record)
    hunt.files(world.demo.dir, skip=[world.demo.dir / n for n in ("challenge1", "challenge2", "credentials", "demo.conf")])
    hunt.over()


def test_secrets_of_a_lasting_ca_are_nowhere(muster, muster_ca, tmp_path, hunt):
    """init, serve --record with a trace, random passwords, used up ones; once more without a server."""
    d, record, log = tmp_path / "ca", tmp_path / "record", tmp_path / "log"
    secretless = []

    def ca(*args, codes=(0,)):
        r = run(muster_ca, "--dir", d, *args)
        secretless.append(r)
        assert r.code in codes, r
        return r

    def entry(name, *more):
        out = tmp_path / f"{name}.password"
        ca("entry", "new", name, "--out", out, *more)
        assert out.stat().st_mode & 0o777 == 0o600
        hunt.known[name] = out.read_text().strip()
        assert len(hunt.known[name]) >= 20
        return out

    ca("init", "--cn", "Example", "--listen", "127.0.0.1:0")
    offline = entry("offline", "--json")
    s = Server([muster_ca, "--dir", d, "serve", "-v", "--debug", "scep", "--record", record, "--log", log], tmp_path / "serve.err",
               r"SCEP +(http://\S+)")
    try:
        url = s.match.group(1).decode()
        once, many = entry("once", "--once"), entry("many", "--reusable", "--json")
        store = tmp_path / "store"
        secretless.append(run(muster, "--store", store, "--no-input", "ca", "trust", d / "root.pem"))
        for name, path, code in (("a", once, 0), ("b", once, 2), ("c", many, 0), ("d", offline, 0)):
            r = run(muster, "--store", store, "--no-input", "-d", "enroll", name, "--url", url, "--challenge-file", path)
            assert r.code == code, r
            secretless.append(r)
        ca("entry", "reset", "once")
        ca("entry", "list", "--json")
        ca("log", "--json")
        ca("issued", "--json")
        processes(hunt, s.process.pid, "cmdline", "environ")
    finally:
        s.stop()
    for words in (["entry", "show", "once"], ["entry", "list"], ["log"], ["stats", "--json"], ["queue", "list", "--state", "all"]):
        ca(*words)
    for r in secretless:
        hunt.result(r)
    hunt.search("stdout of serve", s.out)
    hunt.search("stderr of serve", s.stderr())
    hunt.search("log", log.read_bytes())
    assert hunt.files(record) > 0
    hunt.files(d)
    hunt.over()


def test_secrets_of_sscep_are_nowhere(world, hunt, sscep, tmp_path):
    """The challenge is in the request that openssl made; -v and -d tell the rest, not this."""
    d = tmp_path / "sscep"
    d.mkdir()

    def go(*args, codes=(0,)):
        return hunt.result(run(sscep, *args, cwd=d), *codes)

    go("getca", "-u", world.demo.url, "-c", "ca.crt", "-v", "-d")
    go("getcaps", "-u", world.demo.url, "-v", "-d")
    for name, challenge, code in (("good", "auto", 0), ("bad", "wrong", 72), ("late", "manual", 3)):
        conf = d / f"{name}.conf"
        conf.write_text("[req]\nprompt=no\ndistinguished_name=dn\nattributes=a\n[a]\nchallengePassword="
                        f"{hunt.known[challenge]}\n[dn]\nCN={name}\n")
        subprocess.run(["openssl", "req", "-new", "-newkey", "rsa:2048", "-nodes", "-keyout", d / f"{name}.key", "-out", d / f"{name}.csr",
                        "-config", conf], check=True, capture_output=True)
        words = ["enroll", "-u", world.demo.url, "-c", "ca.crt", "-k", f"{name}.key", "-r", f"{name}.csr", "-l", f"{name}.crt", "-v", "-d"]
        go(*words, *(["-n", "1", "-t", "1", "-T", "1"] if code == 3 else []), codes=(code, 89) if code == 3 else (code,))
    renewal = d / "renew.conf"
    renewal.write_text(f"[req]\nprompt=no\ndistinguished_name=dn\nattributes=a\n[a]\nchallengePassword={hunt.known['auto']}\n[dn]\nOU=AS\nCN=good\n")
    subprocess.run(["openssl", "req", "-new", "-newkey", "rsa:2048", "-nodes", "-keyout", d / "new.key", "-out", d / "new.csr", "-config", renewal],
                   check=True, capture_output=True)
    go("enroll", "-u", world.demo.url, "-c", "ca.crt", "-k", "new.key", "-r", "new.csr", "-l", "new.crt", "-K", "good.key", "-O", "good.crt", "-v", "-d")
    world.lists()
    world.remains()
    hunt.over()


@pytest.mark.parametrize("way", ["file", "environment", "descriptor"])
def test_a_waiting_client_shows_no_secret_to_others(world, hunt, muster, tmp_path, way):
    """Command line and environment of the process and its children, while it waits; and what it said."""
    store, env, words, fds = world.store("store"), dict(os.environ), [], ()
    if way == "file":
        words = ["--challenge-file", str(world.manual)]
    elif way == "environment":
        env["MUSTER_SECRET_CHALLENGE"] = hunt.known["manual"]
    else:
        fds = (os.open(world.manual, os.O_RDONLY),)
        words = ["--challenge-fd", str(fds[0])]
    p = subprocess.Popen([str(muster), "--store", str(store), "--no-input", "-d", "enroll", "w", "--url", world.demo.url, *words],
                         stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=env, pass_fds=fds)
    seen = wait_for(p, b"PENDING, waits")
    processes(hunt, p.pid, "cmdline", "environ")
    processes(hunt, world.demo.process.pid, "cmdline", "environ")
    p.send_signal(signal.SIGINT)
    out, err = p.communicate(timeout=20)
    for fd in fds:
        os.close(fd)
    assert p.returncode == 5, seen + err
    hunt.search("stdout", out)
    hunt.search("stderr", seen + err)
    world.remains()
    hunt.over()
