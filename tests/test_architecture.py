"""The layout and the rules of the house, checked rather than remembered."""

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from common.services import SERVICES as LISTED
from common.topology import CONTRACT

ROOT = Path(__file__).resolve().parents[1]
SERVICES = sorted(path.parent for path in ROOT.glob("services/*/pyproject.toml"))
NAMES = {service.name.replace("-", "_") for service in SERVICES}
# What a service's package may hold; a module may be a package of the same name.
LAYOUT = {
    "__init__", "__main__", "settings", "domain", "use_cases", "store", "wire", "servicer", "routes", "consumers",
    "gateways", "migrations", "py",
}  # fmt: skip
# A service may add a module for a noun of its own that is none of those; each has its reason.
OWN_NOUNS = {
    "fraud": {"in_flight"},  # requests that are scored and not announced yet: memory, not a store
    "identity": {"accounts", "issuer", "passwords"},  # what signs tokens and what hashes, beside the domain
    "notifier": {"rendering", "templates"},  # mails to bytes, and their texts
}
HEADINGS = ["## Owns", "## Interfaces", "## States", "## Tables", "## When it fails"]
# What a domain may not import.
IMPURE = {"asyncio", "random", "secrets", "time", "sqlalchemy", "asyncpg", "aiohttp", "grpc", "redis", "aio_pika"}
# Names a file that is only glue between others.
FORBIDDEN_NAMES = {"utils", "helpers", "manager", "base", "misc", "common_utils"}


def package(service: Path) -> Path:
    return service / "src" / service.name.replace("-", "_")


def sources(folder: Path) -> Iterator[Path]:
    yield from sorted(path for path in folder.rglob("*.py") if "gen" not in path.parts)


