import base64
import io
import json
from collections.abc import AsyncIterator

import grpc
import grpc.aio
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from grpc_health.v1 import health_pb2, health_pb2_grpc

from commdesk.common.v1 import common_pb2
from common import context, grpc_client, logs
from common.context import Context
from common.errors import KINDS, Conflict, DomainError, FailedPrecondition, InvalidArgument, Unavailable, Unresolved
from common.grpc_client import CalleeFailed, CalleeUnavailable, errors_from, verdicts
from common.grpc_server import STATUS, GrpcServer, serve_grpc, status_of
from common.tokens import ServiceTokens

KEYS = {name: Ed25519PrivateKey.generate() for name in ("payment", "wallet", "stranger")}
PUBLIC = {name: base64.b64encode(KEYS[name].public_key().public_bytes_raw()).decode() for name in ("payment", "wallet")}


def tokens(service: str) -> ServiceTokens:
    return ServiceTokens(service, base64.b64encode(KEYS[service].private_bytes_raw()).decode(), PUBLIC)


class CreditsMissing(FailedPrecondition):
    fix = "Buy credits."


class Echo:
    """A service over the wire's Money: currency says what to do, the context comes back in the answer."""

    async def Say(self, request: common_pb2.Error, call: object) -> common_pb2.Error:
        match request.code:
            case "bug":
                raise RuntimeError("password=hunter2")
            case "missing":
                raise CreditsMissing("not enough", credits="5 short")
            case "busy":
                error = Unavailable("later")
                error.retry_after_seconds = 9
                raise error
            case "kind":
                raise next(kind for kind in KINDS if kind.kind == request.kind)("x")
        now = context.current()
        return common_pb2.Error(
            code=now.request_id,
            message=now.user_agent,
            kind=now.traceparent,
            fields={"user": now.user_id, "merchant": now.merchant_id, "ip": now.ip, "correlation": now.correlation_id}
            | ({"links": ",".join(now.links)} if now.links else {}),
        )


def add_echo(servicer: Echo, server: object) -> None:
    """What generated code does."""
    handlers = {
        "Say": grpc.unary_unary_rpc_method_handler(
            servicer.Say,
            request_deserializer=common_pb2.Error.FromString,
            response_serializer=common_pb2.Error.SerializeToString,
        ),
        "Closed": grpc.unary_unary_rpc_method_handler(
            servicer.Say,
            request_deserializer=common_pb2.Error.FromString,
            response_serializer=common_pb2.Error.SerializeToString,
        ),
    }
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("test.Echo", handlers),))
    server.add_registered_method_handlers("test.Echo", handlers)


def allowed(method: str) -> frozenset[str]:
    return frozenset({"payment"}) if method == "/test.Echo/Say" else frozenset()


@pytest.fixture
async def server() -> AsyncIterator[GrpcServer]:
    server = await serve_grpc(0, [(add_echo, Echo())], tokens("wallet"), allowed_callers=allowed)
    yield server
    await server.stop(0)


def method(channel: grpc.aio.Channel, name: str = "Say"):
    return channel.unary_unary(
        f"/test.Echo/{name}",
        request_serializer=common_pb2.Error.SerializeToString,
        response_deserializer=common_pb2.Error.FromString,
    )


@pytest.fixture
async def channel(server: GrpcServer) -> AsyncIterator[grpc.aio.Channel]:
    async with grpc_client.channel(f"127.0.0.1:{server.port}", tokens("payment"), "wallet") as channel:
        yield channel


async def test_the_context_travels(channel: grpc.aio.Channel):
    now = Context("req", "cor", context.new_traceparent(), "usr_1", "mer_1", "203.0.113.7", "Agent/1 é")
    with context.bind(now):
        answer = await method(channel)(common_pb2.Error(), timeout=5)
    assert (answer.code, answer.message) == ("req", "Agent/1 é")
    assert dict(answer.fields) == {"user": "usr_1", "merchant": "mer_1", "ip": "203.0.113.7", "correlation": "cor"}
    assert answer.kind[3:35] == now.traceparent[3:35]
    assert answer.kind != now.traceparent
    minted = await method(channel)(common_pb2.Error(), timeout=5)
    assert len(minted.code) == 36
    assert context.is_traceparent(minted.kind)


async def test_a_call_for_several_requests_links_them(channel: grpc.aio.Channel):
    batch = context.of_batch([Context(correlation_id=f"cor-{number}") for number in range(2)])
    with context.bind(batch):
        answer = await method(channel)(common_pb2.Error(), timeout=5)
    assert answer.fields["links"] == "cor-0,cor-1"
    assert answer.kind[3:35] == batch.trace_id
    assert len(answer.code) == 36, "a request of its own"


async def test_a_verdict_keeps_kind_code_message_and_fields(channel: grpc.aio.Channel):
    with pytest.raises(FailedPrecondition) as raised, verdicts():
        await method(channel)(common_pb2.Error(code="missing"), timeout=5)
    error = raised.value
    assert (error.code, error.message, error.fields) == ("credits_missing", "not enough", {"credits": "5 short"})


