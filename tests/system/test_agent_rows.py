"""Rows of the mission done by musterd by itself: S069 to S085, E094 to E119, and R010 to R054 through the configuration
file. Each test names its rows. One demo CA and one agent, on a clock that both share and the test moves."""
import base64
import contextlib
import json
import os
import re
import subprocess
import time

import pytest
from agent import DAY, HOUR, World, wait_for
from conftest import need, run
from est_double import EstDouble, make_ca
from relay import Forger, Relay

OPENSSL = need("openssl")
SLACK = 4  # seconds that a busy machine may add


@pytest.fixture
def world(build, tmp_path):
    w = World(build, tmp_path)
    yield w
    w.end()


def openssl(*args, input=None):
    return subprocess.run([OPENSSL, *map(str, args)], input=input, capture_output=True, text=True, check=True).stdout


def cert_text(w, name):
    return openssl("x509", "-in", w.store / "certs" / name / "latest.crt", "-noout", "-text", "-nameopt", "compat")


def spki(w, name):
    return openssl("x509", "-in", w.store / "certs" / name / "latest.crt", "-noout", "-pubkey")


def secret(w, name, file=None):
    """A password of the demo as 'file:PATH'."""
    return f"file:{w.demo.secret(name, w.dir / (file or name))}"


def entry(name, ca, **keys):
    keys = {"subject": f"/CN={name}", "renew-days": "30", **{k.replace("_", "-"): v for k, v in keys.items()}}
    return f'[certificate "{name}"]\nca = {ca}\n' + "".join(f"{k} = {v}\n" for k, v in keys.items() if v is not None)


def scep(w, **more):
    return w.ca("scep", challenge=secret(w, "challenge1"), **more)


def est(w, **more):
    return w.ca("est", user="estuser", password=secret(w, "estuser"), **more)


def cmp(w, **more):
    return w.ca("cmp", ref="fgt100f", secret=secret(w, "fgt100f"), **more)


ALL = {"scep": scep, "est": est, "cmp": cmp}


def enrolled(w, *names):
    """Starts the agent and waits for a first certificate of each."""
    w.start()
    return {n: w.wait_serial(n) for n in names}


# ---- due, warned, held ----

def test_S070_E095_R012_renewed_at_N_whole_days_and_not_before(world):
    """With 31 d 1 h left nothing happens, with 30 d 5 h left all three protocols renew, signed with the certificate."""
    w = world
    w.configure(*(make(w) for make in ALL.values()), *(entry(p, p) for p in ALL))
    old = enrolled(w, *ALL)
    w.at(365 * DAY - 31 * DAY - HOUR)
    time.sleep(4)
    assert {p: w.serial(p) for p in ALL} == old, w.text()
    w.at(365 * DAY - 30 * DAY - 5 * HOUR)
    new = {p: w.wait_serial(p, old[p]) for p in ALL}
    renewed = [r for r in w.trail("renew")]
    assert len(renewed) >= 3, renewed
    for p in ALL:
        assert new[p] in str(renewed) or new[p].lower() in str(renewed).lower().replace(":", ""), renewed
        assert w.facts(p)["state"] == "OK"


def test_E095_a_36_hour_certificate_is_due_when_a_third_is_left(world):
    w = world
    file = w.profile("short", "lifetime=36h", "backdate=0")
    w.configure(w.ca("scep", challenge=f"file:{file}"), entry("short", "scep"))
    old = enrolled(w, "short")["short"]
    w.at(23 * HOUR)
    w.stays("short", old, 4)
    w.at(24 * HOUR + 60)
    w.wait_serial("short", old)


def test_S071_no_renewal_without_days_and_M604_says_so(world):
    w = world
    w.configure(scep(w), entry("never", "scep", renew_days="0"))
    old = enrolled(w, "never")["never"]
    w.at(360 * DAY)
    w.stays("never", old, 4)
    w.at(366 * DAY)
    w.stays("never", old, 4)
    assert len(w.issued("never")) == 1 and w.trail("refuse") == []
    facts = w.facts("never")
    assert facts["state"] == "EXPIRED", facts
    r = w("status", "never")
    assert "M604" in r.out, r


def test_S072_one_warning_a_day_with_name_days_and_date(world):
    w = world
    w.configure(scep(w), entry("warned", "scep", renew_days="0", warn_days="14"), entry("quiet", "scep", renew_days="0", warn_days="0"))
    enrolled(w, "warned", "quiet")

    def warnings():
        return [e for e in w.events("--action", "certificate-warning")]

    w.at(365 * DAY - 10 * DAY - HOUR)
    wait_for(warnings, lambda: f"a warning\n{w.text()}")
    w.at(365 * DAY - 10 * DAY - HOUR + 120)
    time.sleep(4)
    said = warnings()
    assert len(said) == 1 and said[0]["name"] == "warned" and "will expire in 10 days" in said[0]["msg"], said
    w.at(365 * DAY - 9 * DAY - HOUR)
    wait_for(lambda: len(warnings()) == 2, lambda: f"the next day's {warnings()}")
    assert {e["name"] for e in warnings()} == {"warned"}