def imports(module: Path) -> set[str]:
    """The top-level names that a module imports."""
    found = set()
    for node in ast.walk(ast.parse(module.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module.partition(".")[0])
    return found


@pytest.mark.parametrize("service", SERVICES, ids=lambda path: path.name)
def test_services_meet_only_over_the_wire(service: Path) -> None:
    others = NAMES - {service.name.replace("-", "_")} | {"sandbox", "ops"}
    for module in sources(service):
        assert not imports(module) & others, module


def test_common_knows_no_service() -> None:
    for module in sources(ROOT / "libs/common/src"):
        assert not imports(module) & (NAMES | {"sandbox", "ops"}), module


def test_the_sandbox_knows_nothing_of_the_product() -> None:
    for module in sources(ROOT / "sandbox/src"):
        assert not imports(module) & (NAMES | {"common", "commdesk", "ops"}), module


@pytest.mark.parametrize("service", SERVICES, ids=lambda path: path.name)
def test_every_service_has_the_one_shape(service: Path) -> None:
    found = {
        path.stem
        for path in package(service).iterdir()
        if path.suffix in (".py", ".typed") or (path.is_dir() and path.name != "__pycache__")
    }
    assert found <= LAYOUT | OWN_NOUNS.get(service.name, set())
    assert {"__init__", "__main__", "settings", "domain", "use_cases", "store", "migrations"} <= found


@pytest.mark.parametrize("service", SERVICES, ids=lambda path: path.name)
def test_every_service_tells_the_same_five_things(service: Path) -> None:
    text = (service / "README.md").read_text().replace("## Doors", "## Interfaces")
    assert [line for line in text.splitlines() if line.startswith("## ")] == HEADINGS


@pytest.mark.parametrize("service", SERVICES, ids=lambda path: path.name)
def test_a_domain_is_pure(service: Path) -> None:
    root = package(service)
    modules = [root / "domain.py"] if (root / "domain.py").exists() else list(sources(root / "domain"))
    assert modules
    for module in modules:
        tree = ast.parse(module.read_text())
        assert not any(isinstance(node, ast.Await | ast.AsyncFunctionDef) for node in ast.walk(tree)), module
        assert not imports(module) & IMPURE, module
        reads_clock = re.search(r"datetime\.(now|utcnow|today)\(|date\.today\(", module.read_text())
        assert not reads_clock, module


@pytest.mark.parametrize("service", SERVICES, ids=lambda path: path.name)
def test_no_float_comes_near_money(service: Path) -> None:
    for module in sources(package(service)):
        if "domain" in module.parts or module.stem in ("domain", "use_cases"):
            tree = ast.parse(module.read_text())
            calls = [n for n in ast.walk(tree) if isinstance(n, ast.Call) and getattr(n.func, "id", "") == "float"]
            assert not calls, module


@pytest.mark.parametrize("service", SERVICES, ids=lambda path: path.name)
def test_sql_stands_in_the_store_alone(service: Path) -> None:
    allowed = {"store", "migrations"}
    sql = re.compile(r"\b(select\s.+\sfrom|insert into|update \w+\s+set|delete from)\b", re.IGNORECASE)
    for module in sources(package(service)):
        if allowed & {*module.parts, module.stem}:
            continue
        for node in ast.walk(ast.parse(module.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and "\n" in node.value:
                docstring = node.value.strip().endswith((".", ":", ")"))
                assert docstring or not sql.search(node.value), (module, node.lineno)


def test_no_module_is_named_after_nothing() -> None:
    for folder in ("libs", "services", "sandbox", "ops", "loadtests"):
        for module in sources(ROOT / folder):
            assert module.stem not in FORBIDDEN_NAMES, module


def test_there_is_one_list_of_services() -> None:
    assert {service.name for service in SERVICES} == set(LISTED)
    with_migrations = {service.name for service in SERVICES if any(package(service).glob("migrations/0*.py"))}
    assert with_migrations == {name for name, row in LISTED.items() if row.database}


def test_the_readme_shows_the_list_of_services() -> None:
    from ops import service_table

    readme = (ROOT / "README.md").read_text()
    assert service_table.with_table(readme, ROOT) == readme, "run `make proto`"


def test_every_service_in_the_contract_exists() -> None:
    folders = set(LISTED)
    assert {queue.owner for queue in CONTRACT.queues} <= folders
    assert {producer for event in CONTRACT.events.values() for producer in event.producers} - {"*"} <= folders


@pytest.mark.parametrize("service", SERVICES, ids=lambda path: path.name)
def test_a_service_handles_every_key_that_its_queues_are_bound_to(service: Path) -> None:
    """A key without a handler would fill the dead letters."""
    from common.topology import matches

    modules = (package(service) / "consumers.py", *sources(package(service) / "consumers"))
    text = "".join(module.read_text() for module in modules if module.exists())
    for queue in CONTRACT.queues_of(service.name):
        for exchange, pattern in queue.bindings:
            for event in CONTRACT.events.values():
                key = event.key.replace("{gateway}", "cashfree")
                if event.exchange == exchange and matches(pattern, key):
                    assert event.type.rpartition(".")[2] in text, (queue.name, event.type)


@pytest.mark.parametrize(
    "manifest", sorted(ROOT.glob("*/pyproject.toml")) + sorted(ROOT.glob("*/*/pyproject.toml")), ids=str
)
def test_a_distribution_is_named_after_its_folder(manifest: Path) -> None:
    name = tomllib.loads(manifest.read_text())["project"]["name"]
    assert name == f"commdesk-{manifest.parent.name}"


def test_generated_code_is_what_the_sources_generate(tmp_path: Path) -> None:
    copy = tmp_path / "protos"
    subprocess.run(["cp", "-r", ROOT / "protos", copy], check=True)
    subprocess.run([copy / "generate.sh"], check=True, env={"PYTHON": sys.executable, "PATH": "/usr/bin:/bin"})
    difference = subprocess.run(
        ["diff", "-r", "-x", "__pycache__", ROOT / "protos/gen", copy / "gen"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert difference.stdout == "", "run `make proto`"


def test_the_wire_is_linted() -> None:
    buf = Path(sys.executable).with_name("buf")
    outcome = subprocess.run([buf, "lint"], cwd=ROOT / "protos", capture_output=True, text=True, check=False)
    assert outcome.returncode == 0, outcome.stdout


def test_nothing_of_this_machine_is_in_the_tree() -> None:
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    names = re.compile(r"/root/|/home/\w+/|pypi\.org|pythonhosted|registry\.npmjs|deb\.debian\.org")
    for name in tracked:
        path = ROOT / name
        if name == "tests/test_architecture.py" or not path.is_file() or path.suffix in (".png",):
            continue
        found = names.search(path.read_text(errors="replace"))
        assert not found, (name, found)
