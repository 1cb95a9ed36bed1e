"""What production demands of a setting, by the kind of the setting: declared on the field, checked before the start.

    redis_url: Annotated[str, RedisUrl()] = Field("redis://127.0.0.1:6379/0", repr=False)

A kind looks at the parts of the text, not at the text: a password counts where the client library will read it. Its
problems say what to do and never show the value.
"""

import re
from collections.abc import Callable, Iterator
from typing import Any, ClassVar, TypeVar
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from msgspec import Struct

from common.secret_strength import is_weak

PASSWORD_LENGTH_MIN = 12
SECRET_LENGTH_MIN = 16

R = TypeVar("R", bound=Callable[..., Iterator[str]])


def rule(*reads: str) -> Callable[[R], R]:
    """Mark a method of a Settings class as a rule over several fields: it yields what is wrong, naming variables.

    It runs in every environment, after the fields that it *reads* have been found right.
    """

    def marked(method: R) -> R:
        method.reads = reads  # type: ignore[attr-defined]
        return method

    return marked


def rules_of(settings_type: type[Any]) -> Iterator[tuple[str, frozenset[str]]]:
    """The rules of a Settings class and its bases: a method's name, and the fields that it reads."""
    names = {name for base in settings_type.__mro__ for name, value in vars(base).items() if hasattr(value, "reads")}
    for name in sorted(names):
        yield name, frozenset(getattr(settings_type, name).reads)


def host_of(url: str) -> str:
    """The host that *url* names, as DNS compares it; empty when there is none."""
    try:
        return (urlsplit(url).hostname or "").rstrip(".")
    except ValueError:
        return ""


class Secret(Struct, frozen=True):
    """A secret of at least *length_min* characters. With a *separator* several, and each of them is one; what the
    issuer writes before every secret (*prefix*, a pattern) proves nothing and does not count. No two secrets of a
    service are equal, except that this one may be that of the field *same_as*.
    """

    length_min: int = SECRET_LENGTH_MIN
    separator: str = ""
    prefix: str = ""
    same_as: str = ""

    def demand(self) -> str:
        return f"{'each ' if self.separator else ''}at least {self.length_min} characters, no default or pattern"

    def problems(self, text: str) -> Iterator[str]:
        parts = self.parts(text)
        for part in parts:
            if is_weak(part, self.length_min):
                which = "one of its parts" if len(parts) > 1 else "the secret"
                yield f"{which} is a default, a pattern or shorter than {self.length_min} characters"

    def parts(self, text: str) -> list[str]:
        """The secrets in *text*, each without what stands before every one."""
        parts = text.split(self.separator) if self.separator else [text]
        return [re.sub(f"^(?:{self.prefix})", "", part.strip()) for part in parts if part.strip()]


class On(Struct, frozen=True):
    """A switch that stays on."""

    # The words for false that pydantic knows.
    off: ClassVar[frozenset[str]] = frozenset({"0", "f", "false", "n", "no", "off"})

    def demand(self) -> str:
        return "`true`"

    def problems(self, text: str) -> Iterator[str]:
        if text.strip().lower() in self.off:
            yield "production needs it on"


class OneOf(Struct, frozen=True):
    """One of the *values* that are safe, of several that exist."""

    values: tuple[str, ...]

    def demand(self) -> str:
        return " or ".join(f"`{value}`" for value in self.values)

    def problems(self, text: str) -> Iterator[str]:
        if text.lower() not in self.values:
            yield f"production takes {' or '.join(self.values)}"


