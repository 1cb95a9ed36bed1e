"""The worst of every type, as Hypothesis strategies, and what may be asserted whatever comes in.

One test per interface throws it at everything that the service offers, found by the rows that exist: routes by the
types of their bodies and queries, gRPC methods by their requests, queues by the messages of their subscriptions.

A service's tests import the ones below, for the fixture `served` of common.testing:

    from common.testing.hostile_tests import *  # noqa: F403
"""

import copy
import json
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from msgspec import inspect

if TYPE_CHECKING:
    from common.http_server import Route
    from common.testing.in_process import Served

M = TypeVar("M", bound=Message)
Draw = Callable[[st.SearchStrategy[Any]], Any]

# For parsers that touch nothing: how long one takes is not what is tested here.
pure = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
# The fixtures are the same service for every example: what an example leaves behind belongs to the test.
examples = settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)

# ── Values ───────────────────────────────────────────────────────────────────────────────────────────────────────

TIMES = (
    "",
    "0001-01-01T00:00:00Z",
    "0001-01-01T00:00:00+05:30",
    "0001-01-01T00:00:00+23:59",
    "0000-00-00T00:00:00Z",
    "1970-01-01T00:00:00Z",
    "1999-12-31T23:59:59.999999Z",
    "2000-01-01T00:00:00+14:00",
    "2026-04-01T10:00:00+05:30",
    "2026-04-01T10:00:00",
    "2026-02-30T10:00:00Z",
    "2026-04-01T24:00:00Z",
    "2099-12-31T23:59:59-12:00",
    "2100-01-01T00:00:00Z",
    "9999-12-31T23:59:59-05:30",
    "9999-12-31T23:59:59Z",
    "9999-12-31",
    "0001-01-01",
    "294276-12-31T23:59:59Z",
    "+275760-09-13T00:00:00Z",
    "-infinity",
    "infinity",
    "now",
    "٢٠٢٦-٠٤-٠١T١٠:٠٠:٠٠Z",
    "2026-04-01T10:00:00+99:99",
    "2026-W14-3",
)
INTEGERS = (
    0, -1, 1, 90, 1_000, 1_005, 2**31 - 1, 2**31, -(2**31), 2**53 - 1, 2**53, 2**53 + 1, 2**63 - 1, -(2**63), 2**63,
    2**64, 10**16, 10**30, -(10**30),
)  # fmt: skip
FLOATS = (0.0, -0.0, 1.005, 0.1, 1e-9, 1e15, 1e16, 1e300, float("nan"), float("inf"), float("-inf"))
# As texts, and as raw JSON numbers where a parser reads decimals.
NUMBERS = (
    "NaN",
    "sNaN",
    "Infinity",
    "-Infinity",
    "1e999999999",
    "1E-999999999",
    "-0",
    "00",
    "0x10",
    "1_000",
    "9" * 400,
)
TEXTS = (
    "", " ", "\0", "a\0b", "\x01\x1f\x7f", "\r\nBcc: x@y.in", "\u202egnp.exe", "\u2066\u2069", "\u200d", "a\u200cb",
    "\ufeff", "\u2028", "\ud800", "\udfff\ud800", "\U0010ffff", "é" * 40, "𝕏" * 200, "x" * 5_000, "<script>", "{{7*7}}",
    "' or 1=1 --", "%00", "..%2f..", "../..", "NA", "null", "ഹര്\u200dഷന്\u200d", "علی\u200cرضا", "👨\u200d👩\u200d👧",
    "a@b.com", "asha.rao.@example.com", "+91", "9876543210", "+1 415 555 2671", "INR", "inr", "₹", "USD", "XXX",
    "https://evil.example/", "https://user:pw@evil.example", "http://127.0.0.1:22", "https://[::1]/", "29", "00", "39",
)  # fmt: skip
_UUID = "01J0000000000000000000000A"
IDS = tuple(
    f"{prefix}_{_UUID}"
    for prefix in ("pay", "ord", "txn", "inv", "wal", "wtx", "evt", "usr", "ses", "env", "dlq", "jrn")
)

texts = st.sampled_from(TEXTS) | st.sampled_from(IDS) | st.sampled_from(TIMES) | st.sampled_from(NUMBERS) | st.text()
# Texts as UTF-8 can carry them: what protobuf, headers and paths are able to bring.
encodable_texts = texts.map(lambda text: text.encode("utf-8", "ignore").decode())
integers = st.sampled_from(INTEGERS) | st.integers()
scalars = texts | integers | st.sampled_from(FLOATS) | st.booleans() | st.none()


