import subprocess
from pathlib import Path

import openapi_spec_validator
import pytest

from common import api_reference, openapi
from ops import contract_reference, reference
from ops.ports import ROOT

PAGES = reference.pages()


@pytest.mark.parametrize("path", [*PAGES])
def test_the_reference_is_what_the_code_says(path: str) -> None:
    assert (ROOT / path).read_bytes() == PAGES[path], "stale: run `make reference`"


def test_the_document_is_valid_and_lies_with_the_reference() -> None:
    openapi_spec_validator.validate(api_reference.document())
    assert (ROOT / "docs/reference/openapi.json").samefile(ROOT / reference.OPENAPI)


def test_every_operation_says_what_it_does() -> None:
    for path, operations in api_reference.document()["paths"].items():
        for method, operation in operations.items():
            assert operation["summary"], f"{method} {path}: the endpoint has no docstring"


def settings_rows() -> list[list[str]]:
    """Section, variables, default, demand of production and meaning of each row of the page."""
    rows = []
    for section in contract_reference.settings_page().split("\n## ")[1:]:
        name, *lines = section.splitlines()
        table = [line.strip("|").split(" | ") for line in lines if line.startswith("| `")]
        rows += [[name, *(cell.strip() for cell in cells)] for cells in table]
    return rows


def test_every_setting_says_what_it_does() -> None:
    rows = settings_rows()
    assert len(rows) > 90
    for service, variables, default, demand, meaning in rows:
        assert default, f"{variables} of {service}"
        assert demand, f"{variables} of {service}"
        assert meaning, f"{variables} of {service}: the field has no comment above it"


def test_a_duration_is_shown_as_it_is_read() -> None:
    defaults = {variables: default for service, variables, default, *_ in settings_rows() if service == "identity"}
    assert defaults["`TOKEN_EXPIRY`, `TOKEN_LIFE`"] == "`15m`"
    assert defaults["`REFRESH_EXPIRY`, `REFRESH_LIFE`"] == "`30d`"


def test_another_default_of_a_common_setting_is_shown() -> None:
    defaults = {
        service: default for service, variables, default, *_ in settings_rows() if variables == "`IN_FLIGHT_MAX`"
    }
    assert defaults == {"Every service": "`2000`", "webhook-ingest": "`96`"}


def commit(root: Path, document: bytes | None) -> None:
    git = ["git", "-C", str(root), "-c", "user.name=a", "-c", "user.email=a@example.com"]
    if document is not None:
        (root / reference.OPENAPI).parent.mkdir(parents=True, exist_ok=True)
        (root / reference.OPENAPI).write_bytes(document)
    subprocess.run([*git, "add", "."], check=True)
    subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", "x"], check=True)


def test_a_document_is_compared_with_that_of_a_revision(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    commit(tmp_path, None)
    assert reference.breaking_changes("HEAD", tmp_path) == []
    document = api_reference.document()
    commit(tmp_path, openapi.encoded(document))
    assert reference.breaking_changes("HEAD", tmp_path) == []
    document["paths"]["/gone"] = {"get": {"operationId": "gone", "responses": {}}}
    commit(tmp_path, openapi.encoded(document))
    assert reference.breaking_changes("HEAD", tmp_path) == ["GET /gone: the path is gone"]
    with pytest.raises(subprocess.CalledProcessError):
        reference.breaking_changes("nowhere", tmp_path)
