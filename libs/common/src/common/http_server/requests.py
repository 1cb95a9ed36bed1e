"""Reading requests: bounded in size, depth and time, and refused as `request_invalid` with the field that is wrong."""

import asyncio
import json
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from datetime import date
from functools import lru_cache
from typing import Final, TypeAlias, TypeVar, get_origin
from urllib.parse import parse_qsl

import msgspec
from msgspec import inspect
from starlette.requests import ClientDisconnect
from starlette.types import Message, Receive, Scope

from common import times
from common.errors import RequestInvalid
from common.http_server.error_responses import (
    BodyTooLarge,
    BodyTooSlow,
    ContentEncodingUnsupported,
    UnsupportedMediaType,
)

# As ASGI gives them, made a mapping: names in lower case.
Headers: TypeAlias = Mapping[bytes, bytes]

BODY_BYTES_MAX = 65_536
# From the end of the headers to the last byte of the body.
BODY_SECONDS_MAX = 10.0
# The server's word, among the extensions of a request, that all of its body is here.
BODY_ARRIVED: Final = "commdesk.body_arrived"
# A peer that is still writing when we hang up loses our answer to the reset, so a body that is declared too large is
# read away, up to this much and this long; a peer that sends more gets the reset.
DISCARDED_BYTES_MAX = 16 * 1024 * 1024
DISCARDED_SECONDS_MAX = 3.0
DEPTH_MAX = 16
# What every JSON reader carries exactly; bigger numbers are somebody's mistake or somebody's attack.
INTEGER_MAX = 2**53
INTEGER_DIGITS_MAX = 17
QUERY_PARAMETERS_MAX = 64
_TEXT_LENGTH_MAX = 200

T = TypeVar("T", bound=msgspec.Struct)

_STRING = re.compile(rb'"(?:[^"\\]|\\.)*"', re.DOTALL)
_BRACKET = re.compile(rb"[\[\]{}]")
_PATH = re.compile(r"(?P<problem>.*?)(?: - at `(?:key in )?\$\.?(?P<path>.*)`)?", re.DOTALL)
# A UTF-16 surrogate as an escape; two of them may be one character.
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")
_NAMED = re.compile(r"Object (?:missing required|contains unknown) field `(?P<name>.*)`", re.DOTALL)


class Body(msgspec.Struct, forbid_unknown_fields=True, frozen=True, rename="camel"):
    """What request types may start from: unknown fields are refused, JSON's camelCase is Python's snake_case."""


class Query(msgspec.Struct, forbid_unknown_fields=True, frozen=True, rename="camel"):
    """What the types of query strings may start from; numbers and booleans are read from text."""


def bytes_reader(limit_bytes: int) -> Callable[[Scope, Receive, Headers], Awaitable[bytes]]:
    """Reads a body's bytes. Raises BodyTooLarge before it holds more than *limit_bytes*, BodyTooSlow, and
    ContentEncodingUnsupported for a compressed one.
    """

    async def read(scope: Scope, receive: Receive, headers: Headers) -> bytes:
        if headers.get(b"content-encoding", b"identity").lower() != b"identity":
            raise ContentEncodingUnsupported("the body must not be compressed or encoded")
        declared = headers.get(b"content-length")
        if declared is not None and declared.isdigit() and int(declared) > limit_bytes:
            if int(declared) <= DISCARDED_BYTES_MAX:
                await _discard(receive)
            raise BodyTooLarge(f"the body is larger than {limit_bytes} bytes")
        if BODY_ARRIVED in scope.get("extensions", ()):
            # Nothing is waited for, and a time limit would cost a tenth of the request.
            return await _whole(receive, limit_bytes)
        try:
            async with asyncio.timeout(BODY_SECONDS_MAX):
                return await _whole(receive, limit_bytes)
        except TimeoutError:
            raise BodyTooSlow(f"the body took longer than {BODY_SECONDS_MAX:.0f} seconds") from None

    return read


def json_reader(
    struct: type[T], limit_bytes: int = BODY_BYTES_MAX
) -> Callable[[Scope, Receive, Headers], Awaitable[T]]:
    """Reads a JSON body as *struct*, whose unknown fields must be forbidden all the way down, else it is a TypeError.

    The reader raises UnsupportedMediaType, BodyTooLarge, BodyTooSlow, or RequestInvalid with the fields that are wrong:
    malformed JSON, unknown or repeated fields, wrong types, deeper than 16, integers beyond 2^53, NaN, a NUL character,
    not UTF-8, not an object.
    """
    decode: Callable[[bytes], T] = _decoder(struct).decode
    read_bytes = bytes_reader(limit_bytes)
    time_fields = _time_fields(struct)

    async def read(scope: Scope, receive: Receive, headers: Headers) -> T:
        content_type = headers.get(b"content-type", b"")
        if content_type != b"application/json" and not _is_json(content_type):
            raise UnsupportedMediaType("the body must be application/json")
        raw = await read_bytes(scope, receive, headers)
        _check(raw)
        try:
            body = decode(raw)
        except msgspec.ValidationError as error:
            raise _invalid(error) from None
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise RequestInvalid("the body is not valid JSON") from None
        if time_fields:
            _check_times(body, time_fields)
        return body

    return read


