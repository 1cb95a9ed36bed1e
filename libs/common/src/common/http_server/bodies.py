"""Reading requests: bounded in size, depth and time, and refused as `invalid_request` with the field that is wrong."""

from __future__ import annotations

import asyncio
import json
import re
from contextlib import suppress
from functools import lru_cache
from typing import Any, NoReturn, TypeVar
from urllib.parse import parse_qsl

import msgspec
from msgspec import inspect
from starlette.requests import ClientDisconnect, Request

from common.http_server.refusals import BodyTooLarge, BodyTooSlow, InvalidRequest, UnsupportedMediaType

BODY_BYTES_MAX = 65_536
BODY_SECONDS_MAX = 10.0
# A peer that is still writing when we hang up loses our answer to the reset, so a body that is declared too large is
# read away, up to this much and this long; whoever sends more has to live with the reset.
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
_NAMED = re.compile(r"Object (?:missing required|contains unknown) field `(?P<name>.*)`", re.DOTALL)


class Body(msgspec.Struct, forbid_unknown_fields=True, frozen=True, rename="camel"):
    """What request types may start from: unknown fields are refused, JSON's camelCase is Python's snake_case."""


async def raw_body(request: Request, limit_bytes: int = BODY_BYTES_MAX) -> bytes:
    """The body's bytes, unread by anybody. Raises BodyTooLarge before it holds more than *limit_bytes*."""
    declared = request.headers.get("content-length")
    if declared is not None and declared.isdigit() and int(declared) > limit_bytes:
        if int(declared) <= DISCARDED_BYTES_MAX:
            await _discard(request)
        raise BodyTooLarge(f"the body is larger than {limit_bytes} bytes")
    message = await _receive(request)
    chunk: bytes = message.get("body", b"")
    if len(chunk) > limit_bytes:
        raise BodyTooLarge(f"the body is larger than {limit_bytes} bytes")
    if not message.get("more_body", False):
        return chunk
    return await _rest(request, chunk, limit_bytes)


async def _rest(request: Request, first: bytes, limit_bytes: int) -> bytes:
    received = bytearray(first)
    try:
        async with asyncio.timeout(BODY_SECONDS_MAX):
            more = True
            while more:
                message = await _receive(request)
                received += message.get("body", b"")
                more = message.get("more_body", False)
                if len(received) > limit_bytes:
                    raise BodyTooLarge(f"the body is larger than {limit_bytes} bytes")
    except TimeoutError:
        raise BodyTooSlow(f"the body took longer than {BODY_SECONDS_MAX:.0f} seconds") from None
    return bytes(received)


async def _discard(request: Request) -> None:
    """Read a body to its end and keep nothing of it."""
    with suppress(TimeoutError, ClientDisconnect):
        async with asyncio.timeout(DISCARDED_SECONDS_MAX):
            while (await _receive(request)).get("more_body", False):
                pass


async def _receive(request: Request) -> Any:
    message = await request.receive()
    if message["type"] == "http.disconnect":
        raise ClientDisconnect
    return message


async def body(request: Request, struct: type[T], limit_bytes: int = BODY_BYTES_MAX) -> T:
    """The JSON body as *struct*, whose unknown fields must be forbidden all the way down.

    Raises UnsupportedMediaType, BodyTooLarge, or InvalidRequest with the fields that are wrong: malformed JSON, unknown
    or duplicate fields, wrong types, deeper than 16, integers beyond 2^53, NaN, not UTF-8, not an object.
    """
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "application/json" and not (
        media_type.startswith("application/") and media_type.endswith("+json")
    ):
        raise UnsupportedMediaType("the body must be application/json")
    decoder: msgspec.json.Decoder[T] = _decoder(struct)
    raw = await raw_body(request, limit_bytes)
    _check(raw)
    try:
        return decoder.decode(raw)
    except msgspec.ValidationError as error:
        raise _invalid(error) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise InvalidRequest("the body is not valid JSON") from None


