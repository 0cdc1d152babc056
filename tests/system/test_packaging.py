"""What a package brings besides the programs: check-cert.sh (R054, R055), units, init script, completion, links."""
import os
import re
import shutil
import subprocess

import pytest
from conftest import ROOT, need, run
from test_muster_cli import cli  # noqa: F401  (a fixture)

CHECK = ROOT / "packaging/check-cert.sh"


def cron(script, cli, **env):  # noqa: F811
    """As cron does it: nothing in the environment but what the script gives itself."""
    p = subprocess.run(["/bin/sh", script], env={"MUSTER": str(cli.muster), "MUSTER_STORE": str(cli.store), "ASAN_OPTIONS": "detect_leaks=0", **env},
                       capture_output=True, text=True, cwd="/", stdin=subprocess.DEVNULL)
    p.all = p.stdout + p.stderr
    return p


def serial(cli, name):  # noqa: F811
    return os.readlink(cli.store / "certs" / name / "current")


def test_R054_R055_check_cert_renews_what_is_due_and_is_silent_otherwise(cli, tmp_path):  # noqa: F811
    assert cli.enroll("a").code == 0 and cli.enroll("b", "--no-wait").code == 0
    link = tmp_path / "opt/check-cert.sh"
    link.parent.mkdir()
    link.symlink_to(CHECK)
    before = serial(cli, "a"), serial(cli, "b")
    r = cron(link, cli)
    assert r.returncode == 0 and r.all == "" and (serial(cli, "a"), serial(cli, "b")) == before, r.all
    conf = cli.store / "state/a.conf"
    conf.write_text(re.sub(r"(?m)^renew-days.*\n", "", conf.read_text()) + "renew-days = 365\n")
    r = cron(link, cli)
    assert r.returncode == 0 and serial(cli, "a") != before[0] and serial(cli, "b") == before[1], r.all


def test_check_cert_has_a_path_of_its_own():
    p = subprocess.run(["/bin/sh", "-x", CHECK], env={"PATH": "/nowhere", "MUSTER": "env"}, capture_output=True, text=True)
    assert "/usr/sbin:/usr/bin:/sbin:/bin" in p.stderr


@pytest.fixture(scope="session")
def installed(build, tmp_path_factory):
    d = tmp_path_factory.mktemp("root")
    subprocess.run([need("meson"), "install", "-C", build, "--no-rebuild", "--quiet", "--destdir", d], check=True, capture_output=True)
    return d


def find(root, name):
    found = [p for p in root.rglob(name) if not p.is_dir()]
    assert len(found) == 1, found
    return found[0]


def test_what_is_installed(installed):
    for link in ("sscep", "scep_replace_pem"):
        assert os.readlink(find(installed, link)) == "muster"
    recipes = find(installed, "lib.sh").parent
    assert recipes.parts[-3:] == ("share", "muster", "recipes")
    names = {p.name for p in recipes.iterdir()}
    assert {"nginx", "apache2", "haproxy", "strongswan", "freeradius", "openvpn", "wpa_supplicant", "postgresql", "postfix", "dovecot",
            "mosquitto", "settings", "copy", "p12", "generic"} == names - {"lib.sh"}
    assert all(os.access(recipes / n, os.X_OK) for n in names - {"lib.sh"})
    assert names == {p.name for p in (ROOT / "share/recipes").iterdir()}
    assert os.access(find(installed, "check-cert.sh"), os.X_OK)


def test_units(installed, tmp_path):
    timer, service = find(installed, "muster-renew.timer"), find(installed, "muster-renew.service")
    text = timer.read_text()
    assert "OnCalendar=daily" in text and "RandomizedDelaySec=" in text and "Persistent=yes" in text
    assert re.search(r"ExecStart=/\S+/muster renew --all", service.read_text())
    verify = tmp_path / "muster-renew.service"
    verify.write_text(re.sub(r"ExecStart=\S+", "ExecStart=/bin/true", service.read_text()))
    shutil.copy(timer, tmp_path)
    r = run(need("systemd-analyze"), "verify", "--man=no", verify, tmp_path / "muster-renew.timer")
    assert "muster-renew" not in r.err, r


def test_unit_of_the_agent(installed, tmp_path):
    """Issue 5: Type=notify, watchdog, directories, credentials, sandboxing with the deploy targets writable."""
    text = find(installed, "musterd.service").read_text()
    for line in ("Type=notify", "WatchdogSec=60s", "ExecReload=/bin/kill -HUP $MAINPID", "StateDirectory=muster", "RuntimeDirectory=muster",
                 "ConfigurationDirectory=muster", "ProtectSystem=strict", "NoNewPrivileges=yes", "WantedBy=multi-user.target"):
        assert re.search("(?m)^" + re.escape(line) + "$", text), line
    assert "LoadCredential=" in text and re.search(r"ExecStart=/\S+/musterd -F", text)
    after = re.search(r"(?m)^After=(.*)$", text).group(1)
    assert "network-online.target" in after and "time-sync.target" in after
    writable = " ".join(re.findall(r"(?m)^ReadWritePaths=(.*)$", text))
    for recipe in (ROOT / "share/recipes").iterdir():  # each place that a recipe writes to
        for path in re.findall(r"(?m)^\w+_(?:FILE|DIR)=(/etc/\w+)", recipe.read_text()):
            assert path in writable, (recipe, path)
    unit = tmp_path / "musterd.service"
    unit.write_text(re.sub(r"ExecStart=\S+", "ExecStart=/bin/true", text))
    r = run(need("systemd-analyze"), "verify", "--man=no", unit)
    assert "musterd" not in r.err, r
    r = run(need("systemd-analyze"), "security", "--offline=yes", "--no-pager", unit)
    level = float(re.search(r"Overall exposure level for musterd.service: ([\d.]+)", r.out).group(1))
    assert level <= 4, r.out