async def test_a_verdict_keeps_its_waiting_time(channel: grpc.aio.Channel):
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await method(channel)(common_pb2.Error(code="busy"), timeout=5)
    error = errors_from(raised.value)
    assert isinstance(error, Unavailable)
    assert error.retry_after_seconds == 9


@pytest.mark.parametrize("kind", KINDS)
async def test_every_kind_crosses_the_wire(channel: grpc.aio.Channel, kind: type[DomainError]):
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await method(channel)(common_pb2.Error(code="kind", kind=kind.kind), timeout=5)
    assert raised.value.code() is STATUS[kind] is status_of(kind())
    assert type(errors_from(raised.value)) is kind


async def test_a_bug_says_nothing_and_is_logged(channel: grpc.aio.Channel):
    stream = io.BytesIO()
    logs.setup("wallet", "test", "INFO", stream=stream)
    try:
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await method(channel)(common_pb2.Error(code="bug"), timeout=5)
        logs.flush()
    finally:
        logs.setup("wallet", "test", "CRITICAL", stream=io.BytesIO())
    assert raised.value.code() is grpc.StatusCode.UNKNOWN
    assert "hunter2" not in (raised.value.details() or "")
    assert isinstance(errors_from(raised.value), CalleeFailed)
    first, second = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert "RuntimeError" in first["trace"]
    assert (second["method"], second["status"], second["caller"]) == ("/test.Echo/Say", "UNKNOWN", "payment")


async def bare(server: GrpcServer, metadata: tuple[tuple[str, str], ...], name: str = "Say") -> grpc.aio.AioRpcError:
    async with grpc.aio.insecure_channel(f"127.0.0.1:{server.port}") as channel:
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await method(channel, name)(common_pb2.Error(), timeout=5, metadata=metadata)
    return raised.value


async def test_calls_without_a_good_token_are_unauthenticated(server: GrpcServer):
    stranger = ServiceTokens("payment", base64.b64encode(KEYS["stranger"].private_bytes_raw()).decode(), PUBLIC)
    for metadata in (
        (),
        (("authorization", "Bearer"),),
        (("authorization", "Bearer x.y.z"),),
        (("authorization", "Basic " + tokens("payment").issue("wallet")),),
        (("authorization", "Bearer " + tokens("payment").issue("ledger")),),
        (("authorization", "Bearer " + stranger.issue("wallet")),),
    ):
        error = await bare(server, metadata)
        assert error.code() is grpc.StatusCode.UNAUTHENTICATED
        assert dict(error.trailing_metadata())["error-code"] == "service_token_invalid"


async def test_calls_that_the_table_does_not_hold_are_denied(server: GrpcServer, channel: grpc.aio.Channel):
    error = await bare(server, (("authorization", "Bearer " + tokens("wallet").issue("wallet")),))
    assert error.code() is grpc.StatusCode.PERMISSION_DENIED
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await method(channel, "Closed")(common_pb2.Error(), timeout=5)
    assert raised.value.code() is grpc.StatusCode.PERMISSION_DENIED
    # To our own caller this is our trouble, not theirs.
    assert isinstance(errors_from(raised.value), CalleeFailed)


async def test_every_call_has_a_deadline(channel: grpc.aio.Channel):
    with pytest.raises(TypeError, match="timeout"):
        method(channel)(common_pb2.Error())


async def test_nobody_there_is_unavailable():
    async with grpc_client.channel("127.0.0.1:1", tokens("payment"), "wallet") as channel:
        with pytest.raises(CalleeUnavailable), verdicts():
            await method(channel)(common_pb2.Error(), timeout=1)


async def test_health_is_open_to_everybody(server: GrpcServer):
    async with grpc.aio.insecure_channel(f"127.0.0.1:{server.port}") as channel:
        health = health_pb2_grpc.HealthStub(channel)
        for name in ("", "test.Echo"):
            answer = await health.Check(health_pb2.HealthCheckRequest(service=name), timeout=5)
            assert answer.status == health_pb2.HealthCheckResponse.SERVING


async def test_streams_are_refused_at_registration():
    class Registrar(Echo):
        pass

    def add_stream(servicer: object, server: object) -> None:
        server.add_registered_method_handlers(
            "test.Stream", {"Watch": grpc.unary_stream_rpc_method_handler(lambda request, call: None)}
        )

    with pytest.raises(TypeError, match="unary"):
        await serve_grpc(0, [(add_stream, Registrar())], tokens("wallet"), allowed_callers=allowed)


def test_an_items_error_crosses_in_a_batch():
    sent = CreditsMissing("not enough", credits="5 short")
    got = grpc_client.error_from(grpc_client.error_message(sent))
    assert type(got) is FailedPrecondition
    assert (got.code, got.message, got.fields) == (sent.code, sent.message, sent.fields)
    assert type(grpc_client.error_from(common_pb2.Error(code="x", kind="Conflict"))) is Conflict
    assert type(grpc_client.error_from(common_pb2.Error(code="x", kind="?"))) is Unresolved
    assert isinstance(got, DomainError)
    assert not isinstance(got, InvalidArgument)