def no_query(raw: bytes) -> None:
    """For endpoints without parameters. Raises RequestInvalid when there are some."""
    if raw:
        name = raw.partition(b"&")[0].partition(b"=")[0].decode("latin-1")
        raise RequestInvalid("this takes no parameters", **{_shown(name) or "query": "is not known"})


def query_reader(struct: type[T]) -> Callable[[bytes], T]:
    """Reads a query string as *struct*. A repeated parameter is refused."""
    _decoder(struct)  # only types that forbid unknown fields get past this
    time_fields = _time_fields(struct)

    def read(raw: bytes) -> T:
        try:
            pairs = parse_qsl(
                raw.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=QUERY_PARAMETERS_MAX
            )
        except ValueError:
            raise RequestInvalid("the query string cannot be read") from None
        values = dict(pairs)
        if len(values) != len(pairs):
            raise RequestInvalid("a parameter is repeated", **{_shown(_repeated(pairs)): "is given more than once"})
        if b"%00" in raw:
            field = next(name for name, value in pairs if "\0" in name + value)
            raise RequestInvalid("a text holds a NUL character", **{_shown(field): "holds a NUL character"})
        try:
            query = msgspec.convert(values, struct, strict=False)
        except msgspec.ValidationError as error:
            raise _invalid(error) from None
        if time_fields:
            _check_times(query, time_fields)
        return query

    return read


def _time_fields(struct: type[msgspec.Struct]) -> dict[str, str]:
    """The fields that hold a date or a time, and their names in JSON: msgspec cannot bound these."""
    return {
        field.name: field.encode_name
        for field in msgspec.structs.fields(struct)
        if isinstance(_bare(inspect.type_info(field.type)), inspect.DateTimeType | inspect.DateType)
    }


def _bare(info: inspect.Type) -> inspect.Type:
    """The type inside `… | None` and inside metadata."""
    if isinstance(info, inspect.Metadata):
        return _bare(info.type)
    if isinstance(info, inspect.UnionType):
        others = [each for each in info.types if not isinstance(each, inspect.NoneType)]
        return _bare(others[0]) if len(others) == 1 else info
    return info


def _check_times(value: msgspec.Struct, fields: Mapping[str, str]) -> None:
    """Raises RequestInvalid for a year at which arithmetic, PostgreSQL or JSON may end."""
    for name, shown in fields.items():
        moment: date | None = getattr(value, name)
        if moment is not None and not times.is_filter(moment):
            raise RequestInvalid("a time is out of range", **{shown: "must be in the years 1900 to 2199"})


def _is_json(content_type: bytes) -> bool:
    media_type = content_type.partition(b";")[0].strip().lower()
    return media_type == b"application/json" or (
        media_type.startswith(b"application/") and media_type.endswith(b"+json")
    )


async def _whole(receive: Receive, limit_bytes: int) -> bytes:
    """All of a body, its first chunk included, within the limit of size."""
    received = bytearray()
    while True:
        message = await _message(receive)
        chunk: bytes = message.get("body", b"")
        if len(received) + len(chunk) > limit_bytes:
            raise BodyTooLarge(f"the body is larger than {limit_bytes} bytes")
        if not message.get("more_body", False):
            return bytes(received + chunk) if received else chunk
        received += chunk


async def _discard(receive: Receive) -> None:
    """Read a body to its end and keep nothing of it."""
    with suppress(TimeoutError, ClientDisconnect):
        async with asyncio.timeout(DISCARDED_SECONDS_MAX):
            while (await _message(receive)).get("more_body", False):
                pass


async def _message(receive: Receive) -> Message:
    message = await receive()
    if message["type"] == "http.disconnect":
        raise ClientDisconnect
    return message


def _check(raw: bytes) -> None:
    """What msgspec lets pass: duplicate keys (the last would win), numbers of any size, depth up to the stack's."""
    if raw.count(b"{") + raw.count(b"[") > DEPTH_MAX and _depth(raw) > DEPTH_MAX:
        raise RequestInvalid(f"the body is nested deeper than {DEPTH_MAX}")
    _noted.clear()
    try:
        document = _strict_json(raw.decode())
    except UnicodeDecodeError:
        raise RequestInvalid("the body is not UTF-8") from None
    except (ValueError, RecursionError):
        raise RequestInvalid("the body is not valid JSON") from None
    if not isinstance(document, dict):
        raise RequestInvalid("the body must be a JSON object")
    if _noted or b"\\u0000" in raw or _SURROGATE.search(raw):
        _refuse_values(document)


def _refuse_values(document: object) -> None:
    """Raises RequestInvalid about the first field whose value is none that a column can hold."""
    if (wrong := _wrong_value(document, "")) is not None:
        path, problem = wrong
        raise RequestInvalid("the request has a field that is wrong", **{_shown(path): problem})


