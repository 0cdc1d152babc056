"""--json against its schema (docs/json.md)."""
import json

import jsonschema
import pytest

from conftest import ROOT
from test_muster_cli import Cli, forger  # noqa: F401

SCHEMA = json.loads((ROOT / "docs/schema/muster-1.json").read_text())


@pytest.fixture
def cli(muster, demo, tmp_path):
    return Cli(muster, demo, tmp_path)


def valid(result, member):
    document = json.loads(result.out)
    jsonschema.Draft7Validator(SCHEMA).validate(document)
    assert member in document, document
    # the program prints nothing that is not described, and nothing described is missing
    items = document[member] if isinstance(document[member], list) else [document[member]]
    words = {"certificates": "certificate", "findings": "finding", "errors": "catalog", "error": "error", "events": "event", "traces": "trace"}
    for item in items:
        described = SCHEMA["definitions"][words[member]]["properties"]
        assert set(item) <= set(described), set(item) - set(described)
    return items


def test_json_is_as_its_schema_says(cli, forger):  # noqa: F811
    f = forger(fail_info=2)
    cli("ca", "trust", f.root)
    assert cli.enroll("fine").code == 0
    assert cli.enroll("no", url=f.url).code == 2
    assert cli.enroll("waits", "--no-wait", challenge=cli.challenge2).code == 5
    assert len(valid(cli("--json", "status"), "certificates")) == 3
    assert len(valid(cli("--json", "list"), "certificates")) == 3
    valid(cli("--json", "show", "fine"), "certificates")
    valid(cli("show", "fine", "--as", "json"), "certificates")
    assert len(valid(cli("--json", "log"), "events")) == 4
    valid(cli("--json", "doctor", "no"), "findings")
    assert len(valid(cli("--json", "errors"), "errors")) > 80
    assert len(valid(cli("--json", "trace", "fine"), "traces")) == 1
    valid(cli("--json", "trace", "nobody"), "error")
    valid(cli("--json", "show", "nobody"), "error")
    valid(cli("--json", "enroll", "no2", "--url", "http://127.0.0.1:1/scep"), "error")


def test_schema_itself_is_one(cli):
    jsonschema.Draft7Validator.check_schema(SCHEMA)
    assert len(SCHEMA["definitions"]["certificate"]["properties"]["state"]["enum"]) == 13
