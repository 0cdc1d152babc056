"""muster config and muster secret as a person meets them, and rows R010 to R038 by the words of the file:
what it says is what is asked of the CA."""
import json
import os
import pty
import re
import select
import subprocess
import time

import pytest
from conftest import ROOT, need, run
from musterd import Musterd, wait_for

OPENSSL = need("openssl")


class Conf:
    """muster with a configuration and a store of its own."""

    def __init__(self, muster, demo, dir):
        self.muster, self.demo, self.dir, self.store = muster, demo, dir, dir / "store"
        self.main, self.certs = dir / "muster.conf", dir / "certs.d"
        self.challenge = demo.secret("challenge1", dir / "challenge1")

    def __call__(self, *args, **kw):
        return run(self.muster, "--config", self.main, "--store", self.store, *args, **kw)

    def write(self, text, mode=0o600):
        self.main.write_text(text)
        self.main.chmod(mode)

    def scep(self, entry, name="gw", agent="", ca=""):
        self.write(f"[agent]\n{agent}\n[ca \"branch\"]\nprotocol = scep\nurl = {self.demo.url}\n"
                   f"trust = {self.demo.root}\nchallenge = file:{self.challenge}\n{ca}\n"
                   f"[certificate \"{name}\"]\nca = branch\n{entry}\n")

    def csr(self, name="gw"):
        r = self("csr", name)
        assert r.code == 0, r
        p = subprocess.run([OPENSSL, "req", "-noout", "-text", "-nameopt", "sep_comma_plus_space,utf8,esc_2253"], input=r.out.encode(),
                           capture_output=True, check=True)
        return p.stdout.decode()


@pytest.fixture
def conf(muster, demo, tmp_path):
    return Conf(muster, demo, tmp_path)


def test_check_names_file_line_and_the_word_that_was_meant(conf):
    """M706, exit 4: all that is wrong at once, in the file and beside it."""
    conf.certs.mkdir()
    (conf.certs / "b.conf").write_text('[certificate "b"]\nca = brunch\n')
    conf.write('[ca "branch"]\nprotocol = scep\nurl = http://x/\n[certificate "a"]\nca = branch\nsubjct = /CN=a\n')
    r = conf("config", "check")
    assert r.code == 4, r
    assert f"{conf.main}:6: M706: there is no 'subjct' in [certificate]; did you mean subject?" in r.out
    assert f"{conf.certs}/b.conf:2: M706: there is no [ca \"brunch\"]; did you mean branch?" in r.out
    r = conf("config", "check", "--json")
    assert r.code == 4 and json.loads(r.out)["errors"] == 2, r
    r = conf("list")  # every command says it, and all of it
    assert r.code == 4 and "subjct" in r.err and "brunch" in r.err, r
    (conf.certs / "b.conf").unlink()
    conf.write('[ca "branch"]\nprotocol = scep\nurl = http://x/\n[certificate "a"]\nca = branch\n')
    r = conf("config", "check")
    assert r.code == 0 and "1 certificate, 1 CA" in r.err, r


def test_check_tells_literal_secrets_and_files_that_are_missing(conf):
    conf.scep("", ca="password = opensesame\nra-cert = /none/ra.pem")
    r = conf("config", "check")
    assert r.code == 4, r
    assert "advice: password is in the file itself" in r.out and "there is no file /none/ra.pem" in r.out
    assert "opensesame" not in r.out + r.err
    conf.scep("", ca="password = opensesame")
    assert conf("config", "check").code == 0
    conf.main.chmod(0o644)  # M701: others read it
    r = conf("config", "check")
    assert r.code == 4 and "M701" in r.out and "chmod 600" in r.out, r


def test_show_tells_where_each_value_comes_from(conf):
    conf.scep("renew-days = 30", ca="password = opensesame")
    conf.certs.mkdir()
    (conf.certs / "gw.conf").write_text('[certificate "gw"]\nrenew-days = 7\n')
    r = conf("config", "show", "--origin", "gw")
    assert r.code == 0, r
    assert f"renew-days       = 7  # {conf.certs}/gw.conf:2" in r.out
    assert "renew-days       = 30  # " in r.out and "not the last" in r.out
    assert "password         = *" in r.out and "digest           = sha256  # default" in r.out
    r = conf("config", "show", "gw", "--json")
    values = {v["key"]: v for v in json.loads(r.out)["values"]}
    assert values["renew-days"]["value"] == "7" and values["renew-days"]["line"] == 2
    assert "opensesame" not in conf("config", "show").out