def _nested(depth: int) -> Any:
    value: Any = 0
    for level in range(depth):
        value = [value] if level % 2 else {"a": value}
    return value


json_values = st.one_of(
    scalars,
    st.lists(scalars, max_size=4),
    st.dictionaries(texts, scalars, max_size=4),
    st.sampled_from([5, 20, 200]).map(_nested),
    st.sampled_from([[0] * 10_000, ["x"] * 2_000, {str(number): number for number in range(2_000)}]),
)


def encode(value: object) -> bytes:
    """JSON as anybody may write it: NaN, huge integers and lone surrogates included."""
    return json.dumps(value, ensure_ascii=True, allow_nan=True).encode()


def is_json(value: object) -> bool:
    """Whether *value* is one that JSON has: NaN and infinities make no document at all."""
    try:
        json.dumps(value, allow_nan=False)
    except ValueError:
        return False
    return True


bodies = (
    json_values.map(encode)
    | st.binary(max_size=200)
    | st.sampled_from(
        [b"", b"{", b"[" * 5_000, b'{"a":' * 5_000, b"\xff\xfe", b'"\xed\xa0\x80"', b'{"a":1,"a":2}', b"nul", b"\0"]
    )
)


def mutated(value: Any) -> st.SearchStrategy[Any]:
    """*value*, a document that is good, with hostile values in one or two of its places, or with one left out."""
    places = list(_places(value, ()))
    return st.lists(st.tuples(st.sampled_from(places), json_values), min_size=1, max_size=2).map(
        lambda changes: _with(json.loads(json.dumps(value)), changes)
    )


def _places(value: Any, path: tuple[Any, ...]) -> Any:
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, child in children:
        yield (*path, key)
        yield from _places(child, (*path, key))


def _with(value: Any, changes: list[tuple[tuple[Any, ...], Any]]) -> Any:
    for path, replacement in changes:
        parent = value
        try:
            for key in path[:-1]:
                parent = parent[key]
            # A copy: a later change may go into it, and must neither reach another example nor tie a knot.
            parent[path[-1]] = copy.deepcopy(replacement)
        except (TypeError, KeyError, IndexError):  # an earlier change took the place away
            continue
    return value


# ── Typed values ─────────────────────────────────────────────────────────────────────────────────────────────────


def values_of(kind: Any) -> st.SearchStrategy[Any]:
    """Values of the msgspec type *kind* as JSON says them, and in every other place something else."""
    return _typed(inspect.type_info(kind))


def _typed(info: inspect.Type) -> st.SearchStrategy[Any]:
    if isinstance(info, inspect.Metadata):
        return _typed(info.type)
    if isinstance(info, inspect.StructType):
        names = {field.encode_name: field for field in info.fields}
        strategies = {name: _typed(field.type) | json_values for name, field in names.items()}
        required = {name: strategies[name] for name, field in names.items() if field.required}
        optional = {name: strategies[name] for name in strategies if name not in required}
        return st.fixed_dictionaries(required, optional=optional)
    if isinstance(info, inspect.UnionType):
        return st.one_of([_typed(each) for each in info.types])
    if isinstance(info, inspect.DictType):
        return st.dictionaries(texts, _typed(info.value_type) | scalars, max_size=3)
    if isinstance(info, inspect.ListType | inspect.CollectionType):
        return st.lists(_typed(info.item_type) | scalars, max_size=3)
    if isinstance(info, inspect.IntType):
        return integers
    if isinstance(info, inspect.BoolType):
        return st.booleans()
    if isinstance(info, inspect.EnumType):
        return st.sampled_from([member.value for member in info.cls]) | texts
    if isinstance(info, inspect.DateTimeType | inspect.DateType):
        return st.sampled_from(TIMES)
    if isinstance(info, inspect.NoneType):
        return st.none()
    return texts


def messages_of(kind: type[M], depth: int = 3) -> st.SearchStrategy[M]:
    """Messages of a protobuf type, each field at its worst or at its best."""
    fields = {
        descriptor.name: _field(descriptor, depth)
        for descriptor in kind.DESCRIPTOR.fields
        if depth or descriptor.message_type is None
    }
    return st.fixed_dictionaries({}, optional=fields).map(lambda content: kind(**content))


_BITS = {
    FieldDescriptor.CPPTYPE_INT32: (-(2**31), 2**31 - 1),
    FieldDescriptor.CPPTYPE_UINT32: (0, 2**32 - 1),
    FieldDescriptor.CPPTYPE_INT64: (-(2**63), 2**63 - 1),
    FieldDescriptor.CPPTYPE_UINT64: (0, 2**64 - 1),
}


