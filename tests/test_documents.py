"""What the README and the documents name exists: commands and options, paths, links, API paths, settings, metrics.

What they tell to run is run here where it needs no fleet, and by tests/e2e/test_documented_commands.py.
"""

import os
import re
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import typer

from common.route_tables import route_tables
from gateways.cashfree.webhooks import read_signature, sign
from ops import monitoring_files
from tests import documented

ROOT = Path(__file__).resolve().parents[1]
# Decisions, notebooks and the changelog tell the past, with the names of their day.
PAST = ("docs/decisions", "docs/log", "docs/changelog")
# A recipe names what is to be written; this one is followed step by step by tests/test_add_a_service.py.
FOLLOWED = ROOT / "docs/recipes/add-a-service.md"
CODE = ("libs", "services", "ops", "sandbox", "loadtests", "tests", "traefik", "protos")
SUFFIXES = (".py", ".toml", ".yml", ".sh", ".proto", ".j2")


def documents() -> list[Path]:
    patterns = ("README.md", "*/README.md", "*/*/README.md", "docs/**/*.md")
    found = {path for pattern in patterns for path in ROOT.glob(pattern)}
    return sorted(path for path in found if not path.relative_to(ROOT).as_posix().startswith(PAST))


def code_of(document: Path) -> Iterator[str]:
    """Each inline code span and each line of a code block."""
    text = document.read_text()
    for block in re.findall(r"^```.*?\n(.*?)^```", text, flags=re.M | re.S):
        yield from block.splitlines()
    yield from re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```", "", text, flags=re.M | re.S))


def spans_of(document: Path) -> Iterator[str]:
    yield from re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```", "", document.read_text(), flags=re.M | re.S))


@cache
def code() -> str:
    """All code and configuration as one text."""
    files = [ROOT / name for name in ("Makefile", "pyproject.toml", "Dockerfile", "compose.yaml")]
    files += (ROOT / ".github/workflows").glob("*.yml")
    files += [path for folder in CODE for path in (ROOT / folder).rglob("*") if path.suffix in SUFFIXES]
    files = [path for path in files if path != Path(__file__) and ".venv" not in path.parts]
    return "\n".join(path.read_text() for path in files)


@cache
def words() -> frozenset[str]:
    return frozenset(re.findall(r"\w+", code()))


def command_line() -> Any:
    from ops.__main__ import app

    return typer.main.get_command(app)


@pytest.fixture(params=documents(), ids=lambda path: path.relative_to(ROOT).as_posix())
def document(request: pytest.FixtureRequest) -> Path:
    path: Path = request.param
    return path


def test_make_targets_exist(document: Path) -> None:
    targets = set(re.findall(r"^([a-z][a-z-]*):", (ROOT / "Makefile").read_text(), flags=re.M))
    for span in code_of(document):
        named = re.findall(r"(?:^|\s)make((?: [a-z][a-z-]*)+)", span.partition("#")[0])
        assert {target for several in named for target in several.split()} <= targets, span


def test_commands_and_their_options_exist(document: Path) -> None:
    for span in code_of(document):
        for called in re.findall(r"(?:^|[\s/])commdesk ([a-z][^#;|]*)", span.partition("  ")[0]):
            command, name = command_line(), "commdesk"
            names = called.split()
            while hasattr(command, "commands"):
                assert names, f"{name} needs a command: {span}"
                assert names[0] in command.commands, f"{name} has no command {names[0]}: {span}"
                name = names.pop(0)
                command = command.commands[name]
            takes_all = command.context_settings.get("ignore_unknown_options", False)
            options = {option for parameter in command.params for option in parameter.opts}
            named = set(re.findall(r"(?<!\S)\[?(--?[a-z][a-z-]*)", " ".join(names)))
            assert takes_all or named <= options, f"{name} has no option {named - options}: {span}"


def test_modules_that_are_run_exist(document: Path) -> None:
    if document == FOLLOWED:
        return
    for span in code_of(document):
        for module in re.findall(r"python -m ([\w.]+)", span):
            assert find_spec(module) is not None or (ROOT / module.replace(".", "/")).exists(), span


