"""scep_replace_pem: rows R037 to R043, R055's place for it, and what may not be written through."""
import os
import stat
import subprocess

import pytest
from conftest import run
from test_muster_cli import cli  # noqa: F401  (a fixture)

OLD = "-----BEGIN X-----\nMIIA\n-----END X-----"
SETTINGS = f"""# IPSEC_LOCAL_KEY="never"
IPSEC_ENABLED=1
export IPSEC_LOCAL_KEY="{OLD}"
IPSEC_LOCAL_CERT="{OLD}
"
IPSEC_SECRET='a"b'
"""


@pytest.fixture
def tool(muster, tmp_path):
    link = tmp_path / "bin" / "scep_replace_pem"
    link.parent.mkdir()
    link.symlink_to(muster)
    return link


@pytest.fixture
def settings(tmp_path):
    d = tmp_path / "etc"
    d.mkdir()
    f = d / "settings.ipsec"
    f.write_text(SETTINGS)
    f.chmod(0o640)
    return f


def hook_env(cli, name):
    d = cli.store / "certs" / name
    serial = os.readlink(d / "current").rsplit("/", 1)[1]
    return {"MUSTER_NAME": name, "MUSTER_CERT": str(d / f"{serial}.crt"), "MUSTER_KEY": str(d / f"{serial}.key")}


def value(file, param):
    return subprocess.run(["sh", "-c", f'. "{file}"; printf %s "${param}"'], capture_output=True, text=True, check=True).stdout


def test_R038_R040_R041_R043_the_two_pair_example(cli, tool, settings):  # noqa: F811
    assert cli.enroll("gw").code == 0
    os.chown(settings, 1, 2)
    before = settings.stat().st_ino
    env = hook_env(cli, "gw")
    r = run(tool, settings, "IPSEC_LOCAL_KEY", "pkey", "IPSEC_LOCAL_CERT", "cert", env=env)
    assert r.code == 0 and r.out == "" and r.err == "", r
    key, cert = cli.file("gw", "latest.key").read_text(), cli.file("gw").read_text()
    assert value(settings, "IPSEC_LOCAL_KEY") == key.rstrip("\n") and value(settings, "IPSEC_LOCAL_CERT") == cert
    now = settings.read_text()
    assert now.replace(key.rstrip("\n"), OLD).replace(cert.rstrip("\n"), OLD) == SETTINGS
    st = settings.stat()
    assert (st.st_uid, st.st_gid, stat.S_IMODE(st.st_mode)) == (1, 2, 0o640) and st.st_ino != before
    assert [p.name for p in settings.parent.iterdir()] == ["settings.ipsec"]
    r = run(tool, settings, "IPSEC_LOCAL_KEY", "pkey", env=env)
    assert r.code == 0 and settings.stat().st_ino == st.st_ino, "nothing to change, nothing written"


def test_R038_usage_relative_paths_and_whose_files(cli, tool, settings):  # noqa: F811
    r = run(tool)
    assert r.code == 64 and "usage: scep_replace_pem" in r.err, r
    r = run(tool, settings)
    assert r.code == 64, r
    r = run(tool, settings, "IPSEC_LOCAL_KEY", "pkey", "IPSEC_LOCAL_CERT")
    assert r.code == 64 and "needs its kind" in r.err, r
    r = run(tool, settings, "IPSEC_LOCAL_KEY", "key")
    assert r.code == 64 and "pkey and cert" in r.err, r
    assert cli.enroll("one").code == 0
    r = run(tool, "--store", cli.store, "settings.ipsec", "IPSEC_LOCAL_CERT", "cert", cwd=settings.parent)
    assert r.code == 0 and str(settings) in r.err, r
    assert value(settings, "IPSEC_LOCAL_CERT") == cli.file("one").read_text()
    assert cli.enroll("two").code == 0
    r = cli("replace-pem", settings, "IPSEC_LOCAL_CERT", "cert")
    assert r.code != 0 and "--name" in r.err, r
    assert value(settings, "IPSEC_LOCAL_CERT") == cli.file("one").read_text()
    r = cli("replace-pem", "--name", "two", settings, "IPSEC_LOCAL_CERT", "cert")
    assert r.code == 0 and value(settings, "IPSEC_LOCAL_CERT") == cli.file("two").read_text(), r
    for name in ("../certs/one", "/etc", ".", "none"):
        r = cli("replace-pem", "--name", name, settings, "IPSEC_LOCAL_CERT", "cert")
        assert r.code != 0 and value(settings, "IPSEC_LOCAL_CERT") == cli.file("two").read_text(), r