def _field(descriptor: Any, depth: int) -> st.SearchStrategy[Any]:
    kind = descriptor.message_type
    if kind is not None and kind.GetOptions().map_entry:
        return st.dictionaries(encodable_texts, encodable_texts, max_size=2)
    single = _single(descriptor, depth)
    return st.lists(single, max_size=3) if descriptor.is_repeated else single


def _single(descriptor: Any, depth: int) -> st.SearchStrategy[Any]:
    if descriptor.message_type is not None:
        return messages_of(descriptor.message_type._concrete_class, depth - 1)
    if descriptor.type == FieldDescriptor.TYPE_BYTES:
        return bodies | st.binary(min_size=16, max_size=16)
    if descriptor.type == FieldDescriptor.TYPE_STRING:
        return encodable_texts
    if descriptor.type == FieldDescriptor.TYPE_BOOL:
        return st.booleans()
    if descriptor.enum_type is not None:
        return st.integers(-1, 200)
    if descriptor.cpp_type in (FieldDescriptor.CPPTYPE_FLOAT, FieldDescriptor.CPPTYPE_DOUBLE):
        return st.sampled_from(FLOATS)
    low, high = _BITS[descriptor.cpp_type]
    sound = st.sampled_from([1_795_000_000_000_000 % (high + 1), 0, 1])
    return sound | integers.map(lambda number: min(max(number, low), high))


# ── Interfaces ───────────────────────────────────────────────────────────────────────────────────────────────────


async def request(served: "Served", access_token: Callable[..., str], draw: Draw) -> None:
    """Send one hostile request to one of the service's endpoints: it is answered, and not by a bug."""
    route: Route[Any] = draw(st.sampled_from([each for each in served.service.http if each.documented]))
    path = route.path
    for name in _parameters(path):
        path = path.replace("{" + name + "}", quote(draw(encodable_texts) or "x", safe=""))
    token = access_token("usr_" + _UUID, roles=["ADMIN"])
    headers = {"authorization": f"Bearer {token}", "content-type": "application/json"}
    query = ""
    if route.query is not None and draw(st.booleans()):
        values = draw(values_of(route.query))
        query = "&".join(f"{quote(str(name))}={quote(_text(value), safe='')}" for name, value in values.items())
    body = b""
    if route.body is bytes:
        body = draw(bodies)
    elif route.body is not None:
        body = draw(values_of(route.body).map(encode) | bodies)
    response = await served.http.request(route.method, f"{path}?{query}"[:8_000], content=body, headers=headers)
    assert response.status_code < 500 or response.status_code == 503, (route.path, response.text)
    if response.status_code >= 400 and response.headers.get("content-type") == "application/json":
        error = response.json()["error"]
        assert error["code"], error
        assert error["requestId"], error


async def call(served: "Served", draw: Draw) -> None:
    """Make one hostile call of one of the service's methods: it is answered, and not by a bug."""
    import sys

    import grpc

    from common import topology

    add_to_server, _ = draw(st.sampled_from(list(served.service.grpc)))
    name = add_to_server.__name__.removeprefix("add_").removesuffix("Servicer_to_server")
    generated = sys.modules[add_to_server.__module__]
    descriptor = sys.modules[add_to_server.__module__.removesuffix("_grpc")].DESCRIPTOR.services_by_name[name]
    method = draw(st.sampled_from(list(descriptor.methods)))
    message = draw(messages_of(method.input_type._concrete_class))
    callers = topology.allowed_callers(f"/{descriptor.full_name}/{method.name}")
    stub = getattr(generated, f"{name}Stub")(served.channel(min(callers)))
    answered = getattr(stub, method.name)(message, timeout=20)
    with suppress(grpc.aio.AioRpcError):
        await answered
    code = await answered.code()
    assert code not in (grpc.StatusCode.UNKNOWN, grpc.StatusCode.INTERNAL), (method.name, await answered.details())


async def deliver(served: "Served", draw: Draw) -> None:
    """Have one queue deliver hostile messages of one of its types: each is handled or refused by name."""
    from common.testing.in_process import delivery

    subscription = draw(st.sampled_from(list(served.service.subscriptions)))
    events = draw(st.lists(messages_of(subscription.message), min_size=1, max_size=3))
    await served.deliver(subscription.queue, [delivery(events)])
    async with served.resources.db.begin() as tx:
        rows = await tx.execute("select headers from outbox where headers ->> 'error-code' = 'handler_failed'")
    assert not rows, (subscription.type, rows)


def _parameters(path: str) -> list[str]:
    return [part.partition("}")[0] for part in path.split("{")[1:]]


def _text(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return text.encode("utf-8", "ignore").decode()[:500]