def query(request: Request, struct: type[T]) -> T:
    """The query string as *struct*; numbers and booleans are read from text. A repeated parameter is refused."""
    raw: bytes = request.scope["query_string"]
    try:
        pairs = parse_qsl(
            raw.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=QUERY_PARAMETERS_MAX
        )
    except ValueError:
        raise InvalidRequest("the query string cannot be read") from None
    values = dict(pairs)
    if len(values) != len(pairs):
        names = [name for name, _ in pairs]
        repeated = next(name for name in names if names.count(name) > 1)
        raise InvalidRequest("a parameter is repeated", **{_shown(repeated): "is given more than once"})
    _decoder(struct)  # only types that forbid unknown fields get past this
    try:
        return msgspec.convert(values, struct, strict=False)
    except msgspec.ValidationError as error:
        raise _invalid(error) from None


def _check(raw: bytes) -> None:
    """What msgspec lets pass: duplicate keys (the last would win), numbers of any size, depth up to the stack's."""
    if raw.count(b"{") + raw.count(b"[") > DEPTH_MAX and _depth(raw) > DEPTH_MAX:
        raise InvalidRequest(f"the body is nested deeper than {DEPTH_MAX}")
    try:
        document = _strict_json(raw.decode())
    except UnicodeDecodeError:
        raise InvalidRequest("the body is not UTF-8") from None
    except (ValueError, RecursionError):
        raise InvalidRequest("the body is not valid JSON") from None
    if not isinstance(document, dict):
        raise InvalidRequest("the body must be a JSON object")


def _depth(raw: bytes) -> int:
    depth = deepest = 0
    for bracket in _BRACKET.findall(_STRING.sub(b"", raw)):
        depth += 1 if bracket in b"[{" else -1
        deepest = max(deepest, depth)
    return deepest


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        repeated = next(name for name in names if names.count(name) > 1)
        raise InvalidRequest("a field is repeated", **{_shown(repeated): "is given more than once"})
    return found


def _integer(digits: str) -> int:
    if len(digits) > INTEGER_DIGITS_MAX or not -INTEGER_MAX <= int(digits) <= INTEGER_MAX:
        raise InvalidRequest("a number is too large: integers go up to 2^53")
    return 0


def _not_json(name: str) -> NoReturn:
    raise InvalidRequest(f"{name} is not a JSON value")


# The values are thrown away: floats are not read, and integers only measured.
_strict_json = json.JSONDecoder(
    object_pairs_hook=_unique, parse_int=_integer, parse_float=len, parse_constant=_not_json
).decode


@lru_cache(maxsize=1024)
def _decoder(struct: type[T]) -> msgspec.json.Decoder[T]:
    """Raises TypeError, which is a bug of ours, when an unknown field would be let pass somewhere inside."""
    for found in _structs(inspect.type_info(struct), set()):
        if not found.__struct_config__.forbid_unknown_fields:
            raise TypeError(f"{found.__name__} must forbid unknown fields to be read from a request")
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


def _invalid(error: msgspec.ValidationError) -> InvalidRequest:
    """msgspec's words with its path taken apart: "Expected `int`, got `str` - at `$.amount.minor`"."""
    match = _PATH.fullmatch(str(error))
    problem, path = (match["problem"], match["path"] or "") if match else (str(error), "")
    named = _NAMED.fullmatch(problem)
    if named is not None:
        path = f"{path}.{named['name']}" if path else named["name"]
        problem = "is required" if "missing" in problem else "is not known"
    if not path:
        return InvalidRequest(_shown(problem))
    return InvalidRequest("the request has a field that is wrong", **{_shown(path): _shown(problem)})


def _shown(text: str) -> str:
    """What a client sent is shown back to a bounded length."""
    return text if len(text) <= _TEXT_LENGTH_MAX else text[:_TEXT_LENGTH_MAX] + "…"
