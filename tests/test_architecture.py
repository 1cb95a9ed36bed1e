"""The layout and the rules of the house, checked rather than remembered."""

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from common.authorization import REFUSALS
from common.permissions import TABLE
from common.route_tables import route_table, route_tables
from common.services import SERVICES as LISTED
from common.tokens.roles import MEMBER_ROLES
from common.topology import CONTRACT

ROOT = Path(__file__).resolve().parents[1]
SERVICES = sorted(path.parent for path in ROOT.glob("services/*/pyproject.toml"))
NAMES = {service.name.replace("-", "_") for service in SERVICES}
GATEWAYS = ROOT / "libs/gateways/src/gateways"
PROVIDERS = sorted(folder.name for folder in GATEWAYS.iterdir() if (folder / "__init__.py").is_file())
PRODUCT = sorted([*ROOT.glob("libs/*/src"), *ROOT.glob("services/*/src")])
# What a service's package may hold; a module may be a package of the same name.
LAYOUT = {
    "__init__", "__main__", "settings", "domain", "use_cases", "store", "wire", "servicer", "routes", "consumers",
    "gateways", "migrations",
}  # fmt: skip
REQUIRED = {"__init__", "__main__", "settings", "domain", "use_cases"}
# A service may add a module for a noun of its own that is none of those; each has its reason.
OWN_NOUNS = {
    "fraud": {"in_flight"},  # requests that are scored and not announced yet: memory, not a store
    "identity": {
        "issuer",
        "passwords",
        "account_mail_routes",
        "api_key_routes",
        "second_factor_routes",
        "merchant_routes",
        "member_routes",
    },  # signs tokens, hashes; routes
    "ledger": {"anchors", "signing"},  # heads outside the database, a folder or a bucket; their signatures
    "notifier": {"rendering", "templates"},  # mails to bytes, and their texts
    "payment": {
        "batch_routes",
        "settlement_routes",
        "dispute_routes",
        "merchant_order_routes",
        "refund_routes",
        "routing_routes",
        "routing_servicer",
    },  # routes of their own
}
HEADINGS = ["## Owns", "## Interfaces", "## States", "## Tables", "## When it fails"]
# Staff start these, and they move neither money nor rights: a run compares, and republishes what was published before;
# a dry run posts nothing.
ACTS_WITHOUT_EFFECT = {
    "/api/v1/refunds/preview",
    "/api/v1/reconciliation/runs",
    # Notes, owners and decisions about a difference: they are audited, and move neither money nor rights.
    *(f"/api/v1/reconciliation/cases/{{caseId}}/{act}" for act in ("assign", "notes", "resolve", "rerun")),
    "/api/v1/reconciliation/closes",
    "/api/v1/reconciliation/statements",
    "/api/v1/ledger/journals/preview",
    "/api/v1/ledger/events/preview",
}
# What a domain may not import.
IMPURE = {"asyncio", "random", "secrets", "time", "sqlalchemy", "asyncpg", "aiohttp", "grpc", "redis", "aio_pika"}
# Who calls without being a service of ours: the command line, and the product that sells what credits buy.
OUTSIDE = {"operator", "community-api"}
# Names of a file that is only glue between others.
FORBIDDEN_NAMES = {"utils", "helpers", "manager", "base", "misc", "common_utils"}
# A module is named by a noun; these gerunds are the field's nouns.
GERUNDS = {
    "batching", "consuming", "testing", "pricing", "billing", "routing", "metering", "rendering", "signing", "dunning",
    "matching",
}  # fmt: skip
# Records are `msgspec.Struct`s; what else makes a record has one of these names.
OTHER_RECORDS = {"dataclass", "NamedTuple", "namedtuple", "TypedDict"}
# Not a record: the keyword arguments of a generated message, which are passed with `**`.
KEYWORD_ARGUMENTS = "libs/common/src/common/events.py"


def package(service: Path) -> Path:
    return service / "src" / service.name.replace("-", "_")


def sources(folder: Path) -> Iterator[Path]:
    yield from sorted(path for path in folder.rglob("*.py") if "gen" not in path.parts)


