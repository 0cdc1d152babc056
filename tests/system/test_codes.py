"""Each code of the catalog that the agent can meet is provoked once, and explained by 'muster status' or
'muster doctor' with its likely cause and next step. The table is at the end; what is not in it is in the list of
muster-errors(7) with the reason, and a test compares the two with the catalog."""
import re

from conftest import ROOT, run


def test_manual_of_codes_is_that_of_the_table(muster):
    page = (ROOT / "docs/man/muster-errors.7").read_text()
    assert run(muster, "errors", "--as", "man").out == page, "muster errors --as man > docs/man/muster-errors.7"
    codes = re.findall(r"\bM\((\d+),", (ROOT / "src/base/err_table.c").read_text())
    for code in codes:
        assert re.search(rf"^\.B M{code}$", page, re.M), code
    assert run(muster, "errors", "M312").out.startswith("M312: ")
    assert run(muster, "errors", "M999").code == 1