def test_S069_settings_are_set_kept_and_checked(world):
    """By 'config set', read by the agent, kept over its restart; nonsense is refused and the old value stays."""
    w = world
    w.configure(scep(w), entry("set", "scep", renew_days="7"))
    old = enrolled(w, "set")["set"]
    assert w("config", "set", "set", "renew-days", "30").code == 0
    assert w("config", "set", "set", "warn-days", "45").code == 0
    for key, bad in (("renew-days", "abc"), ("renew-days", "-1"), ("warn-days", "abc"), ("warn-days", "-1")):
        r = w("config", "set", "set", key, bad)
        assert r.code != 0, r
    shown = w("config", "show").out
    assert re.search(r"renew-days\s*=\s*30", shown) and re.search(r"warn-days\s*=\s*45", shown), shown
    w.at(365 * DAY - 25 * DAY)
    w.wait_serial("set", old)
    assert w.facts("set")["renew_days"] == 30
    shown = w("config", "show").out  # the agent was stopped and started by w.at
    assert re.search(r"renew-days\s*=\s*30", shown) and re.search(r"warn-days\s*=\s*45", shown), shown


def test_S076_M602_issued_once_then_held_until_a_third_is_left(world):
    """Five days of validity, seven asked for."""
    w = world
    file = w.profile("five", "lifetime=5d", "backdate=0", "max-requests=100/h")
    w.configure(w.ca("scep", challenge=f"file:{file}"), entry("five", "scep", renew_days="7"))
    first = enrolled(w, "five")["five"]
    w.stays("five", first, 12)
    assert len(w.issued("five")) == 1
    facts = w.facts("five")
    assert facts["held"] and "M602" in w("status", "five").out, facts
    w.at(3 * DAY)
    w.stays("five", first, 4)
    w.at(3 * DAY + 9 * HOUR)  # less than 5 d / 3 is left
    w.wait_serial("five", first)


def test_E095_E096_364_days_on_a_fresh_certificate(world):
    """I6: the renewal starts within one check interval; then it is held, and M602 was said when it was set."""
    w = world
    w.configure(est(w), entry("est-test101", "est", renew_days="0"))
    assert w("enroll", "est-test101").code == 0  # by hand, as in the seed
    old = w.serial("est-test101")
    w.start()
    w.stays("est-test101", old, 3)
    w("config", "set", "est-test101", "renew-days", "364")
    w.reload()
    new = w.wait_serial("est-test101", old, 15)
    w.stays("est-test101", new, 5)
    assert len(w.issued("est-test101")) == 2 and w.facts("est-test101")["held"]


# ---- what goes wrong ----

def next_pause(w, name):
    facts = w.facts(name)
    if not facts.get("next_try"):
        return None
    then = time.mktime(time.strptime(facts["next_try"], "%Y-%m-%dT%H:%M:%SZ")) - time.timezone
    return then - time.time() - w.shift


def test_S075_S081_the_ca_is_off_for_three_cycles_then_the_next_try_succeeds(world):
    w = world
    w.configure(scep(w), entry("off", "scep"))
    old = enrolled(w, "off")["off"]
    base = 340 * DAY
    w.at(base)
    w.stop()
    w.stop_ca()
    w.serial("off") == old or pytest.fail("renewed before the CA was stopped")
    base += 60
    w.shift = base
    pauses = []
    for cycle in range(3):
        w.start()
        wait_for(lambda: w.facts("off")["attempts"] == cycle + 1, lambda: f"try {cycle + 1}: {w.facts('off')}\n{w.text()}")
        facts = w.facts("off")
        assert facts["state"] == "RETRYING" and facts["last"]["code"] == "M102", facts
        pauses.append(next_pause(w, "off"))
        w.stop()
        w.shift += int(pauses[-1]) + 2
    assert 60 - 5 <= pauses[0] <= 75 and pauses[0] < pauses[1] < pauses[2] and pauses[2] >= 235, pauses
    assert w.serial("off") == old
    said = [e for e in w.events("--action", "certificate-generate") if e["status"] == "failure"]
    assert len(said) == 3 and {e["msg"] for e in said} == {"Failed to connect SCEP Server"} and "refused" in json.dumps(said[0]), said
    w.start_ca()
    w.start()
    w.wait_serial("off", old)
    assert w.facts("off")["attempts"] == 0


def test_S075_S078_S082_too_early_is_refused_twice_a_day_at_most_and_waited_for(world):
    """The CA renews in the last seven days, sixty are asked for: the agent learns it and waits."""
    w = world
    file = w.profile("seven", "renew-before=7d", "max-requests=100/h")
    w.configure(w.ca("scep", challenge=f"file:{file}"), entry("early", "scep", renew_days="60"))
    old = enrolled(w, "early")["early"]
    base = 365 * DAY - 55 * DAY
    w.at(base)
    wait_for(lambda: w.facts("early")["attempts"] >= 1, lambda: f"a refusal: {w.text()}")
    facts = w.facts("early")
    assert facts["last"]["code"] == "M314" and facts["state"] in ("RETRYING", "HELD"), facts
    for hours in range(2, 25, 4):
        w.at(base + hours * HOUR)
        time.sleep(1.5)
    assert len(w.trail("refuse")) <= 2 and w.serial("early") == old, w.trail("refuse")
    assert len(w.issued("early")) == 1
    said = [e for e in w.events("--action", "certificate-generate") if e["status"] == "failure"]
    assert said[0]["msg"].startswith("Failed to sign local certificate via SCEP-") and not said[0]["msg"].endswith("(null)"), said
    w.at(365 * DAY - 6 * DAY)
    w.wait_serial("early", old)