def test_links_lead_somewhere(document: Path) -> None:
    for target in re.findall(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)", document.read_text()):
        assert (document.parent / target).exists(), target


def test_paths_exist(document: Path) -> None:
    if document == FOLLOWED:
        return
    is_recipe = document.parent == FOLLOWED.parent
    bases = [
        ROOT,
        document.parent,
        *ROOT.glob("*/src"),
        *ROOT.glob("*/*/src"),
        *ROOT.glob("services/*"),
        *document.parent.glob("src/*"),
        ROOT / ".github/workflows",
    ]
    for span in spans_of(document):
        path = re.split(r"[<{*…]", span)[0].rstrip("/")
        named = "/" in span or path.endswith((*SUFFIXES, ".md", ".json", ".lock"))
        if not named or not re.fullmatch(r"[a-z][\w.-]*(?:/[\w.-]+)*", path):
            continue
        if any((base / path).exists() for base in bases) or any(document.parent.rglob(path)):
            continue
        if is_recipe and not (ROOT / path).parent.exists() and (ROOT / path.partition("/")[0]).exists():
            raise AssertionError(f"there is no folder for {span}")
        if is_recipe:
            continue
        # What a run writes is named in the code that writes it.
        assert Path(path).name in code(), span


def test_api_paths_are_served(document: Path) -> None:
    if document.parent == FOLLOWED.parent:
        return
    served = {(row.method, re.sub(r"{[^}]*}", "{}", row.path)) for rows in route_tables().values() for row in rows}
    for span in code_of(document):
        for method, path in re.findall(r"\b(GET|POST|PUT|PATCH|DELETE) (/api/v1/[\w/{}.-]+)", span):
            assert (method, re.sub(r"{[^}]*}", "{}", path.rstrip("/"))) in served, span


def test_settings_exist(document: Path) -> None:
    for span in spans_of(document):
        for name in re.findall(r"(?<![\w.])([A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+)(?![\w])", span):
            assert name in words() or name.lower() in words(), span


def test_metrics_exist(document: Path) -> None:
    exported = (ROOT / "docs/reference/metrics.md").read_text()
    named = {name for span in spans_of(document) for name in re.findall(r"\bcommdesk_[a-z_]+[a-z]\b", span)}
    # A histogram is three series.
    missing = {name for name in named if f"`{re.sub('_(count|sum|bucket)$', '', name)}`" not in exported}
    assert missing == set()


@pytest.mark.parametrize(("expression", "page"), sorted(documented.expressions()))
def test_queries_of_the_runbooks_are_of_metrics_that_exist(expression: str, page: str) -> None:
    exported = monitoring_files.exported_labels()
    for selector in monitoring_files.selectors(expression):
        assert selector.name in exported, f"{page}: {selector.name}"
        assert not selector.labels - exported[selector.name], f"{page}: {selector.labels}"


def test_the_signature_that_troubleshooting_computes_is_the_gateways() -> None:
    """The command is run as it stands, over a body that a careless reader or writer would change."""
    [command] = documented.blocks(ROOT / "docs/operating/troubleshooting/signature-mismatch.md")
    body, timestamp, secret = (
        b'{"order":  {"amount": 500.00, "name": "\xe0\xae\xae"}}',
        "1764300000000",
        "cfsk_ma_test_secret",
    )
    given = read_signature({"x-webhook-timestamp": timestamp, "x-webhook-signature": "of the webhook"})
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "body.json").write_bytes(body)
        environment = {"PATH": os.environ["PATH"], "TIMESTAMP": timestamp, "SECRET": secret}
        completed = subprocess.run(
            ["bash", "-c", command], cwd=folder, env=environment, capture_output=True, check=True
        )
    assert completed.stdout.decode().strip() == sign(secret.encode(), given, body)


def test_the_users_of_redis_are_printed_as_documented() -> None:
    [command] = [block for block in documented.blocks(ROOT / "docs/operating/redis.md") if "redis_users" in block]
    command = command.replace("…", "a-password-of-a-test").replace("python", shlex.quote(sys.executable))
    printed = subprocess.run(["bash", "-c", command], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert {line.split()[1] for line in printed.splitlines() if line.startswith("user ")} == {
        "payment",
        "webhook-ingest",
        "identity",
    }
