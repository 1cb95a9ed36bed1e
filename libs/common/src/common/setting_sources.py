"""Where settings come from: variables, and files that variables name (Docker and Kubernetes secrets, Vault's agent).

`DATABASE_URL_FILE=/run/secrets/database-url` is DATABASE_URL with the content of that file, for every setting. Unlike
pydantic-settings' `secrets_dir`, which passes over a folder or a file that is not there, a file that cannot be read is
an error, and so is a setting that is given twice.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any

from pydantic import AliasChoices
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, EnvSettingsSource

SUFFIX = "_FILE"
FILE_BYTES_MAX = 65_536
# The key under which the problems of files reach the Settings class.
FILE_PROBLEMS = "setting_file_problems"

_environ: ContextVar[Mapping[str, str]] = ContextVar("environ")


@contextmanager
def environment_of(environ: Mapping[str, str]) -> Iterator[None]:
    """Within the block settings come from *environ* instead of the process's own environment."""
    token = _environ.set(environ)
    try:
        yield
    finally:
        _environ.reset(token)


def variables_of(name: str, field: FieldInfo) -> list[str]:
    """The environment names of a field, the preferred one first."""
    alias = field.validation_alias
    names = [str(choice) for choice in alias.choices] if isinstance(alias, AliasChoices) else [str(alias or name)]
    return [each.upper() for each in names]


class Variables(EnvSettingsSource):
    """The environment, with the contents of the files that it names."""

    def __init__(self, settings_cls: type[BaseSettings]) -> None:
        super().__init__(settings_cls)
        given = {name.upper(): text for name, text in _environ.get(os.environ).items() if text != ""}
        self._problems: list[tuple[str, str]] = []
        for name, field in settings_cls.model_fields.items():
            variables = variables_of(name, field)
            for variable in variables:
                if variable + SUFFIX in given:
                    self._take(given, variable, variables, Path(given[variable + SUFFIX]))
        self.env_vars = {name.lower(): text for name, text in given.items()}

    def __call__(self) -> dict[str, Any]:
        values = super().__call__()
        return {**values, FILE_PROBLEMS: self._problems} if self._problems else values

    def _take(self, given: dict[str, str], variable: str, variables: list[str], path: Path) -> None:
        twice = next((other for other in variables if other in given), None)
        if twice is not None:
            self._problems.append((variable + SUFFIX, f"{twice} is given as well: which of them is meant?"))
            return
        try:
            with path.open("rb") as file:
                content = file.read(FILE_BYTES_MAX + 1)
            if len(content) > FILE_BYTES_MAX:
                raise ValueError("too large")
            # Editors and `echo` end a file with a line feed, which is no part of a secret.
            given[variable] = content.decode().rstrip("\r\n")
        except (OSError, ValueError) as error:
            self._problems.append((variable + SUFFIX, f"the file cannot be read ({type(error).__name__})"))
