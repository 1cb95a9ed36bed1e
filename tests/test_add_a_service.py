"""docs/recipes/add-a-service.md is enough: architecture suite, stack and edge accept what it adds."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
RECIPE = "docs/recipes/add-a-service.md"
# In the copy: everything that enumerates services, asked for the new one.
DERIVED = """
import re
from pathlib import Path
from common import bootstrap, topology
from common.services import SCHEMAS, SERVICES
from ops import edge_routes, fleet, service_table
from ops.credentials import load_or_generate
from ops.ports import ROOT, Layout
from price_list.__main__ import service

credentials = load_or_generate(Path("secrets.json"))
layout = Layout(Path("run"), 18000)
environment = fleet.service_environment(layout, credentials, "price-list", {})
assert "price_list" in SCHEMAS
assert {"price_list", "price_list_owner"} <= set(credentials.database)
assert "price_list" in bootstrap.services_of(credentials.database)
assert "price-list" in credentials.broker and "price-list" in credentials.public_keys()
# It consumes and announces nothing yet: all that it may make is its own queue for revocations.
[transient] = topology.CONTRACT.transients_of("price-list")
own = re.escape(transient.prefix("price-list")) + "[0-9a-f]{16}"
assert topology.rights("price-list", [])["configure"] == f"^({own})$"
assert environment["DATABASE_URL"].startswith("postgresql://price_list:")
assert environment["PRICE_LIST_ADDRESS"] == "127.0.0.1:18037"
assert "wallet" in SERVICES and environment["WALLET_ADDRESS"] == "127.0.0.1:18023"
assert "service: price-list" in edge_routes.configuration()
assert "api/v1|v1/api)/(?:prices)" in edge_routes.configuration()
assert "[price-list](services/price-list/README.md)" in service_table.table(ROOT)
composed = (ROOT / "compose.yaml").read_text()
assert "price-list:9000" in composed
assert "  price-list-migrate:" in composed.splitlines() and "  price-list:" in composed.splitlines()
"""


def files(recipe: str) -> Iterator[tuple[str, str]]:
    """Each code block that is preceded by the path of a file."""
    yield from re.findall(r"^`([\w./-]+)`\n\n```\w*\n(.*?)^```$", recipe, flags=re.M | re.S)


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The repository with the recipe's service in it."""
    copy = tmp_path_factory.mktemp("copy")
    listing = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    tracked = subprocess.run(listing, cwd=ROOT, capture_output=True, check=True).stdout
    subprocess.run(
        [
            "cp",
            "--parents",
            "-P",
            "-t",
            copy,
            *(path for path in tracked.decode().split("\0")[:-1] if (ROOT / path).exists()),
        ],
        cwd=ROOT,
        check=True,
    )
    recipe = (copy / RECIPE).read_text()
    row = re.search(r"^```toml\n(\[price-list\]\n.*?)^```$", recipe, flags=re.M | re.S)
    assert row is not None
    with (copy / "protos/services.toml").open("a") as services:
        services.write("\n" + row[1])
    for path, content in files(recipe):
        (copy / path).parent.mkdir(parents=True, exist_ok=True)
        (copy / path).write_text(content)
    for command in (
        ["protos/generate.sh"],
        [sys.executable, "-m", "ops.service_table"],
        [sys.executable, "-m", "ops.edge_routes"],
        [sys.executable, "-m", "ops.chart_tables"],
        [sys.executable, "-m", "ops.compose_file"],
        ["git", "init", "-q"],
        ["git", "add", "."],
    ):
        subprocess.run(command, cwd=copy, env=environment(copy), check=True)
    return copy


def environment(copy: Path) -> dict[str, str]:
    """Where the copy's own code goes before the code that is installed."""
    sources = ["protos/gen", "ops/src", "sandbox/src", "loadtests/src"]
    paths = [str(copy / source) for source in sources]
    paths += [str(path) for pattern in ("libs/*/src", "services/*/src") for path in sorted(copy.glob(pattern))]
    return {"PATH": os.environ["PATH"], "PYTHON": sys.executable, "PYTHONPATH": os.pathsep.join(paths)}


def test_the_architecture_suite_accepts_it(copy: Path) -> None:
    suite = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-q"),
            *("tests/test_architecture.py", "ops/tests/unit/test_edge_routes.py", "ops/tests/unit/test_ports.py"),
        ],
        cwd=copy,
        env=environment(copy),
        capture_output=True,
        text=True,
        check=False,
    )
    assert suite.returncode == 0, suite.stdout[-4000:] + suite.stderr[-2000:]
    assert "price-list" in (copy / "README.md").read_text()


def test_stack_bootstrap_and_edge_derive_from_it(copy: Path) -> None:
    derived = subprocess.run(
        [sys.executable, "-c", DERIVED], cwd=copy, env=environment(copy), capture_output=True, text=True, check=False
    )
    assert derived.returncode == 0, derived.stderr[-2000:]


def test_the_chart_deploys_it(copy: Path) -> None:
    tests = ("tests/chart/test_policy.py", "tests/chart/test_settings.py", "ops/tests/unit/test_chart_tables.py")
    suite = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", *tests, "-k", "in-cluster or generated"],
        cwd=copy,
        env=environment(copy),
        capture_output=True,
        text=True,
        check=False,
    )
    assert suite.returncode == 0, suite.stdout[-4000:] + suite.stderr[-2000:]
    assert "price-list: { resources:" in (copy / "helm/values.yaml").read_text()
