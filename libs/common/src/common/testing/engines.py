"""Where the engines are, which service is tested, and what is left of runs that were killed."""

import asyncio
import json
import os
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar

import pytest
from msgspec import Struct

T = TypeVar("T")

WORKER = os.environ.get("PYTEST_XDIST_WORKER", "main")
# So that what a killed run left behind is recognised by its process being gone.
RUN = f"{os.getpid()}_{WORKER}"


class Stack(Struct):
    """The engines, and what this session has made in them. Mutable: it counts what it makes."""

    superuser_url: str
    management_url: str
    amqp_url: str
    redis_url: str
    # Of database roles, where the file's neighbour secrets.json knows them: a fleet may run on the same engines.
    passwords: dict[str, str] = {}
    # Of broker users, likewise.
    broker_passwords: dict[str, str] = {}
    templates: dict[tuple[str, str | None], str] = {}
    databases_made: int = 0

    def broker_password(self, user: str) -> str:
        return self.broker_passwords.get(user) or password_of(user)

    @classmethod
    def read(cls, start: Path) -> "Stack":
        path = _stack_file(start)
        if not path.exists():
            pytest.fail(f"no engines to test against: {path} is missing; run `make test`, which starts them", False)
        neighbour = path.with_name("secrets.json")
        try:
            engines = json.loads(path.read_text())
            secrets = json.loads(neighbour.read_text()) if neighbour.exists() else {"database": {}, "broker": {}}
            return cls(
                superuser_url=engines["postgresql"]["superuser_url"],
                management_url=engines["rabbitmq"]["management_url"],
                amqp_url=engines["rabbitmq"]["url"].rpartition("/")[0],
                redis_url=engines["redis"]["url"].rpartition("/")[0],
                passwords=secrets["database"],
                broker_passwords=secrets["broker"],
            )
        except (KeyError, ValueError) as error:
            pytest.fail(f"{path} does not say where the engines are: {error!r}", False)


def _stack_file(start: Path) -> Path:
    named = os.environ.get("COMMDESK_TEST_STACK")
    if named:
        return Path(named)
    root = next((folder for folder in (start, *start.parents) if (folder / "protos/bindings.toml").exists()), start)
    return root / ".run/test/stack.json"


@pytest.fixture(scope="session")
def stack(request: pytest.FixtureRequest) -> Stack:
    """Where the engines are. Without them the test fails: it has not shown what it is there to show."""
    return Stack.read(request.config.rootpath)


@pytest.fixture
def service_name(request: pytest.FixtureRequest) -> str:
    """The service under test, as its folder is called."""
    parts = request.path.parts
    if "services" not in parts[:-1]:
        pytest.fail("this test is outside services/<name>/: override the fixture service_name in its conftest", False)
    return parts[parts.index("services") + 1]


@pytest.fixture
def migrations_package(service_name: str) -> str | None:
    """Whose migrations make the schema; None stands for common's tables alone."""
    return service_name.replace("-", "_")


def password_of(name: str) -> str:
    """The same in every run, because the roles outlive it; these engines listen on this machine only."""
    return f"of-{name}-in-tests"


def is_over(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False


def run(work: Coroutine[Any, Any, T]) -> T:
    """Await *work* from a synchronous fixture, in a loop of its own that outlives no fixture."""
    with asyncio.Runner() as runner:
        return runner.run(work)
