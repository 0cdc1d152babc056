"""Real services: a certificate renewed while clients shake hands without a pause, none of which fails, and the new
serial seen on the port; and a service that has to be restarted, which is said."""
import os
import subprocess

import pytest
from agent import World
from agent import wait_for as agent_wait
from conftest import need
from recipes import RECIPES, Entry
from services import Haproxy, Load, Nginx, Postgres, handshake, hello_postgres, wait_for
from test_muster_cli import cli  # noqa: F401  (a fixture)


@pytest.fixture
def entry(cli, tmp_path):  # noqa: F811
    for d in (tmp_path, *tmp_path.parents):  # services leave root behind and still have to get here
        if os.stat(d).st_uid == os.geteuid() and d.is_relative_to("/tmp") and d != d.parent and str(d) != "/tmp":
            os.chmod(d, 0o755)
    assert cli.enroll("web").code == 0
    return Entry(cli, "web", tmp_path / "conf")


@pytest.fixture
def place(tmp_path):
    d = tmp_path / "service"
    d.mkdir(mode=0o755)
    return d


@pytest.fixture
def running():
    services = []
    yield services
    for s in services:
        s.stop()


def renew_under_load(entry, recipe, service, hello=None):
    """Renews twice and deploys each; the port shows each new serial, and no handshake fails."""
    extra = {"hello": hello} if hello else {}
    roots = entry.cli.demo.root
    service.await_port(roots)
    first = entry.serial
    assert handshake(service.port, roots, **extra) == first
    with Load(service.port, roots, **extra) as load:
        load.wait_count(20)
        for _ in range(2):
            assert entry.cli("renew", "web", "--force").code == 0
            r = entry.run(recipe)
            assert r.returncode == 0, r.all
            new = entry.serial
            assert new != first
            wait_for(lambda: handshake(service.port, roots, **extra) == new, f"{new} on the port, {load.serials}, {service.text()}")
            load.wait_count(20)
    assert load.failed == [] and load.serials[0] == first and load.serials[-1] == new and len(load.serials) == 3, load.failed[:5]
    return load


def test_nginx_is_renewed_under_load(entry, place, running):
    cert, key = place / "web.crt", place / "web.key"
    entry.settings("nginx", f"CERT_FILE={cert} KEY_FILE={key} TEST= ACT=\n")
    assert entry.run("nginx").returncode == 0
    nginx = Nginx(place, cert, key)
    running.append(nginx)
    entry.settings("nginx", f"CERT_FILE={cert} KEY_FILE={key} {nginx.settings}")
    renew_under_load(entry, "nginx", nginx)


def test_nginx_with_a_broken_configuration_keeps_the_old_files(entry, place, running):
    cert, key = place / "web.crt", place / "web.key"
    entry.settings("nginx", f"CERT_FILE={cert} KEY_FILE={key} TEST= ACT=\n")
    assert entry.run("nginx").returncode == 0
    nginx = Nginx(place, cert, key)
    running.append(nginx)
    nginx.await_port(None)
    old, before = entry.serial, (cert.read_text(), key.read_text())
    entry.settings("nginx", f"CERT_FILE={cert} KEY_FILE={key} {nginx.settings}")
    good = nginx.conf.read_text()
    nginx.conf.write_text(good.replace("return 204;", "retrun 204;"))
    assert entry.cli("renew", "web", "--force").code == 0
    r = entry.run("nginx")
    assert r.returncode == 1 and 'unknown directive "retrun"' in r.stderr.splitlines()[-1], r.all
    assert (cert.read_text(), key.read_text()) == before and handshake(nginx.port, entry.cli.demo.root) == old
    nginx.conf.write_text(good)
    assert entry.run("nginx").returncode == 0
    wait_for(lambda: handshake(nginx.port, entry.cli.demo.root) == entry.serial, "the new serial")


