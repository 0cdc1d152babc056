"""Metrics of the store and the alert rules for them (PRODUCT "Metrics")."""
import re

import pytest
import yaml

from conftest import ROOT
from test_muster_cli import Cli, forger  # noqa: F401

SAMPLE = re.compile(r'^([a-z_]+)(?:\{((?:[a-z]+="(?:[^"\\\n]|\\["\\n])*",?)+)\})? (-?\d+(?:\.\d+)?)$')


@pytest.fixture
def cli(muster, demo, tmp_path):
    return Cli(muster, demo, tmp_path)


def samples(text):
    """(metric, labels, value); each line is what the format allows, each family stands together."""
    found, families = [], []
    for line in text.splitlines():
        if line.startswith("# TYPE "):
            families.append(line.split()[2])
            continue
        if line.startswith("# HELP "):
            continue
        m = SAMPLE.match(line)
        assert m, line
        assert m.group(1) == families[-1], line
        found.append((m.group(1), dict(re.findall(r'([a-z]+)="((?:[^"\\]|\\.)*)"', m.group(2) or "")), float(m.group(3))))
    assert len(families) == len(set(families))
    return found, set(families)


def test_metrics_of_a_store(cli, forger):  # noqa: F811
    f = forger(fail_info=2)
    cli("ca", "trust", f.root)
    assert cli.enroll("web").code == 0
    for _ in range(2):
        assert cli.enroll("no", url=f.url).code == 2
    r = cli("metrics")
    assert r.code == 0, r
    found, families = samples(r.out)
    values = {(m, labels.get("name"), labels.get("state")): v for m, labels, v in found}
    assert values["muster_certificate_state", "web", "OK"] == 1
    assert values["muster_certificate_state", "no", "REJECTED"] == 1
    assert values["muster_certificate_consecutive_failures", "no", None] == 2
    assert values["muster_certificate_consecutive_failures", "web", None] == 0
    end = values["muster_certificate_not_after_timestamp_seconds", "web", None]
    assert end > values["muster_certificate_renewal_timestamp_seconds", "web", None] > values[
        "muster_certificate_not_before_timestamp_seconds", "web", None]
    skew = [v for m, labels, v in found if m == "muster_clock_skew_seconds"]
    assert skew and all(abs(v) < 5 for v in skew), found
    assert ("muster_ca_not_after_timestamp_seconds", "demo-ca") in {(m, labels.get("ca")) for m, labels, _ in found}


def test_alert_rules_name_metrics_that_exist(cli):
    rules = yaml.safe_load((ROOT / "share/prometheus/muster.rules.yml").read_text())
    assert cli.enroll("web").code == 0
    _, families = samples(cli("metrics").out)
    alerts = [r for g in rules["groups"] for r in g["rules"]]
    assert len(alerts) >= 6
    for rule in alerts:
        assert rule["alert"] and rule["labels"]["severity"] in ("warning", "critical")
        assert rule["annotations"]["summary"] and rule["annotations"]["description"]
        for metric in re.findall(r"muster_[a-z_]+", rule["expr"]):
            assert metric in families, metric