def test_set_is_the_line_that_our_errors_tell(conf):
    """'muster config set branch-gw renew-days 7', for one of the configuration and one of the store."""
    conf.scep("# the CA is slow\nrenew-days = 30", name="branch-gw")
    before = conf.main.read_text()
    assert conf("config", "set", "branch-gw", "renew-days", "7").code == 0
    assert conf.main.read_text() == before.replace("renew-days = 30", "renew-days = 7")
    assert conf("config", "set", "branch-gw", "warn-days", "45, 14").code == 0
    assert (conf.certs / "branch-gw.conf").read_text() == '[certificate "branch-gw"]\nwarn-days = 45, 14\n'
    assert conf("config", "unset", "branch-gw", "warn-days").code == 0
    assert conf("config", "set", "agent", "jitter", "5%").code == 0
    assert conf("config", "set", "ca:branch", "ca-identifier", "iot").code == 0
    assert conf("config", "set", "ca", "branch", "ca-identifier", "").code == 0
    assert conf("config", "check").code == 0
    r = conf("config", "set", "branch-gw", "renew-days", "7d")
    assert r.code == 4 and "renew-days" in r.err, r
    r = conf("config", "set", "branch-gw", "challenge", "opensesame")
    assert r.code != 0 and "muster secret set branch-gw challenge" in r.err and "opensesame" not in r.err, r
    r = conf("enroll", "by-hand", "--url", conf.demo.url, "--challenge-file", conf.challenge, "--pin",
             fingerprint(conf.demo.root))
    assert r.code == 0, r
    assert conf("config", "set", "by-hand", "renew-days", "7").code == 0
    assert "renew-days = 7" in (conf.store / "state/by-hand.conf").read_text()
    assert json.loads(conf("show", "by-hand", "--json").out)["certificates"][0]["renew_days"] == 7
    assert "renew-days       = 7" in conf("config", "show", "by-hand").out


def fingerprint(cert):
    r = run(OPENSSL, "x509", "-in", cert, "-noout", "-fingerprint", "-sha256")
    return r.out.strip().split("=")[1]


def test_edit_checks_before_it_replaces(conf):
    conf.scep("renew-days = 30")
    before = conf.main.read_text()
    r = conf("config", "edit", env={"VISUAL": "", "EDITOR": "sed -i s/renew-days/renew-dys/"})
    assert r.code == 4 and "did you mean renew-days" in r.err and conf.main.read_text() == before, r
    r = conf("config", "edit", env={"VISUAL": "sed -i s/30/20/"})
    assert r.code == 0 and conf.main.read_text() == before.replace("30", "20"), r
    r = conf("config", "edit", env={"VISUAL": "false"})
    assert r.code != 0 and "nothing was changed" in r.err, r
    assert [p.name for p in conf.dir.iterdir() if "edit" in p.name] == []


def test_secrets_are_kept_and_never_shown(conf):
    conf.write("[agent]\n")
    r = conf("secret", "set", "fleet", "challenge", input=conf.challenge.read_text())
    assert r.code == 0 and "challenge = secret:fleet" in r.err, r
    kept = conf.store / "secrets/fleet.challenge"
    assert kept.stat().st_mode & 0o777 == 0o600
    secret = conf.challenge.read_text().strip()
    r = conf("secret", "list")
    assert r.out == "fleet challenge\n" and secret not in r.out + r.err, r
    assert json.loads(conf("secret", "list", "--json").out)["secrets"] == [{"name": "fleet", "key": "challenge"}]
    assert conf("secret", "set", "fleet", "chalenge", input="x\n").code == 64
    conf.challenge.chmod(0o644)  # M701
    r = conf("secret", "set", "fleet", "password", "--file", conf.challenge)
    assert r.code != 0 and "M701" in r.err, r
    conf.write(f'[ca "b"]\nprotocol = scep\nurl = {conf.demo.url}\ntrust = {conf.demo.root}\n'
               'challenge = secret:fleet\n[certificate "gw"]\nca = b\n')
    r = conf("enroll", "gw", "--no-input")
    assert r.code == 0, r
    assert conf("secret", "remove", "fleet", "challenge").code == 0
    assert conf("secret", "list").out == ""
    r = conf("enroll", "gw", "--replace", "--no-input")
    assert r.code == 4 and "muster secret set fleet challenge" in r.err, r