def test_S075_three_refusals_and_the_old_pair_stays(world):
    """Refused without a date: the pauses are six hours, twelve, a day; then a CA that is willing."""
    w = world
    w.configure(scep(w), entry("refused", "scep"))
    old = enrolled(w, "refused")["refused"]
    forger = Forger(w.dir)
    try:
        w.configure(f'[ca "f"]\nprotocol = scep\nurl = {forger.url}\ntrust = {forger.root}\n', entry("refused", "f"))
        w.at(336 * DAY, ca=False)
        pauses = []
        for number in (1, 2, 3):
            wait_for(lambda: w.facts("refused").get("attempts") == number, lambda: f"{number}: {w.facts('refused')}\n{w.text()}")
            pauses.append(next_pause(w, "refused"))
            assert w.serial("refused") == old and w.facts("refused")["state"] == "RETRYING"
            w.at(w.shift + int(pauses[-1]) + 2, ca=False)
        wait_for(lambda: w.facts("refused").get("attempts") == 4, w.text)
    finally:
        forger.stop()
    hours = [p / HOUR for p in pauses]
    assert 5.9 <= hours[0] <= 7.3 and 11.9 <= hours[1] <= 24.1 and 12 <= hours[2] <= 29, hours
    assert "M605" in w("status", "refused").out
    w.configure(scep(w), entry("refused", "scep"))
    w.at(w.shift + 2 * DAY)
    w.wait_serial("refused", old)


def test_S077_M607_an_expired_certificate_that_is_not_renewed(world):
    """The challenge is gone after the first issue: M607 with the line that helps, and the line helps."""
    w = world
    file = w.profile("strict", "max-requests=100/h")
    w.configure(w.ca("scep", challenge=f"file:{file}"), entry("late", "scep", automation="no"))
    assert w("enroll", "late").code == 0
    old = w.serial("late")
    file.unlink()
    w.configure(w.ca("scep"), entry("late", "scep"))
    w.shift = 370 * DAY
    w.at(370 * DAY)
    w.start()
    said = wait_for(lambda: [out for out in [w("status", "late").out] if "M607" in out], lambda: f"M607: {w.facts('late')}\n{w.text()}")[0]
    assert w.facts("late")["state"] == "EXPIRED" and w.serial("late") == old, said
    assert "muster enroll late --replace --challenge-file" in said, said
    assert any(e["code"] == "M607" for e in w.events() if "code" in e)
    fresh = w.dir / "fresh"
    w.operator("entry", "passwd", "strict", "--out", fresh)
    r = w("enroll", "late", "--replace", "--challenge-file", fresh)
    assert r.code == 0 and w.serial("late") != old, r


def test_S079_S080_S085_events_of_the_agent_itself(world):
    w = world
    w.configure(scep(w), entry("IPSECVPNTest", "scep"))
    old = enrolled(w, "IPSECVPNTest")["IPSECVPNTest"]
    w.at(340 * DAY)
    w.wait_serial("IPSECVPNTest", old)
    loaded = wait_for(lambda: len(w.events("--subtype", "vpn")) == 2 and w.events("--subtype", "vpn"), lambda: w.events())
    assert {e["msg"] for e in loaded} == {"Certificate is loaded"} and {e["name"] for e in loaded} == {"IPSECVPNTest"}
    generate = w.events("--action", "certificate-generate")
    assert sorted(e["msg"] for e in generate) == ["Certificate is loaded"] * 2 + ["Successfully signed local certificate via SCEP"] * 2
    assert "Certificate is loaded" in w("log", "--subtype", "vpn").out