def test_init_script_runs_the_agent(installed, build, tmp_path):
    script, conf = find(installed, "musterd.init"), tmp_path / "muster.conf"
    conf.write_text("[agent]\nnotify = off\n")
    (tmp_path / "options").write_text("")
    program = build / "src/cmd/musterd/musterd"
    text = script.read_text().replace("OPTIONS=\n", f"OPTIONS='--config {conf} --store {tmp_path}/store --socket {tmp_path}/run/control.sock'\n")
    own = tmp_path / "musterd.init"
    own.write_text(text)
    own.chmod(0o755)
    env = {"DAEMON": str(program), "PIDFILE": str(tmp_path / "run/musterd.pid")}
    assert run(own, "status", env=env).code != 0
    r = run(own, "start", env=env)
    assert r.code == 0, r
    try:
        pid = int((tmp_path / "run/musterd.pid").read_text())
        assert run(own, "status", env=env).code == 0
        assert run(own, "start", env=env).code == 0  # it runs already
        assert run(own, "reload", env=env).code == 0
        assert int((tmp_path / "run/musterd.pid").read_text()) == pid
    finally:
        r = run(own, "stop", env=env)
    assert r.code == 0 and not (tmp_path / "run/control.sock").exists(), r
    conf.write_text("[agent]\nnotify = nowhere\n")  # what is wrong is said on the console
    r = run(own, "start", env=env)
    assert r.code != 0 and "M706" in r.err, r


def test_init_script_knows_its_words(installed, tmp_path):
    script = find(installed, "musterd.init")
    assert "BEGIN INIT INFO" in script.read_text()
    r = run(script, env={"DAEMON": "/bin/true"})
    assert r.code == 2 and "start|stop|restart|reload|status" in r.err
    assert run(script, "status", env={"DAEMON": "/bin/sh", "PIDFILE": str(tmp_path / "none")}).code != 0


def words(cli, *line):  # noqa: F811
    r = cli("completion", "words", "--", *line)
    assert r.code == 0, r
    return r.out.split()


def test_completion_knows_commands_options_and_names(cli, tmp_path):  # noqa: F811
    assert cli.enroll("vpn").code == 0 and cli.enroll("web").code == 0
    conf = tmp_path / "muster.conf"
    conf.write_text('[ca "corp"]\nprotocol = scep\nurl = http://x/\n[certificate "gw"]\nca = corp\n[certificate "web"]\nca = corp\n')
    assert words(cli, "ren") == ["renew"]
    assert words(cli, "ca", "") == ["fetch", "list", "trust", "remove"]
    assert words(cli, "-q", "renew", "") == ["vpn", "web"] and words(cli, "renew", "v") == ["vpn"]
    assert words(cli, "renew", "vpn", "") == []
    assert words(cli, "ca", "remove", "") == ["demo-ca"]
    assert words(cli, "enroll", "x", "--ca-cert", "d") == ["demo-ca"]
    assert words(cli, "enroll", "x", "--client-cert", "w") == ["web"]
    assert words(cli, "enroll", "x", "--via", "") == ["scep", "est", "cmp"]
    assert words(cli, "enroll", "x", "--challenge-f") == ["--challenge-file", "--challenge-fd"]
    assert words(cli, "list", "--challenge-f") == []
    assert words(cli, "enroll", "x", "--challenge-file", "") == [":files"]
    assert words(cli, "install", "vpn", "") == [":files"]
    assert words(cli, "replace-pem", "--name", "") == ["vpn", "web"]
    assert words(cli, "--config", str(conf), "renew", "g") == []  # the line's own files are not read
    r = run(cli.muster, "--store", cli.store, "--config", conf, "completion", "words", "--", "enroll", "x", "--ca", "")
    assert r.out.split() == ["corp", "demo-ca"]
    r = run(cli.muster, "--store", cli.store, "--config", conf, "completion", "words", "--", "show", "")
    assert r.out.split() == ["gw", "web", "vpn"]
    assert cli("completion").code == 64 and cli("completion", "csh").code == 64


@pytest.fixture
def shell_env(cli, tmp_path):  # noqa: F811
    assert cli.enroll("vpn").code == 0
    d = tmp_path / "bin"
    d.mkdir()
    (d / "muster").symlink_to(cli.muster)
    return {"PATH": f"{d}:{os.environ['PATH']}", "MUSTER_STORE": str(cli.store), "HOME": str(tmp_path), "XDG_DATA_HOME": "", "ASAN_OPTIONS": "detect_leaks=0"}


def test_completion_in_bash(shell_env):
    script = 'eval "$(muster completion bash)"; t() { COMP_WORDS=(muster "$@"); COMP_CWORD=$#; _muster; echo "${COMPREPLY[*]}"; }; t renew v; t ca re; t install vpn ""'
    r = run(need("bash"), "-c", script, env=shell_env)
    assert r.out == "vpn\nremove\n\n", r


def test_completion_in_zsh(shell_env):
    script = 'compdef() { :; }; compadd() { shift; print -r -- "$@"; }; _files() { print files; }; eval "$(muster completion zsh)"; t() { words=(muster "$@"); CURRENT=$#words; _muster; }; t renew v; t ca re; t install vpn ""'
    r = run(need("zsh"), "-f", "-c", script, env=shell_env)
    assert r.out == "vpn\nremove\nfiles\n", r


def test_completion_in_fish(shell_env):
    script = 'muster completion fish | source; complete -C "muster renew v"; complete -C "muster ca re"'
    r = run(need("fish"), "--no-config", "-c", script, env=shell_env)
    assert r.out.split() == ["vpn", "remove"], r
