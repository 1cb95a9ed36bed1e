"""PostgreSQL URLs as hosting companies hand them out, made into what asyncpg takes.

Neon's, for one: `postgresql://…@ep-…-pooler.….neon.tech/neondb?sslmode=require&channel_binding=require`. asyncpg knows
no channel_binding, takes parameters that it does not know for the server's, and finds no authority for verify-full.
"""

import ssl
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit, urlunsplit

# What other clients mean by these has no meaning here: asyncpg never encrypts by GSSAPI.
_DROPPED = ("gssencmode", "channel_binding", "connect_timeout")
_VERIFIED = ("sslmode", "sslrootcert", "sslcert", "sslkey")


def plain_url(url: str) -> str:
    """The same address without the name of a driver. Raises ValueError when it is another database's."""
    scheme, _, rest = url.partition("://")
    if scheme.split("+")[0] not in ("postgresql", "postgres"):
        raise ValueError("a database URL starts with postgresql://")
    return f"postgresql://{rest}"


def database_url(url: str, name: str, role: str | None = None, password: str | None = None) -> str:
    """The same server, another database, and another role if one is given."""
    parts = urlsplit(plain_url(url))
    address = parts.netloc
    if role is not None:
        login = quote(role, safe="") + (f":{quote(password, safe='')}" if password else "")
        address = f"{login}@{address.rpartition('@')[2]}"
    return urlunsplit((parts.scheme, address, "/" + quote(name, safe=""), parts.query, ""))


def is_pooler(url: str) -> bool:
    """Whether the host calls itself a transaction pooler, as Neon's do: ep-….-pooler.region.aws.neon.tech."""
    return (urlsplit(plain_url(url)).hostname or "").partition(".")[0].endswith("-pooler")


def connect_arguments(url: str) -> dict[str, Any]:
    """The arguments of `asyncpg.connect` and `create_pool` for *url*: dsn, and ssl and timeout where it says so.

    verify-full trusts the machine's authorities unless `sslrootcert` names a file. channel_binding=require asks that
    the server prove itself on this very connection; asyncpg cannot ask that, so the certificate is verified instead.
    Raises ValueError, OSError or ssl.SSLError when the URL or a file that it names is not right.
    """
    parts = urlsplit(plain_url(url))
    query = dict(parse_qsl(parts.query, keep_blank_values=True))
    arguments: dict[str, Any] = {}
    if query.get("connect_timeout"):
        arguments["timeout"] = float(query["connect_timeout"])
    if query.get("sslmode") == "verify-full" or query.get("channel_binding") == "require":
        arguments["ssl"] = _verifying(query)
        query = {name: value for name, value in query.items() if name not in _VERIFIED}
    query = {name: value for name, value in query.items() if name not in _DROPPED}
    arguments["dsn"] = urlunsplit((parts.scheme, _encoded(parts.netloc), parts.path, urlencode(query), ""))
    return arguments


def _verifying(query: Mapping[str, str]) -> ssl.SSLContext:
    authorities = query.get("sslrootcert", "")
    context = ssl.create_default_context(cafile=authorities if authorities not in ("", "system") else None)
    if query.get("sslcert"):
        context.load_cert_chain(query["sslcert"], query.get("sslkey") or None)
    return context


def _encoded(netloc: str) -> str:
    """The login percent-encoded: asyncpg ends it at the first @, which may be one of the password's."""
    login, at, address = netloc.rpartition("@")
    user, colon, password = login.partition(":")
    return f"{quote(unquote(user), safe='')}{colon}{quote(unquote(password), safe='')}{at}{address}"