def test_S082_S084_a_refusal_without_words_and_one_with(world):
    """A responder that refuses a renewal: (null) exactly, with its causes, ranked; or its failInfoText behind the dash."""
    w = world
    forger = Forger(w.dir)
    other = f'[ca "f"]\nprotocol = scep\nurl = {forger.url}\ntrust = {forger.root}\n'
    try:
        w.configure(scep(w), entry("null", "scep"), entry("words", "scep", automation="no"))
        enrolled(w, "null")
        assert w("enroll", "words").code == 0
        w.configure(scep(w), other, entry("null", "f"), entry("words", "f", automation="no"))
        w.at(340 * DAY, ca=False)
        wait_for(lambda: w.facts("null").get("attempts"), w.text)
        forger.attributes["text"] = "The moon is not full"
        w.configure(scep(w), other, entry("null", "f"), entry("words", "f"))
        w.reload()
        wait_for(lambda: w.facts("words").get("attempts"), w.text)
    finally:
        forger.stop()
    said = {e["name"]: e for e in w.events("--action", "certificate-generate") if e["status"] == "failure"}
    assert said["null"]["msg"] == "Failed to sign local certificate via SCEP-(null)" and said["null"]["code"] == "M312", said
    assert said["words"]["msg"] == "Failed to sign local certificate via SCEP-The moon is not full", said
    hint = said["null"]["hint"]
    assert re.search(r"1\. .*early.*2\. .*3\. ", hint) and said["null"]["txn"] in hint and re.search(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC", hint), hint


def test_S082_S084_a_refusal_is_an_event_with_hint_and_transaction(world):
    w = world
    wrong = w.dir / "wrong"
    wrong.write_text("not the challenge\n")
    wrong.chmod(0o600)
    w.configure(w.ca("scep", challenge=f"file:{wrong}"), entry("null", "scep"))
    w.start()
    wait_for(lambda: w.facts("null").get("attempts"), lambda: w.text())
    event = w.events("--action", "certificate-generate")[-1]
    assert event["msg"].startswith("Failed to sign local certificate via SCEP-") and event["hint"] and event["txn"], event


# ---- EST: renewal and regeneration, E094 to E119 ----

def trace_world(w, *more, **keys):
    w.configure(est(w, **keys), *more, log_level="debug", notify=f"file:{w.dir}/trace")
    return lambda: (w.dir / "trace").read_text(errors="replace") if (w.dir / "trace").exists() else ""


def test_E094_E097_stored_settings_and_the_label_that_is_set_meanwhile(world):
    w = world
    trace = trace_world(w, entry("est-test101", "est"))
    old = enrolled(w, "est-test101")["est-test101"]
    text = w.conf.read_text().replace('[ca "est"]\n', '[ca "est"]\nlabel = iot\n')
    w.conf.write_text(text)
    before = len(trace())
    w.at(340 * DAY)
    w.wait_serial("est-test101", old)
    said = trace()[before:]
    assert "/.well-known/est/iot/simplereenroll" in said, said[-3000:]
    told = ", ".join(re.findall(r'msg="est request: ([^"]*)"', said))
    for fact in ("settings taken from the store", f"server {w.demo.est}, CA identifier iot, source address none",
                 "user none, password none, client certificate est-test101, server certificate ", "root.pem, SRP user none, SRP password none, key password none",
                 "key secp384r1, csrattrs used", "subject CN=est-test101, SAN none", "linked to TLS 0", "made from the current certificate, same key"):
        assert fact in told, (fact, told)
    wait_for(lambda: "est result: ok (0)" in trace()[before:], "the result")
    assert "Done." not in trace()[before:]  # E079: nobody waits at a prompt
    assert w("trace", "est-test101", "--last").out.splitlines()[-1].endswith("est result: ok (0)")


def test_E098_E106_E108_E113_E118_E119_the_request_is_made_of_the_certificate(world):
    w = world
    trace = trace_world(w, entry("est-test101", "est", subject="CN=firewall-portal1,DC=local,DC=COM", san="DNS:firewall-portal1.local.ca,IP:172.18.60.184"))
    old = enrolled(w, "est-test101")["est-test101"]
    key, text = spki(w, "est-test101"), cert_text(w, "est-test101")
    assert w("config", "set", "est-test101", "subject", "CN=other").code == 0
    before = len(trace())
    w.at(340 * DAY)
    new = w.wait_serial("est-test101", old)
    now = cert_text(w, "est-test101")
    assert new != old and spki(w, "est-test101") == key and "CN=firewall-portal1" in now and "CN=other" not in now
    for label in ("Basic Constraints", "Key Usage", "Subject Key Identifier", "Authority Key Identifier"):
        assert label in now
    ski = re.compile(r"Subject Key Identifier:\s*\n\s*(\S+)")
    assert ski.search(now).group(1) == ski.search(text).group(1)
    block = posted(trace()[before:])  # E106: the posted base64 itself
    request = openssl("req", "-noout", "-text", "-nameopt", "compat", input=f"-----BEGIN CERTIFICATE REQUEST-----\n{block}\n-----END CERTIFICATE REQUEST-----\n")
    assert openssl("req", "-noout", "-pubkey", input=f"-----BEGIN CERTIFICATE REQUEST-----\n{block}\n-----END CERTIFICATE REQUEST-----\n") == key
    asked, had = extensions(request), extensions(text)
    assert asked == had and "X509v3 Basic Constraints" in had and "X509v3 Authority Key Identifier" in had, (asked, had)
    assert re.search(r"Subject: .*CN=firewall-portal1", request) and "CN=other" not in request and "Version: 1 (0x0)" in request, request
    shown = w("show", "est-test101").out  # E113, E119
    for label in ("Basic Constraints", "Key Usage", "Subject Key Identifier", "Authority Key Identifier"):
        assert label in shown, shown
    assert new in shown.replace(":", "").upper() and ski.search(now).group(1) in shown, shown


def posted(trace):
    """The base64 of the request that the trace shows."""
    lines = [line.strip() for line in trace.splitlines()]
    blocks = re.findall(r"MII[A-Za-z0-9+/=\s\\n]{200,}", "\n".join(lines))
    assert blocks, trace[-3000:]
    return blocks[0].strip()


def extensions(text):
    """Labels and values, as openssl prints them, of a request or a certificate."""
    found = re.findall(r"^ *(X509v3 [\w ]+):( critical)? *\n *(.+?) *$", text.replace("X509v3 extensions:", ""), re.M)
    return {label: (critical, value) for label, critical, value in found}


def test_E099_E100_E103_E110_the_steps_of_a_renewal(world):
    """The password changed at the responder: csrattrs, then simplereenroll by the certificate alone."""
    w = world
    file = w.profile("estpw", "max-requests=100/h", "eku=clientAuth")
    w.configure(w.ca("est", user="estpw", password=f"file:{file}"), entry("steps", "est"), log_level="debug", notify=f"file:{w.dir}/trace")
    old = enrolled(w, "steps")["steps"]
    w.operator("entry", "passwd", "estpw", "--out", w.dir / "changed")
    before = len((w.dir / "trace").read_text(errors="replace"))
    w.at(340 * DAY)
    w.wait_serial("steps", old)
    said = (w.dir / "trace").read_text(errors="replace")[before:]
    attrs, post = said.find("/.well-known/est/csrattrs"), said.find("/.well-known/est/simplereenroll")
    assert 0 <= attrs < post, said[-3000:]
    assert "simpleenroll" not in said.replace("simplereenroll", "") and "Authorization" not in said
    assert "client certificate" in said.lower(), said[-3000:]
    facts = w.facts("steps")
    assert facts["user"] == "estpw" and facts["password"] == "*", facts  # E099: they stay


def test_E101_M406_a_certificate_without_clientAuth_is_told_and_tried(world):
    """The demo's EST certificates have no extended key usage: warned, tried, and it goes on."""
    w = world
    trace = trace_world(w, entry("noeku", "est"))
    old = enrolled(w, "noeku")["noeku"]
    before = len(trace())
    w.at(340 * DAY)
    w.wait_serial("noeku", old)
    assert "TLS client" in trace()[before:], trace()[before:][-2000:]


def test_E114_E116_E117_E118_regenerate_beside_the_running_agent(world):
    """By hand while the agent runs: --yes outside a terminal, the stored URL, the same key; --rekey makes a new one."""
    w = world
    w.configure(est(w), entry("regen", "est", renew_days="0"))
    old = enrolled(w, "regen")["regen"]
    key = spki(w, "regen")
    r = w("regenerate", "regen")
    assert r.code != 0 and "--yes" in r.err and w.serial("regen") == old, r
    r = w("regenerate", "regen", "--yes", "--url", "https://127.0.0.1:1")
    new = w.wait_serial("regen", old)
    assert r.code == 0 and spki(w, "regen") == key, r
    r = w("regenerate", "regen", "--yes", "--rekey")
    w.wait_serial("regen", new)
    assert r.code == 0 and spki(w, "regen") != key, r


# ---- R010 to R054: the router's application, through the configuration file ----

def router(w, name="scepClient"):
    r = w("status", name, "--style", "router")
    assert r.code == 0, r
    return r.out.splitlines()


def challenge2(w, **more):
    return w.ca("scep", challenge=secret(w, "challenge2"), challenge_once="no", **more)


@contextlib.contextmanager
def posts(w):
    """A relay to the demo's SCEP, and the times at which an answer to a request has passed."""
    asked = []
    relay = Relay(w.demo.url, lambda op, reply: asked.append(time.time()) if op == "PKIOperation" else None)
    try:
        yield relay.url, asked
    finally:
        relay.stop()


def approve(w):
    queue = wait_for(lambda: json.loads(w.operator("queue", "list", "--json").out)["queue"], "a request in the queue")
    w.operator("queue", "approve", str(queue[0]["id"]))


def test_R010_R047_R050_automation_off_asks_for_nothing_and_others_go_on(world):
    w = world
    off = entry("scepClient", "scep", automation="no")
    w.configure(scep(w), off, entry("other", "scep"))
    enrolled(w, "other")
    w.stays("scepClient", None, 4)
    assert w.issued("scepClient") == []
    assert router(w) == ["Module scepClient disabled", "Certificate not enrolled"]
    assert w("config", "set", "scepClient", "automation", "yes").code == 0
    w.reload()
    serial = w.wait_serial("scepClient")
    assert router(w) == ["Module scepClient not running", f"Certificate enrolled {serial}"]


def test_R011_an_empty_url_with_automation_on_is_refused(world):
    w = world
    w.configure('[ca "scep"]\nprotocol = scep\n', entry("scepClient", "scep"))
    r = w("config", "check")
    assert r.code != 0 and "url" in r.out + r.err, r


def test_R013_R045_R048_R051_pending_polled_and_start_not_blocked(world):
    """Await Result 5: the first poll comes 5 to 6 s after PENDING; the agent is ready at once and others go on."""
    w = world
    with posts(w) as (url, asked):
        w.configure(challenge2(w, url=url), w.ca("scep", name="auto", challenge=secret(w, "challenge1")), entry("scepClient", "scep", await_result="5s"), entry("other", "auto"))
        began = time.time()
        w.start()
        w.wait_serial("other")
        wait_for(lambda: w.facts("scepClient")["state"] == "PENDING", lambda: f"{w.facts('scepClient')} {w.text()}")
        assert w.serial("other") and time.time() - began < 30 and router(w) == ["Module scepClient running", "Certificate enrollment"]
        wait_for(lambda: len(asked) >= 3, lambda: f"polls: {asked}\n{w.text()}")
        approve(w)
        w.wait_serial("scepClient", seconds=20)
        pauses = [later - earlier for earlier, later in zip(asked, asked[1:])]
        assert all(5 <= p <= 6 + SLACK for p in pauses), pauses
        assert router(w)[0] == "Module scepClient not running"


def test_R014_M313_given_up_after_max_await_result_and_resumed_by_poll(world):
    """A minute of waiting in real time, with the last question at its end; then nobody is asked until somebody says so."""
    w = world
    with posts(w) as (url, asked):
        w.configure(challenge2(w, url=url), entry("scepClient", "scep", await_result="20s", max_await_result="1min"))
        w.start()
        wait_for(lambda: w.facts("scepClient")["state"] == "PENDING", w.text)
        began = asked[0]
        wait_for(lambda: "M313" in w("status", "scepClient").out, lambda: f"M313: {w.facts('scepClient')}\n{w.text()}", 100)
        assert 59 <= time.time() - began <= 75 and 59 <= asked[-1] - began <= 62 + SLACK, asked
    said = [e for e in w.events() if e.get("code") == "M313"]
    assert len(said) == 1 and "after 1 min" in said[0]["reason"] and "muster poll scepClient" in said[0]["hint"], said
    w.configure(challenge2(w), entry("scepClient", "scep", await_result="20s", max_await_result="1min"))
    assert router(w) == ["Module scepClient not running", "Certificate not enrolled"]
    approve(w)
    w.stays("scepClient", None, 3)
    assert w("poll", "scepClient").code == 0
    w.wait_serial("scepClient")


def test_R015_a_server_of_des_and_md5_needs_the_switch(world):
    """Nothing better among its capabilities: M303 names allow-legacy; with it the agent enrolls and status warns."""
    w = world
    w.stop_ca()
    w.demo_options = ("--allow-legacy",)
    w.start_ca()
    relay = Relay(w.demo.url, lambda op, reply: dict(reply, body=b"POSTPKIOperation\nRenewal\n") if op == "GetCACaps" else reply)
    try:
        w.configure(scep(w, url=relay.url), entry("scepClient", "scep"))
        w.start()
        out = wait_for(lambda: (lambda out: out if "M303" in out else None)(w("status", "scepClient").out), w.text)
        assert "allow-legacy" in out and "DES" in out and w.issued("scepClient") == [], out
        w.configure(scep(w, url=relay.url), entry("scepClient", "scep", allow_legacy="yes"))
        w.at(24 * HOUR)
        w.wait_serial("scepClient")
        out = w("status", "scepClient").out
        assert "M705" in out and "DES" in out and w.facts("scepClient")["legacy"], out
    finally:
        relay.stop()


def test_R016_key_size(world):
    w = world
    w.configure(scep(w), entry("scepClient", "scep", key="rsa:4096"))
    w.start()
    w.wait_serial("scepClient", seconds=90)
    assert "Public-Key: (4096 bit)" in cert_text(w, "scepClient")


def test_R017_to_R027_the_request_that_the_file_describes(world):
    """I9, the serial number of the unit, every kind of alternative name, template and usages."""
    w = world
    san = ("DNS:one.domain.com,DNS:other.domain.org,email:my@other.address,RID:1.2.3.4,URI:http://x/,IP:192.0.2.1,"
           "dirName:/C=NL/CN=x,otherName:1.2.3;UTF8:text")
    w.configure(scep(w), entry("scepClient", "scep", subject=r"/DC=org/DC=OpenXPKI/DC=Test Deployment/O=SNCF/OU=a\/b/OU=\SN/CN=router-SN", san=san,
                               template_name="tls-client", key_usage="digitalSignature, keyEncipherment", eku="serverAuth, clientAuth"),
                serial_source="echo 1234567")
    pem = w("csr", "scepClient").out
    text = openssl("req", "-noout", "-text", "-nameopt", "compat", input=pem)
    subject = re.search(r"Subject: (.*)", text).group(1)
    for part in ("DC=org", "DC=OpenXPKI", "DC=Test Deployment", "O=SNCF", "OU=a\\/b", "OU=SN", "CN=router-1234567"):
        assert part in subject, subject
    for part in ("DNS:one.domain.com", "DNS:other.domain.org", "email:my@other.address", "Registered ID:1.2.3.4", "URI:http://x/", "IP Address:192.0.2.1", "DirName:", "othername"):
        assert part in text, text
    assert "Digital Signature, Key Encipherment" in text and "TLS Web Server Authentication, TLS Web Client Authentication" in text
    der = base64.b64decode("".join(pem.splitlines()[1:-1]))
    assert bytes.fromhex("2b0601040182371402") in der and "tls-client".encode("utf-16-be") in der


def test_R029_the_profile_overrides_usages_and_the_difference_is_shown(world):
    w = world
    file = w.profile("own", "key-usage=digitalSignature", "eku=clientAuth")
    w.configure(w.ca("scep", challenge=f"file:{file}"), entry("scepClient", "scep", key_usage="digitalSignature, keyEncipherment", eku="serverAuth"))
    enrolled(w, "scepClient")
    text = cert_text(w, "scepClient")
    assert "TLS Web Client Authentication" in text and "TLS Web Server Authentication" not in text
    r = w("diff", "scepClient")
    assert r.code == 0 and "serverAuth" in r.out and "keyEncipherment" in r.out, r


def settings_file(w):
    old = "-----BEGIN X-----\nMIIA\n-----END X-----"
    f = w.dir / "settings.ipsec"
    f.write_text(f'IPSEC_ENABLED=1\nIPSEC_LOCAL_KEY="{old}"\nIPSEC_LOCAL_CERT="{old}\n"\n')
    f.chmod(0o640)
    return f


def test_R030_R037_R038_R044_I10_the_success_script_as_typed(world):
    """Its three lines run once per new certificate, after the switch; the service starts after its file has changed."""
    w = world
    (w.dir / "bin").mkdir()
    (w.dir / "bin/scep_replace_pem").symlink_to(w.muster)
    f = settings_file(w)
    ipsec = w.dir / "ipsec"
    ipsec.write_text(f'#!/bin/sh\n. {f}\nprintf "%s\\n" "$IPSEC_LOCAL_CERT" >>{w.dir}/started\nreadlink {w.store}/certs/scepClient/current >>{w.dir}/switched\n')
    ipsec.chmod(0o755)
    script = f"export PATH={w.dir}/bin:$PATH ASAN_OPTIONS=detect_leaks=0\n  scep_replace_pem {f} \\\n  IPSEC_LOCAL_KEY pkey IPSEC_LOCAL_CERT cert\n  {ipsec} restart"
    w.configure(scep(w), entry("scepClient", "scep", success_script=script))
    old = enrolled(w, "scepClient")["scepClient"]
    started = w.dir / "started"
    wait_for(lambda: started.exists() and started.read_text().count("END") == 1, lambda: f"the service stub\n{w.text()}")
    assert started.read_text().strip() == (w.store / "certs/scepClient/latest.crt").read_text().strip()
    assert (w.dir / "switched").read_text().strip().endswith(old)
    w.at(10)
    time.sleep(3)
    assert started.read_text().count("END") == 1, "once per new certificate"
    w.at(340 * DAY)
    w.wait_serial("scepClient", old)
    wait_for(lambda: started.read_text().count("END") == 2, lambda: w.text())
    assert started.read_text().strip().endswith((w.store / "certs/scepClient/latest.crt").read_text().strip())


def test_R031_M901_the_failure_script_with_the_cause(world):
    w = world
    note = w.dir / "failed"
    script = f'echo "$MUSTER_NAME $MUSTER_EVENT $MUSTER_ERROR_CODE" >>{note}'
    w.configure(scep(w), entry("scepClient", "scep", failure_script=script, success_script="echo no space; exit 3"))
    w.stop_ca()
    w.start()
    wait_for(lambda: note.exists() and "scepClient failed M102" in note.read_text(), lambda: f"the script after a connection that failed\n{w.text()}")
    w.start_ca()
    w.at(300)
    w.wait_serial("scepClient")
    wait_for(lambda: "M901" in note.read_text(), lambda: f"the script after a script that failed: {note.read_text()}\n{w.text()}")
    facts = w.facts("scepClient")
    assert facts["state"] == "RENEWED-STALE" and "M901" in w("status", "scepClient").out, facts


def test_R032_to_R036_the_files_of_the_store(world):
    w = world
    w.store = w.dir / "var/data/scepClient"
    w.configure(scep(w), entry("scepClient", "scep"), store=w.store)
    old = enrolled(w, "scepClient")["scepClient"]
    d = w.store / "certs/scepClient"
    printed = openssl("x509", "-in", d / "latest.crt", "-noout", "-serial").strip().split("=")[1]
    assert old == printed and (d / f"{printed}.crt").exists() and (d / f"{printed}.key").stat().st_mode & 0o777 == 0o600
    assert (d / "ca.crt-0").read_text().count("BEGIN CERTIFICATE") == 1
    w.at(340 * DAY)
    new = w.wait_serial("scepClient", old)
    assert (d / "latest.crt").resolve().name == f"{new}.crt" and (d / "latest.key").resolve().name == f"{new}.key"
    w.at(340 * DAY + 60)
    w.stays("scepClient", new, 4)
    w.stop()
    (d / "current").unlink()
    assert not (d / "latest.crt").exists()
    w.start()
    w.wait_serial("scepClient", None)
    assert w.serial("scepClient") not in (old,)


def test_R034_a_chain_of_two_is_two_files(world):
    """Issued by an intermediate CA: ca.crt-0 is it, ca.crt-1 the root."""
    w = world
    d = EstDouble(w.dir / "double")
    make_ca(d.dir, "middle", issuer="estDouble")
    d.issuer, d.cacerts = "middle", [d.dir / "middle.pem", d.root]
    try:
        w.configure(f'[ca "est"]\nprotocol = est\nurl = {d.url}\ntrust = {d.root}\n', entry("scepClient", "est"))
        enrolled(w, "scepClient")
    finally:
        d.stop()
    files = sorted((w.store / "certs/scepClient").glob("ca.crt-*"))
    assert [f.name for f in files] == ["ca.crt-0", "ca.crt-1"] and all(f.read_text().count("BEGIN CERT") == 1 for f in files), files
    names = [openssl("x509", "-in", f, "-noout", "-subject").strip().rsplit("= ", 1)[-1] for f in files]
    assert names == ["middle", "estDouble"], names


@pytest.mark.parametrize("how", ["restart", "Apply"])
def test_R036_checked_at_the_start_and_at_apply(world, how):
    """Valid: no request; link removed: enrolled at once, not by the check interval."""
    w = world
    posts = []
    relay = Relay(w.demo.url, lambda op, reply: posts.append(op))

    def again():
        if how == "Apply":
            w.reload()
        else:
            w.stop()
            w.start()

    try:
        w.configure(scep(w, url=relay.url), entry("scepClient", "scep"), check_interval="1h")
        serial = enrolled(w, "scepClient")["scepClient"]
        before = len(posts)
        again()
        w.stays("scepClient", serial, 3)
        assert len(posts) == before
        (w.store / "certs/scepClient/current").unlink()
        again()
        w.wait_serial("scepClient", serial)
        assert "PKIOperation" in posts[before:]
        # storm guard: a third one waits for tomorrow, and status says why
        serial = w.serial("scepClient")
        (w.store / "certs/scepClient/current").unlink()
        again()
        w.stays("scepClient", None, 3)
        out = w("status", "scepClient").out
        assert "2 requests" in out and "--force" in out, out
    finally:
        relay.stop()


def test_R046_to_R053_the_two_lines_of_the_status(world):
    """Not enrolled, enrollment, enrolled, re-enrollment, and a failed renewal that keeps the line of the old one."""
    w = world
    w.configure(challenge2(w), entry("scepClient", "scep", automation="no", await_result="2s"))
    w.start()
    assert router(w) == ["Module scepClient disabled", "Certificate not enrolled"]
    assert w("config", "set", "scepClient", "automation", "yes").code == 0
    w.reload()
    wait_for(lambda: router(w) == ["Module scepClient running", "Certificate enrollment"], lambda: f"{router(w)} {w.text()}")
    approve(w)
    old = w.wait_serial("scepClient")
    assert router(w) == ["Module scepClient not running", f"Certificate enrolled {old}"]


def test_R049_R053_a_failed_renewal_keeps_the_line_of_the_old_certificate(world):
    w = world
    w.configure(scep(w), entry("scepClient", "scep"))
    old = enrolled(w, "scepClient")["scepClient"]
    w.stop()
    w.stop_ca()
    w.shift = 340 * DAY
    w.start()
    wait_for(lambda: w.facts("scepClient")["attempts"], w.text)
    assert router(w) == ["Module scepClient not running", f"Certificate enrolled {old}"]


@pytest.mark.parametrize("proto", ["scep", "est", "cmp"])
def test_R052_a_renewal_that_waits_for_approval(world, proto):
    """approval = always: the CA asks a person about renewals too. The old pair stays in use until the answer."""
    w = world
    file = w.profile("asked", "approval=always", "renew-before=100d", "max-requests=100/h")
    who = {"scep": {"challenge": f"file:{file}"}, "est": {"user": "asked", "password": f"file:{file}"}, "cmp": {"ref": "asked", "secret": f"file:{file}"}}
    w.configure(w.ca(proto, **who[proto]), entry("scepClient", proto, await_result="5s", renew_days="60"))
    w.start()
    wait_for(lambda: router(w) == ["Module scepClient running", "Certificate enrollment"], lambda: f"{router(w)} {w.text()}")
    approve(w)
    assert w("poll", "scepClient").code == 0
    old = w.wait_serial("scepClient")
    w.at(365 * DAY - 50 * DAY)
    wait_for(lambda: router(w) == ["Module scepClient running", "Certificate re-enrollment"], lambda: f"{router(w)} {w.text()}")
    w.stays("scepClient", old, 7)
    facts = w.facts("scepClient")
    assert facts["state"] == "RENEWING" and facts["pending"], facts
    approve(w)
    assert w("poll", "scepClient").code == 0
    new = w.wait_serial("scepClient", old)
    wait_for(lambda: router(w) == ["Module scepClient not running", f"Certificate enrolled {new}"], lambda: router(w))
    assert len(w.issued("scepClient")) == 2


def test_R048_R052_re_enrollment_is_said_while_a_renewal_is_out(world):
    """A relay takes its time with the answers, so that there is something to see."""
    w = world
    slow = []
    relay = Relay(w.demo.url, lambda op, reply: time.sleep(3 if slow and op == "PKIOperation" else 0) or reply)
    try:
        w.configure(scep(w, url=relay.url), entry("scepClient", "scep"))
        old = enrolled(w, "scepClient")["scepClient"]
        slow.append(True)
        w.at(340 * DAY)
        wait_for(lambda: router(w) == ["Module scepClient running", "Certificate re-enrollment"], lambda: f"{router(w)} {w.text()}")
        new = w.wait_serial("scepClient", old)
        wait_for(lambda: router(w) == ["Module scepClient not running", f"Certificate enrolled {new}"], lambda: router(w))
    finally:
        relay.stop()