def _wrong_value(value: object, path: str) -> tuple[str, str] | None:
    """Where in *value* something is wrong, and what."""
    if value is _TOO_LARGE or value is _NOT_JSON:
        return path, str(value)
    if isinstance(value, str):
        problem = _text_problem(value)
        return (path, problem) if problem else None
    if isinstance(value, list):
        places = (_wrong_value(item, f"{path}[{index}]") for index, item in enumerate(value))
    elif isinstance(value, dict):
        named = next(((name, problem) for name in value if (problem := _text_problem(name))), None)
        if named is not None:
            return _place(path, named[0].encode("utf-8", "replace").decode()), named[1]
        places = (_wrong_value(item, _place(path, name)) for name, item in value.items())
    else:
        return None
    return next((place for place in places if place is not None), None)


def _place(path: str, name: str) -> str:
    """Where the field *name* of the object at *path* is. JSON allows a field without a name."""
    name = name or '""'
    return f"{path}.{name}" if path else name


def _text_problem(text: str) -> str:
    if "\0" in text:
        return "holds a NUL character"
    return "" if text.isascii() or _is_unicode(text) else "holds half a character"


def _is_unicode(text: str) -> bool:
    """Whether *text* has no lone surrogates, which UTF-8 cannot carry."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _depth(raw: bytes) -> int:
    depth = deepest = 0
    for bracket in _BRACKET.findall(_STRING.sub(b"", raw)):
        depth += 1 if bracket in b"[{" else -1
        deepest = max(deepest, depth)
    return deepest


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise RequestInvalid("a field is repeated", **{_shown(_repeated(pairs)): "is given more than once"})
    return fields


def _repeated(pairs: Sequence[tuple[str, object]]) -> str:
    names = [name for name, _ in pairs]
    return next(name for name in names if names.count(name) > 1)


# In the place of a value that is refused once its field is known.
_TOO_LARGE: Final = "is too large: integers go up to 2^53"
_NOT_JSON: Final = "is not a JSON value"


# What the decoder refused of the body in hand; reading one body is never interrupted by another.
_noted: list[str] = []


def _integer(digits: str) -> int | str:
    if len(digits) <= INTEGER_DIGITS_MAX and -INTEGER_MAX <= int(digits) <= INTEGER_MAX:
        return 0
    _noted.append(_TOO_LARGE)
    return _TOO_LARGE


def _not_json(name: str) -> str:
    _noted.append(_NOT_JSON)
    return _NOT_JSON


# The values are thrown away: floats are not read, and integers only measured.
_strict_json = json.JSONDecoder(
    object_pairs_hook=_unique, parse_int=_integer, parse_float=len, parse_constant=_not_json
).decode


@lru_cache(maxsize=1024)
def _decoder(struct: type[T]) -> msgspec.json.Decoder[T]:
    """Raises TypeError, which is a bug of ours, when an unknown field would be let pass somewhere inside."""
    for inner in _structs(inspect.type_info(struct), set()):
        if not (get_origin(inner) or inner).__struct_config__.forbid_unknown_fields:
            raise TypeError(f"{inner.__name__} must forbid unknown fields to be read from a request")
    return msgspec.json.Decoder(struct)


def _structs(info: object, seen: set[type]) -> set[type[msgspec.Struct]]:
    """Every Struct that a value of this type may hold."""
    if isinstance(info, inspect.StructType):
        if info.cls in seen:
            return set()
        seen.add(info.cls)
        return {info.cls}.union(*(_structs(field.type, seen) for field in info.fields))
    inner: list[object] = []
    if isinstance(info, inspect.UnionType):
        inner = list(info.types)
    elif isinstance(info, inspect.DictType):
        inner = [info.value_type]
    elif isinstance(info, inspect.TupleType):
        inner = list(info.item_types)
    elif isinstance(info, inspect.CollectionType | inspect.VarTupleType):
        inner = [info.item_type]
    elif isinstance(info, inspect.Metadata):
        inner = [info.type]
    return set().union(*(_structs(item, seen) for item in inner))


def _invalid(error: msgspec.ValidationError) -> RequestInvalid:
    """msgspec's words with its path taken apart: "Expected `int`, got `str` - at `$.amount.minor`"."""
    match = _PATH.fullmatch(str(error))
    problem, path = (match["problem"], match["path"] or "") if match else (str(error), "")
    named = _NAMED.fullmatch(problem)
    if named is not None:
        path = _place(path, named["name"])
        problem = "is required" if "missing" in problem else "is not known"
    if not path:
        return RequestInvalid(_shown(problem))
    return RequestInvalid("the request has a field that is wrong", **{_shown(path): _shown(problem)})


def _shown(text: str) -> str:
    """What a client sent is shown back to a bounded length."""
    return text if len(text) <= _TEXT_LENGTH_MAX else text[:_TEXT_LENGTH_MAX] + "…"