def test_R040_an_unknown_parameter_or_form_leaves_the_file_M903(cli, tool, settings):  # noqa: F811
    assert cli.enroll("gw").code == 0
    env = hook_env(cli, "gw")
    r = run(tool, settings, "IPSEC_LOCAL_CERT", "cert", "IPSEC_LOCALKEY", "pkey", env=env)
    assert r.code == 6 and "M903" in r.err and "IPSEC_LOCAL_KEY" in r.err and str(settings) in r.err, r
    assert settings.read_text() == SETTINGS
    r = run(tool, settings, "IPSEC_LOCAL_CERT", "cert", "IPSEC_ENABLED", "pkey", env=env)
    assert r.code != 0 and "another form" in r.err and settings.read_text() == SETTINGS, r


def test_base64_forms_are_kept(cli, tool, settings):  # noqa: F811
    assert cli.enroll("gw").code == 0
    settings.write_text("A=MIIA\nB=LS0tLS1CRUdJTiBYLS0tLS0KQUFBQQotLS0tLUVORCBYLS0tLS0K\n")
    assert run(tool, settings, "A", "cert", "B", "pkey", env=hook_env(cli, "gw")).code == 0
    cert = "".join(cli.file("gw").read_text().split("\n")[1:-2])
    assert value(settings, "A") == cert
    pem = subprocess.run(["base64", "-d"], input=value(settings, "B"), capture_output=True, text=True, check=True).stdout
    assert pem == cli.file("gw", "latest.key").read_text()


def test_no_link_leads_out_of_the_place(cli, tool, settings, tmp_path):  # noqa: F811
    assert cli.enroll("gw").code == 0
    other = tmp_path / "other"
    other.write_text(SETTINGS)
    link = settings.parent / "link"
    link.symlink_to("../other")
    r = run(tool, link, "IPSEC_LOCAL_KEY", "pkey", env=hook_env(cli, "gw"))
    assert r.code == 6 and "M702" in r.err and "not followed" in r.err, r
    assert other.read_text() == SETTINGS and link.is_symlink()
    link.unlink()
    link.symlink_to("settings.ipsec")
    assert run(tool, link, "IPSEC_LOCAL_KEY", "pkey", env=hook_env(cli, "gw")).code == 0
    assert link.is_symlink() and value(settings, "IPSEC_LOCAL_KEY") + "\n" == cli.file("gw", "latest.key").read_text()


def test_two_at_once_lose_nothing(cli, tool, settings):  # noqa: F811
    assert cli.enroll("a").code == 0 and cli.enroll("b").code == 0
    for _ in range(5):
        settings.write_text(SETTINGS)
        jobs = [subprocess.Popen([tool, settings, p, "cert"], env={**os.environ, **hook_env(cli, n)})
                for n, p in (("a", "IPSEC_LOCAL_KEY"), ("b", "IPSEC_LOCAL_CERT"))]
        assert [j.wait(60) for j in jobs] == [0, 0]
        assert value(settings, "IPSEC_LOCAL_KEY") + "\n" == cli.file("a").read_text()
        assert value(settings, "IPSEC_LOCAL_CERT") == cli.file("b").read_text()


def test_R037_without_a_script_no_other_file_changes(cli, settings, tmp_path):  # noqa: F811
    before = {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*") if cli.store not in p.parents and p.is_file()}
    assert cli.enroll("gw").code == 0 and cli("renew", "gw", "--force").code == 0
    assert before == {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*") if cli.store not in p.parents and p.is_file()}