def test_a_secret_is_typed_without_echo(conf):
    conf.write("[agent]\n")
    pid, fd = pty.fork()
    if pid == 0:
        os.execv(conf.muster, ["muster", "--config", str(conf.main), "--store", str(conf.store), "secret", "set",
                               "web", "password"])
    seen, typed, end = b"", False, time.time() + 20
    while time.time() < end:
        if not select.select([fd], [], [], 1)[0]:
            continue
        try:
            got = os.read(fd, 1000)
        except OSError:
            break
        if not got:
            break
        seen += got
        if b"web: " in seen and not typed:
            typed = True
            os.write(fd, b"opensesame\n")
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0, seen
    assert b"opensesame" not in seen
    assert (conf.store / "secrets/web.password").read_text() == "opensesame"


def test_credentials_of_systemd_are_found(conf, tmp_path):
    (tmp_path / "creds").mkdir()
    (tmp_path / "creds/branch").write_text(conf.challenge.read_text())
    conf.write(f'[ca "b"]\nprotocol = scep\nurl = {conf.demo.url}\ntrust = {conf.demo.root}\n'
               'challenge = credential:branch\n[certificate "gw"]\nca = b\n')
    r = conf("enroll", "gw", "--no-input")
    assert r.code == 4 and "LoadCredential=branch" in r.err, r
    r = conf("enroll", "gw", "--no-input", env={"CREDENTIALS_DIRECTORY": str(tmp_path / "creds")})
    assert r.code == 0, r


def test_the_environment_names_a_configuration(conf):
    conf.scep("subject = /CN=gw")
    r = run(conf.muster, "config", "path", env={"MUSTER_CONFIG": str(conf.main)})
    assert r.out == f"{conf.main}\n", r


def test_configured_certificates_are_listed_before_they_exist(conf):
    conf.scep("subject = /CN=gw")
    r = conf("list", "--json")
    assert [(c["name"], c["state"]) for c in json.loads(r.out)["certificates"]] == [("gw", "NEW")], r
    r = conf("enroll", "gw", "--no-input")
    assert r.code == 0, r
    assert json.loads(conf("list", "--json").out)["certificates"][0]["state"] == "OK"
    r = conf("renew", "gw", "--force", "--no-input")
    assert r.code == 0, r


def test_a_pair_that_exists_is_adopted(conf, tmp_path):
    """No request goes out; its lifetime says when it is renewed, and then it is renewed."""
    conf.scep("subject = /CN=old\nrenew-days = 30", name="maker")
    assert conf("enroll", "maker", "--no-input").code == 0
    for file in ("latest.key", "latest.crt"):
        (tmp_path / file).write_bytes((conf.store / "certs/maker" / file).read_bytes())
        (tmp_path / file).chmod(0o600)
    conf.scep("renew-days = 30", name="web")
    conf.store = tmp_path / "other"
    r = conf("install", "web", "--key-file", tmp_path / "latest.key", tmp_path / "latest.crt", conf.demo.root)
    assert r.code == 0, r
    facts = json.loads(conf("show", "web", "--json").out)["certificates"][0]
    assert facts["state"] == "OK" and facts["subject"].endswith("CN=old"), facts
    serial = facts["serial"]
    r = conf("renew", "web", "--no-input")
    assert r.code == 0 and "nothing to do" in r.err, r
    r = conf("renew", "web", "--force", "--no-input")
    assert r.code == 0, r
    assert json.loads(conf("show", "web", "--json").out)["certificates"][0]["serial"] != serial
    r = conf("install", "web", "--key-file", conf.challenge, tmp_path / "latest.crt")
    assert r.code != 0, r