def imported(module: Path) -> set[str]:
    """The full names of what a module imports: `from a import b` is a and a.b."""
    names = set()
    for node in ast.walk(ast.parse(module.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return names


def imports(module: Path) -> set[str]:
    """The top-level names that a module imports."""
    return {name.partition(".")[0] for name in imported(module)}


def modules_of(service: Path, *names: str) -> Iterator[Path]:
    """The modules of a service that have one of these names, or lie in a package of that name."""
    for module in sources(package(service)):
        if module.relative_to(package(service)).parts[0].removesuffix(".py") in names:
            yield module


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
    names = {
        path.stem
        for path in package(service).iterdir()
        if path.suffix == ".py" or (path.is_dir() and path.name != "__pycache__")
    }
    stored = {"store", "migrations"} if LISTED[service.name].database else set()
    assert names <= LAYOUT | OWN_NOUNS.get(service.name, set())
    assert names >= REQUIRED | stored
    assert not names & ({"store", "migrations"} - stored)
    assert (package(service) / "py.typed").is_file()


def test_each_act_of_staff_declares_that_identity_may_refuse_it() -> None:
    """A route for staff alone that is no read moves money or rights: Authorize decides about rights and step-up."""
    of_staff = {name for name, row in TABLE.permissions.items() if not row.platform & MEMBER_ROLES}
    acts = [
        row
        for rows in route_tables().values()
        for row in rows
        if row.method != "GET" and row.permission in of_staff and row.path not in ACTS_WITHOUT_EFFECT
    ]
    assert len(acts) >= 5
    for row in acts:
        assert set(row.errors) >= set(REFUSALS), f"{row.method} {row.path}"


def test_each_permission_is_asked_for() -> None:
    """By a route, or by a use case that decides beyond it. That a route names one of the table is checked in Route."""
    rows = [row for table in route_tables().values() for row in table]
    assert all(row.public != bool(row.permission) for row in rows)
    texts = [path.read_text() for service in SERVICES for path in sources(service)]
    asked = {row.permission for row in rows} | {
        name for name in TABLE.permissions if any(f'"{name}"' in text for text in texts)
    }
    assert asked >= TABLE.permissions.keys()


@pytest.mark.parametrize("service", SERVICES, ids=lambda path: path.name)
def test_modules_of_one_name_hold_the_same_in_every_service(service: Path) -> None:
    if LISTED[service.name].database:
        assert {path.stem for path in modules_of(service, "store")} >= {"tables", "commands", "queries"}
    assert {"service", "main"} <= functions(package(service) / "__main__.py")
    for module, function in (("routes", "routes"), ("consumers", "subscriptions")):
        for path in modules_of(service, module):
            if path.stem in (module, "__init__"):
                assert function in functions(path), path
    for package_name in ("domain", "store"):
        for path in modules_of(service, package_name):
            if path.stem == "__init__":
                body = ast.parse(path.read_text()).body
                assert all(isinstance(node, ast.Expr) for node in body), f"{path}: import its modules instead"


def functions(module: Path) -> set[str]:
    """The functions of a module."""
    body = ast.parse(module.read_text()).body
    return {node.name for node in body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}


@pytest.mark.parametrize("service", SERVICES, ids=lambda path: path.name)
def test_endpoints_and_wire_do_not_reach_into_the_store(service: Path) -> None:
    name = service.name.replace("-", "_")
    for module in modules_of(service, "routes", "servicer", "wire"):
        reached = {each for each in imported(module) if each == f"{name}.store" or each.startswith(f"{name}.store.")}
        assert not reached, (module, reached)


def test_only_the_registry_knows_the_providers() -> None:
    """A provider is imported by itself, and by the registry that picks it."""
    for folder in (*PRODUCT, ROOT / "ops/src"):
        for module in sources(folder):
            inside = module.relative_to(GATEWAYS).parts if module.is_relative_to(GATEWAYS) else ()
            if inside == ("registry.py",):
                continue
            for provider in PROVIDERS:
                known = {each for each in imported(module) if f"{each}.".startswith(f"gateways.{provider}.")}
                assert not known or inside[:1] == (provider,), (module, known)


@pytest.mark.parametrize("folder", PRODUCT, ids=lambda path: path.parent.name)
def test_records_are_structs(folder: Path) -> None:
    for module in sources(folder):
        allowed = {"TypedDict"} if module == ROOT / KEYWORD_ARGUMENTS else set()
        names = {each.rpartition(".")[2] for each in imported(module)}
        assert not names & OTHER_RECORDS - allowed, (module, names & OTHER_RECORDS)


@pytest.mark.parametrize("folder", PRODUCT, ids=lambda path: path.parent.name)
def test_annotations_are_not_postponed(folder: Path) -> None:
    for module in sources(folder):
        assert "__future__.annotations" not in imported(module), module


@pytest.mark.parametrize("folder", PRODUCT, ids=lambda path: path.parent.name)
def test_modules_are_named_by_nouns(folder: Path) -> None:
    for module in sources(folder):
        name = module.parent.name if module.stem == "__init__" else module.stem
        word = name.rpartition("_")[2]
        assert not word.endswith("ing") or word in GERUNDS, module


@pytest.mark.parametrize("service", SERVICES, ids=lambda path: path.name)
def test_a_handler_is_named_by_its_events(service: Path) -> None:
    for module in modules_of(service, "consumers"):
        handlers = [name for name in async_functions(module) if not name.startswith("_")]
        assert all(name.startswith(("on_", "fetch_")) for name in handlers), (module, handlers)


def async_functions(module: Path) -> list[str]:
    return [node.name for node in ast.parse(module.read_text()).body if isinstance(node, ast.AsyncFunctionDef)]


@pytest.mark.parametrize("service", SERVICES, ids=lambda path: path.name)
def test_every_service_tells_the_same_five_things(service: Path) -> None:
    text = (service / "README.md").read_text().replace("## Doors", "## Interfaces")
    assert [line for line in text.splitlines() if line.startswith("## ")] == HEADINGS


@pytest.mark.parametrize("service", SERVICES, ids=lambda path: path.name)
def test_the_readme_names_the_interfaces_that_there_are(service: Path) -> None:
    text = (service / "README.md").read_text()
    section = text.partition("## Interfaces\n")[2].partition("\n## ")[0]
    table = route_table(LISTED[service.name])
    # The files of a page are part of the page.
    rows = {(row.method, parameterless(row.path)) for row in table if not row.path.startswith("/docs/")}
    named = re.findall(r"`(GET|POST|PUT|PATCH|DELETE) (/[^`\s\[?]*)", section)
    assert {(method, parameterless(path)) for method, path in named} == rows
    queues = [queue.name for queue in CONTRACT.queues_of(service.name) if queue.bindings]
    assert [queue for queue in queues if f"`{queue}`" not in section] == []
    methods = methods_of(LISTED[service.name].package)
    assert [method for method in methods if not re.search(rf"\b{method}\b", section)] == []


def parameterless(path: str) -> str:
    """*path* with its parameters unnamed."""
    return re.sub(r"{[^}]*}", "{}", path)


def methods_of(name: str) -> list[str]:
    """The gRPC methods of a service's own protobuf services."""
    sources_of = sorted((ROOT / "protos/commdesk" / name).rglob("*.proto"))
    return [method for source in sources_of for method in re.findall(r"^\s*rpc (\w+)", source.read_text(), flags=re.M)]


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
    producers = {producer for event in CONTRACT.events.values() for producer in event.producers} - {"*"}
    assert producers <= folders | OUTSIDE
    callers = {caller for callers in CONTRACT.calls.values() for caller in callers}
    assert callers <= folders | OUTSIDE


def test_only_alerts_and_audit_lines_may_be_anybodys() -> None:
    """An event that every service may announce can be forged from any one of them."""
    anybodys = {event.type.rpartition(".")[2] for event in CONTRACT.events.values() if "*" in event.producers}
    assert anybodys == {"AdminAlertRaised", "AuditRecorded"}


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
