"""Whether services would serve with a configuration: every problem of every service at once, with nothing started."""

import base64
import importlib
from collections.abc import Iterator, Mapping
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from dotenv import dotenv_values
from msgspec import Struct

from common import runtime, settings
from common.services import SERVICES
from common.settings import ServiceSettings

# In a folder of environment files: what all services have, beside one file for each service.
SHARED_FILE = "common.env"


class ConfigurationProblem(Struct, frozen=True):
    """One thing that keeps services from starting. *variable* is empty when it lies between several."""

    variable: str
    problem: str
    services: tuple[str, ...]


class EnvironmentUnreadable(Exception):
    """The file or folder with the environment cannot be read."""


def environments(source: Path | None, names: list[str], environ: Mapping[str, str]) -> dict[str, Mapping[str, str]]:
    """The environment of each service: *environ* itself, one file for all, or a folder with `<service>.env` and
    `common.env`. Raises EnvironmentUnreadable.
    """
    if source is None:
        return dict.fromkeys(names, environ)
    if source.is_dir():
        shared = _read(source / SHARED_FILE) if (source / SHARED_FILE).exists() else {}
        return {name: {**shared, **_read(source / f"{name}.env")} for name in names}
    return dict.fromkeys(names, _read(source))


def problems(environments: Mapping[str, Mapping[str, str]]) -> list[ConfigurationProblem]:
    """What is wrong, each problem once with the services that it keeps from starting."""
    services_of: dict[tuple[str, str], list[str]] = {}
    for name, environ in environments.items():
        for problem in _problems_of(name, environ):
            services_of.setdefault(problem, []).append(name)
    return [ConfigurationProblem(*problem, tuple(names)) for problem, names in services_of.items()]


def _problems_of(name: str, environ: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    module = importlib.import_module(f"{SERVICES[name].package}.settings")
    settings_type: type[ServiceSettings] = module.Settings
    problems = settings.problems(settings_type, environ)
    yield from problems
    if not problems:
        value = settings.read(settings_type, environ)
        yield from runtime.foreign_credentials(value, name)
        if not _is_key_pair(value.service_private_key.get_secret_value(), value.service_public_keys.get(name, "")):
            yield "SERVICE_PUBLIC_KEYS", f"its key of {name} is not the public half of {name}'s SERVICE_PRIVATE_KEY"


def _is_key_pair(private: str, public: str) -> bool:
    key = Ed25519PrivateKey.from_private_bytes(base64.b64decode(private))
    return base64.b64encode(key.public_key().public_bytes_raw()).decode() == public


def _read(path: Path) -> dict[str, str]:
    """An environment file as Docker reads it: nothing in it is expanded."""
    if not path.is_file():
        raise EnvironmentUnreadable(f"{path} is no file")
    return {name: text for name, text in dotenv_values(path, interpolate=False).items() if text is not None}