def test_rows_of_the_request(conf):
    """R016 to R021, R024, R025, R027: what the file says is in the request."""
    conf.scep("subject = /DC=org/DC=OpenXPKI/DC=Test Deployment/O=SNCF/OU=a\\/b/CN=router-SN\n"
              "san = email:a@b.example, DNS:x.example, IP:192.0.2.7, URI:http://x/\n"
              "key = rsa:4096\ntemplate-name = tls-client\nkey-usage = digitalSignature, keyEncipherment\n"
              "eku = serverAuth, clientAuth", agent="serial-source = echo 1234567")
    text = conf.csr()
    assert "Subject: DC=org, DC=OpenXPKI, DC=Test Deployment, O=SNCF, OU=a/b, CN=router-1234567" in text
    assert "4096 bit" in text and "email:a@b.example" in text and "DNS:x.example" in text and "IP Address:192.0.2.7" in text
    assert "1.3.6.1.4.1.311.20.2" in text or "Microsoft certificate template" in text or "tls-client" in text.replace(".", "")
    assert "Digital Signature, Key Encipherment" in text
    assert "TLS Web Server Authentication, TLS Web Client Authentication" in text
    conf.scep("subject = /CN=plain\ntemplate-name =", name="plain")
    text = conf.csr("plain")
    assert "Key Usage" not in text and "311.20.2" not in text


def test_rows_of_the_settings(conf):
    """R011, R012, R015, R032: a URL, the day of renewal, legacy algorithms, the place of the store."""
    conf.write('[certificate "gw"]\nsubject = /CN=gw\n')
    r = conf("config", "check")  # R011: empty with automation on is refused
    assert r.code == 4 and "has no CA to ask" in r.out, r
    conf.write('[certificate "gw"]\nsubject = /CN=gw\nautomation = no\n')
    assert conf("config", "check").code == 0
    conf.scep("key = rsa:1024")
    r = conf("config", "check")  # R015: the switch is named
    assert conf("csr", "gw").code != 0
    conf.scep("key = rsa:1024\nallow-legacy = yes")
    assert conf("csr", "gw").code == 0
    other = conf.dir / "var/data/scepClient"
    other.parent.mkdir(parents=True)
    conf.scep("renew-days = 365", agent=f"store = {other}")  # R032
    r = run(conf.muster, "--config", conf.main, "enroll", "gw", "--no-input", env={"MUSTER_STORE": ""})
    assert r.code == 0, r
    assert (other / "certs/gw/latest.crt").exists()
    r = run(conf.muster, "--config", conf.main, "list", "--json", env={"MUSTER_STORE": ""})
    assert json.loads(r.out)["certificates"][0]["state"] in ("DUE", "HELD"), r  # R012: 365 d left <= 365


def test_the_manual_and_the_example_know_every_key(conf):
    """muster.conf(5) names each word of the table, and the example shipped with it is read without a complaint."""
    words = re.findall(r'^ {4}\{"([a-z0-9-]+)", ', (ROOT / "src/agent/agent_config_words.c").read_text(), re.M)
    manual = (ROOT / "docs/man/muster.conf.5").read_text().replace("\\-", "-")
    assert len(words) > 70
    assert [w for w in set(words) if f"\n.BR {w} \"" not in manual and w not in (
        "agent", "ca", "defaults", "template", "certificate")] == []
    example = conf.dir / "example.conf"
    example.write_text((ROOT / "share/muster.conf").read_text())
    r = run(conf.muster, "--config", example, "config", "show", "--origin", "gw")
    assert r.code == 0 and "renew-days       = auto  # default" in r.out, r


