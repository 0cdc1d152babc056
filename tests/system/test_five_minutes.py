"""README's way from installation to a certificate that renews itself, typed on a machine that has seen nothing."""
import re
import time

from conftest import ROOT, run

FRESH = ROOT / "tests/system/fresh.sh"


def test_from_installation_to_a_self_renewing_nginx_certificate_in_five_minutes():
    began = time.monotonic()
    r = run(FRESH, ROOT, "script/first-five-minutes", "300", timeout=360)
    assert r.code == 0, r
    serials = re.findall(r"^nginx shows serial=([0-9A-F]+) after \d+ s", r.out, re.M)
    assert len(serials) == 2 and serials[0] != serials[1] and "renewed by itself" in r.out, r
    assert time.monotonic() - began < 300