class Url(Struct, frozen=True):
    """An address of one of *schemes*."""

    schemes: ClassVar[tuple[str, ...]] = ()
    demands: ClassVar[str] = ""
    # What may stand in the query; None: anything. A client takes passwords, hosts and "verify nothing" from there.
    parameters: ClassVar[frozenset[str] | None] = None

    def demand(self) -> str:
        return self.demands

    def problems(self, text: str) -> Iterator[str]:
        try:
            parts = urlsplit(text)
            host, _ = parts.hostname, parts.port
        except ValueError:
            yield "is no URL"
            return
        if parts.scheme not in self.schemes:
            yield f"must begin with {' or '.join(f'{scheme}://' for scheme in self.schemes)}"
        if not host:
            yield "names no host"
        if parts.fragment:
            yield "has a part after #: a character of the password that must be percent-encoded?"
        given = [name for name, _ in parse_qsl(parts.query, keep_blank_values=True)]
        if self.parameters is not None:
            unknown = sorted({name for name in given if name not in self.parameters})
            if unknown:
                yield f"its query may not hold {', '.join(unknown)}"
        if len(given) != len(set(given)):
            yield "its query names a parameter twice"
        yield from self.part_problems(parts)

    def part_problems(self, parts: SplitResult) -> Iterator[str]:
        yield from ()


class HttpsUrl(Url, frozen=True):
    """An HTTP address with TLS, without a login in it."""

    schemes = ("https",)
    demands = "`https`, no login"

    def part_problems(self, parts: SplitResult) -> Iterator[str]:
        if "@" in parts.netloc:
            yield "must not hold a login"
        if host_of(parts.geturl()) in ("localhost", "127.0.0.1", "::1"):
            yield "names this machine, which is another one for those who follow it"


class SentryDsn(Url, frozen=True):
    """Where Sentry takes reports, over TLS; the key in it only lets its owner send some."""

    schemes = ("https",)
    demands = "`https`"


class LoginUrl(Url, frozen=True):
    """An address with a user and a strong password in their place."""

    # Users with all rights, or with well-known names.
    administrators: ClassVar[tuple[str, ...]] = ()

    def part_problems(self, parts: SplitResult) -> Iterator[str]:
        user, password = unquote(parts.username or ""), unquote(parts.password or "")
        if not user:
            yield "names no user"
        elif user in self.administrators:
            yield "logs in as an administrator that everybody knows"
        if not password:
            yield "has no password"
        elif is_weak(password, PASSWORD_LENGTH_MIN, also=user):
            yield f"its password is a default, a pattern or shorter than {PASSWORD_LENGTH_MIN} characters"


class PostgresqlUrl(LoginUrl, frozen=True):
    """PostgreSQL over verified TLS: sslmode=verify-full, or channel_binding=require, which common.database_urls turns
    into the same."""

    schemes = ("postgresql", "postgres", "postgresql+asyncpg")
    demands = "user and strong password, `sslmode=verify-full` or `channel_binding=require`"
    parameters = frozenset(
        {"sslmode", "sslrootcert", "sslcert", "sslkey", "sslnegotiation", "channel_binding", "gssencmode"}
        | {"connect_timeout", "application_name", "options", "target_session_attrs"}
    )
    administrators = ("postgres",)

    def part_problems(self, parts: SplitResult) -> Iterator[str]:
        yield from LoginUrl.part_problems(self, parts)
        query = dict(parse_qsl(parts.query))
        if query.get("sslmode") != "verify-full" and query.get("channel_binding") != "require":
            yield "must say sslmode=verify-full: anything less does not tell the server from an impostor"
        if not parts.path.strip("/"):
            yield "names no database"


class AmqpUrl(LoginUrl, frozen=True):
    """RabbitMQ over verified TLS; the path is the vhost. The nodes of a cluster are separated by commas."""

    schemes = ("amqps",)
    demands = "`amqps`, user and strong password"
    parameters = frozenset({"cafile", "capath", "certfile", "keyfile", "heartbeat", "name", "connection_timeout"})
    administrators = ("guest",)

    def problems(self, text: str) -> Iterator[str]:
        for url in text.split(","):
            yield from LoginUrl.problems(self, url.strip())


class RedisUrl(LoginUrl, frozen=True):
    """Redis over verified TLS."""

    schemes = ("rediss",)
    demands = "`rediss`, user and strong password"
    parameters = frozenset({"ssl_ca_certs", "ssl_ca_path", "ssl_certfile", "ssl_keyfile", "db", "protocol"})


# A kind of setting: `demand()` is what production demands, in a few words; `problems(text)` what production finds wrong
# with a value, one sentence each, without the value.
Kind = Secret | On | OneOf | Url
