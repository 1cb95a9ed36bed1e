"""Finds everything that is wrong with settings at once: fields, production's demands of them, rules between them."""

import base64
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import ModelWrapValidatorHandler, SecretStr, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import InitErrorDetails, PydanticCustomError

from common.setting_checks import Kind, Secret, rules_of
from common.setting_sources import FILE_PROBLEMS, variables_of

if TYPE_CHECKING:
    from common.settings import ServiceSettings

S = TypeVar("S", bound="ServiceSettings")

# Where nothing is at stake. Whatever else ENVIRONMENT says, and nothing, counts as production here.
LENIENT = ("development", "test")


class Given:
    """The values as they were given, by field: under a field's name or under any of its variables."""

    def __init__(self, settings_type: "type[ServiceSettings]", values: Mapping[str, Any]) -> None:
        self.values = dict(values)
        self._variables = {name: variables_of(name, field) for name, field in settings_type.model_fields.items()}
        self._fields = {each: name for name, variables in self._variables.items() for each in (name, *variables)}

    def variable(self, field: str) -> str:
        """The preferred environment name of *field*."""
        return self._variables[field][0]

    def field(self, key: object) -> str | None:
        """The field that goes by *key*."""
        return self._fields.get(str(key))

    def text(self, field: str) -> str | None:
        """What *field* was given, if that is text."""
        for key in (*self._variables[field], field):
            value = self.values.get(key)
            if isinstance(value, SecretStr):
                return value.get_secret_value()
            if value is not None:
                return value if isinstance(value, str) else None
        return None

    def has(self, field: str) -> bool:
        return any(self.values.get(key) not in (None, "") for key in (*self._variables[field], field))

    def without(self, fields: set[str]) -> dict[str, Any]:
        return {key: value for key, value in self.values.items() if self.field(key) not in fields}


def collected(settings_type: type[S], values: dict[str, Any], handler: ModelWrapValidatorHandler[S]) -> S:
    """The settings that *handler* makes of *values*. Raises ValidationError with every problem."""
    file_problems: list[tuple[str, str]] = values.pop(FILE_PROBLEMS, [])
    given = Given(settings_type, values)
    problems = [(given.variable(field), text) for field, text in _demands(settings_type, given)]
    wrong: set[str] = set()
    absent = {field for field in settings_type.required if not given.has(field)}
    settings: S | None = None
    try:
        settings = handler(values)
    except ValidationError as error:
        for variable, text in problems_of(error):
            field = given.field(variable.partition(".")[0])
            problems.append((given.variable(field) if field else variable, text))
            wrong |= {field} if field else set()
        # The fields that are right are looked at all the same, with the others at their defaults.
        if wrong:
            try:
                settings = handler(given.without(wrong))
            except ValidationError as again:
                problems += problems_of(again)
    if settings is not None:
        for method, reads in rules_of(settings_type):
            if not reads & (wrong | absent):
                problems += [("", text) for text in getattr(settings, method)()]
    problems += file_problems
    if problems or settings is None:
        raise ValidationError.from_exception_data(
            settings_type.__name__, [_detail(*problem) for problem in dict.fromkeys(problems)], hide_input=True
        )
    return settings


def problems_of(error: ValidationError) -> Iterator[tuple[str, str]]:
    """Each problem of *error*: the variable, if it is one's own, and what is wrong; without values."""
    for problem in error.errors(include_input=False, include_context=False, include_url=False):
        text = problem["msg"].removeprefix("Value error, ").removeprefix("Assertion failed, ")
        yield ".".join(str(part) for part in problem["loc"]), text


def _detail(variable: str, text: str) -> InitErrorDetails:
    kind = PydanticCustomError("setting", "{problem}", {"problem": text})
    return InitErrorDetails(type=kind, loc=(variable,) if variable else (), input=None)


def _demands(settings_type: "type[ServiceSettings]", given: Given) -> Iterator[tuple[str, str]]:
    """What every environment requires, and what production demands of each field by its kind."""
    is_production = (given.text("environment") or "").lower() not in LENIENT
    for field in sorted(settings_type.required):
        if not given.has(field):
            yield field, "is required"
    if not is_production:
        return
    yield from _equal_secrets(settings_type, given)
    for field, info in settings_type.model_fields.items():
        text = given.text(field)
        if not given.has(field):
            if field in settings_type.required_in_production:
                yield field, "is required in production"
        elif text is not None:
            for kind in kinds_of(info):
                for problem in kind.problems(text):
                    yield field, problem


def _equal_secrets(settings_type: "type[ServiceSettings]", given: Given) -> Iterator[tuple[str, str]]:
    """Secrets that are equal: each is for one purpose, and a leak of one would be a leak of the other."""
    fields_of: dict[bytes, str] = {}
    for field, info in settings_type.model_fields.items():
        text = given.text(field) or ""
        for kind in (each for each in kinds_of(info) if isinstance(each, Secret)):
            for part in kind.parts(text):
                other = fields_of.setdefault(_decoded(part), field)
                if other not in (field, kind.same_as):
                    yield field, f"is the same as {given.variable(other)}: each secret is for one purpose"


def _decoded(secret: str) -> bytes:
    """The bytes of a secret, which base64 writes in more than one way."""
    try:
        return base64.b64decode(secret, validate=True)
    except ValueError:
        return secret.encode()


def kinds_of(field: FieldInfo) -> list[Kind]:
    """The kinds that a field declares; a secret is one at least."""
    declared = [each for each in field.metadata if isinstance(each, Kind)]
    is_secret = field.annotation is SecretStr or field.annotation == (SecretStr | None)
    return declared or ([Secret()] if is_secret else [])