@pytest.mark.parametrize("way", ["socket", "reload"])
def test_haproxy_is_renewed_under_load(entry, place, running, way):
    pem = place / "web.pem"
    entry.settings("haproxy", f"PEM_FILE={pem} TEST= ACT=\n")
    assert entry.run("haproxy").returncode == 0
    haproxy = Haproxy(place, pem)
    running.append(haproxy)
    how = f"SOCKET={haproxy.socket}" if way == "socket" else f"ACT='kill -USR2 {haproxy.process.pid}'"
    entry.settings("haproxy", f"PEM_FILE={pem} CONFIG={haproxy.conf} {how}\n")
    renew_under_load(entry, "haproxy", haproxy)
    if way == "socket":  # and a restart reads the same from the file
        haproxy.stop()
        again = subprocess.Popen([need("haproxy"), "-f", haproxy.conf], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            haproxy.await_port(None)
            assert handshake(haproxy.port, entry.cli.demo.root) == entry.serial
        finally:
            again.kill()
            again.wait()


def test_postgresql_is_renewed_under_load(entry, place, running):
    cert, key = place / "web.crt", place / "web.key"
    entry.settings("postgresql", f"CERT_FILE={cert} KEY_FILE={key} ACT=\n")
    assert entry.run("postgresql").returncode == 0
    postgres = Postgres(place, cert, key)
    running.append(postgres)
    entry.settings("postgresql", f"CERT_FILE={cert} KEY_FILE={key} {postgres.settings}")
    renew_under_load(entry, "postgresql", postgres, hello_postgres)


def test_M905_freeradius_is_tested_and_restarted_and_says_so(entry, place):
    """Its own -XC reads the files that were placed; a key that does not fit is found before the restart."""
    need("freeradius")
    config = place / "raddb"
    subprocess.run(["cp", "-a", "/etc/freeradius/3.0", config], check=True)
    cert, key = place / "certs/web.crt", place / "certs/web.key"
    (place / "root.pem").write_text(entry.cli.demo.root.read_text())
    eap = config / "mods-available/eap"
    text = eap.read_text()
    assert "private_key_file = " in text and "certificate_file = " in text
    lines = []
    for line in text.splitlines():
        word = line.split("=")[0].strip()
        if word in ("private_key_file", "certificate_file", "ca_file", "private_key_password"):
            line = {"private_key_file": f"private_key_file = {key}", "certificate_file": f"certificate_file = {cert}",
                    "ca_file": f"ca_file = {place}/root.pem"}.get(word, "")
        lines.append(line)
    eap.write_text("\n".join(lines) + "\n")
    test = f"freeradius -XC -d {config}"
    entry.settings("freeradius", f"CERT_FILE={cert} KEY_FILE={key} TEST='{test}' ACT='echo restarted >>{place}/act'\n")
    r = entry.run("freeradius")
    assert r.returncode == 0, r.all
    assert "M905: freeradius does not re-read certificates on reload" in r.all and (place / "act").read_text() == "restarted\n"
    good = key.read_text()
    other = place / "other.key"
    subprocess.run([need("openssl"), "genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", other], check=True, capture_output=True)
    r = entry.run("freeradius", MUSTER_KEY=str(other))
    assert r.returncode != 0 and key.read_text() == good and (place / "act").read_text() == "restarted\n", r.all


# ---- the same done by musterd ----

@pytest.fixture
def world(build, tmp_path):
    for d in (tmp_path, *tmp_path.parents):
        if os.stat(d).st_uid == os.geteuid() and d.is_relative_to("/tmp") and str(d) != "/tmp":
            os.chmod(d, 0o755)
    w = World(build, tmp_path)
    (tmp_path / "conf").mkdir()
    (tmp_path / "recipes").mkdir()
    for recipe in ("nginx", "haproxy", "postgresql", "freeradius"):
        f = tmp_path / "recipes" / recipe
        f.write_text(f"#!/bin/sh\nexport MUSTER={w.muster} MUSTER_RECIPE_CONF={tmp_path}/conf ASAN_OPTIONS=detect_leaks=0\nexec {RECIPES}/{recipe} \"$@\"\n")
        f.chmod(0o755)
    yield w
    w.end()


def entry_of(w, recipe, verify, **more):
    keys = {"ca": "scep", "subject": "/CN=localhost", "san": "DNS:localhost", "deploy": recipe, "verify": verify, "renew-days": "0", **more}
    return '[certificate "web"]\n' + "".join(f"{k} = {v}\n" for k, v in keys.items() if v)


def agent_renews_under_load(w, recipe, start, settings, verify="tls:127.0.0.1:{port}", hello=None):
    """First the agent's certificate, then the service that reads it, then due: renewed, installed, seen, no handshake lost."""
    extra = {"hello": hello} if hello else {}
    challenge = f"file:{w.demo.secret('challenge1', w.dir / 'challenge1')}"
    w.configure(w.ca("scep", challenge=challenge), entry_of(w, recipe, None))
    conf = w.dir / f"conf/{recipe}.conf"
    conf.write_text(settings + "TEST= ACT=\n")
    r = w("enroll", "web")  # by hand, so that it may be due at once
    first = w.serial("web")
    assert r.code == 0 and first, r
    w.start()
    agent_wait(lambda: w.facts("web")["state"] == "OK" and len(w.events("--action", "certificate-deploy")) == 1, lambda: f"{w.facts('web')}\n{w.events()}\n{w.text()}")
    service = start()
    service.await_port(w.root)
    try:
        conf.write_text(settings + service.settings)
        assert handshake(service.port, w.root, **extra) == first
        with Load(service.port, w.root, **extra) as load:
            load.wait_count(20)
            w.configure(w.ca("scep", challenge=challenge), entry_of(w, recipe, verify.format(port=service.port), **{"renew-days": "365"}))
            w.reload()
            new = w.wait_serial("web", first)
            agent_wait(lambda: handshake(service.port, w.root, **extra) == new, lambda: f"{load.serials} {service.text()} {w.text()}")
            agent_wait(lambda: w.facts("web")["state"] in ("OK", "HELD") and w.facts("web")["deploy"], lambda: f"{w.facts('web')}\n{w.text()}")
            load.wait_count(20)
        assert load.failed == [] and load.serials == [first, new], (load.failed[:5], load.serials)
        seen = [d for d in w.facts("web")["deploy"] if d["endpoint"]]
        assert seen and seen[0]["match"] and seen[0]["serial_seen"] == new, w.facts("web")
    finally:
        service.stop()


def test_the_agent_renews_nginx_under_load(world, place):
    cert, key = place / "web.crt", place / "web.key"
    agent_renews_under_load(world, "nginx", lambda: Nginx(place, cert, key), f"CERT_FILE={cert} KEY_FILE={key}\n")


def test_the_agent_renews_haproxy_under_load(world, place):
    pem = place / "web.pem"

    def start():
        haproxy = Haproxy(place, pem)
        haproxy.settings = f"CONFIG={haproxy.conf} SOCKET={haproxy.socket}\n"
        return haproxy

    agent_renews_under_load(world, "haproxy", start, f"PEM_FILE={pem}\n")


def test_the_agent_renews_postgresql_under_load(world, place):
    cert, key = place / "web.crt", place / "web.key"
    agent_renews_under_load(world, "postgresql", lambda: Postgres(place, cert, key), f"CERT_FILE={cert} KEY_FILE={key}\n",
                            "tls:127.0.0.1:{port} starttls=postgresql", hello_postgres)


def test_M902_a_service_that_shows_the_old_one_is_stale_until_it_does_not(world, place):
    w, cert, key = world, place / "web.crt", place / "web.key"
    challenge = f"file:{w.demo.secret('challenge1', w.dir / 'challenge1')}"
    w.configure(w.ca("scep", challenge=challenge), entry_of(w, "nginx", None))
    conf = w.dir / "conf/nginx.conf"
    conf.write_text(f"CERT_FILE={cert} KEY_FILE={key} TEST= ACT=\n")
    r = w("enroll", "web")
    first = w.serial("web")
    assert r.code == 0, r
    w.start()
    agent_wait(lambda: cert.exists() and key.exists(), w.text)
    nginx = Nginx(place, cert, key)
    try:
        nginx.await_port(None)
        w.configure(w.ca("scep", challenge=challenge), entry_of(w, "nginx", f"tls:127.0.0.1:{nginx.port}", **{"renew-days": "365"}))
        w.reload()  # the recipe still has no ACT: nginx hears of nothing
        new = w.wait_serial("web", first)
        agent_wait(lambda: w.facts("web")["state"] == "RENEWED-STALE", lambda: f"{w.facts('web')}\n{w.text()}", 60)
        r = w("status", "web")
        assert "M902" in r.out and handshake(nginx.port, w.root) == first, r
        conf.write_text(f"CERT_FILE={cert} KEY_FILE={key} {nginx.settings}")
        r = agent_wait(lambda: [r for r in [w("deploy", "web")] if r.code == 0], w.text)[0]
        agent_wait(lambda: handshake(nginx.port, w.root) == new, lambda: f"{r}\n{w.text()}")
        agent_wait(lambda: w.facts("web")["state"] in ("OK", "HELD"), lambda: f"{w.facts('web')}\n{w.text()}")
    finally:
        nginx.stop()