def test_check_learns_from_what_the_ca_refused(muster, muster_ca, start_demo, tmp_path):
    """M603: the CA said no; 'config check' says why it will again, and its own line mends it."""
    demo = start_demo()
    for profile in json.loads(run(muster_ca, "--dir", demo.dir, "profile", "list", "--json").out)["profiles"]:
        run(muster_ca, "--dir", demo.dir, "profile", "set", profile["name"], "renew-before=30d")
    conf = Conf(muster, demo, tmp_path)
    conf.scep("renew-days = 300")
    assert conf("enroll", "gw", "--no-input").code == 0
    assert conf("config", "check").code == 0
    r = conf("renew", "gw", "--no-input", "--demo", env={"MUSTER_CLOCK_SHIFT": str(265 * 86400)})
    assert r.code == 2, r  # with 99 days left by our clock; the CA renews from 30 on
    r = conf("config", "check", "gw")
    assert r.code == 0 and re.search(r"advice: M603: gw: renew-days 300 is more than the CA's window: it said no with "
                                     r"(99|100) d left; muster config set", r.out), r
    line = re.search(r"muster (config set gw renew-days \d+)", r.out).group(1)
    assert conf(*line.split()).code == 0
    r = conf("config", "check", "gw")
    assert r.code == 0 and "M60" not in r.out, r


def test_set_reaches_the_agent_that_runs(build, conf, tmp_path):
    """The agent hears of it at once, without a restart; what is wrong never gets there."""
    agent = Musterd(build, tmp_path / "agent", '[certificate "one"]\nautomation = no\nsubject = CN=x\n')
    try:
        agent.start()

        def muster(*args):
            return run(conf.muster, "--config", agent.conf, "--store", agent.store, "--socket", agent.socket, *args)

        assert agent.cert("one")["renew_days"] is None
        assert muster("config", "set", "one", "renew-days", "7").code == 0
        assert wait_for(lambda: agent.cert("one")["renew_days"]) == 7
        assert muster("config", "set", "two", "url", "http://127.0.0.1:9/").code == 4
        r = muster("config", "set", "one", "renew-days", "x")
        assert r.code == 4 and agent.cert("one")["renew_days"] == 7, r
    finally:
        agent.end()


def test_a_renewal_needs_no_challenge_that_is_gone(build, conf, tmp_path):
    """The file of a challenge that was for the first request is taken away, as it should be: renewals go on."""
    agent = Musterd(build, tmp_path / "agent",
                    f'[ca "b"]\nprotocol = scep\nurl = {conf.demo.url}\ntrust = {conf.demo.root}\n'
                    f'challenge = file:{conf.challenge}\n[certificate "gw"]\nca = b\n')
    try:
        agent.start()
        first = agent.wait_state("gw", "OK")["serial"]
        conf.challenge.unlink()
        agent.post("/v1/certificates/gw/renew", {"force": True})
        second = wait_for(lambda: (lambda s: s if s != first else None)(agent.cert("gw").get("serial")))
        agent.stop()
        r = run(conf.muster, "--config", agent.conf, "--store", agent.store, "--socket", agent.socket, "--no-input",
                "renew", "gw", "--force")
        assert r.code == 0 and "there is no file" in r.err, r
        r = run(conf.muster, "--config", agent.conf, "--store", agent.store, "show", "gw", "--json")
        assert json.loads(r.out)["certificates"][0]["serial"] not in (first, second), r
    finally:
        agent.end()


def test_a_secret_on_the_command_line_is_a_configuration_error(conf):
    """Exit 4: it is not written, and where it belongs is said."""
    conf.scep("")
    before = conf.main.read_text()
    for words in (["gw", "challenge", "not-here"], ["ca:branch", "challenge", "not-here"]):
        r = conf("config", "set", *words)
        assert r.code == 4 and "M706" in r.err and "muster secret set" in r.err and "not-here" not in r.err, r
    assert conf.main.read_text() == before and not conf.certs.exists()
    assert conf("config", "set", "ca:branch", "challenge", f"file:{conf.challenge}").code == 0


def test_every_faulty_line_is_told(conf):
    conf.write("[agent\nnonsense\n    goes on\njitter = 5%\n= x\n")
    for words in (["config", "check"], ["list"]):
        r = conf(*words)
        text = r.out + r.err
        assert r.code == 4, r
        assert [n for n in range(1, 6) if f"{conf.main}:{n}:" in text] == [1, 2, 5], r
