"""Mutual TLS: who shows no certificate, one of another authority, or one of another name does not get in."""

import asyncio
import base64
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import pytest
import trustme
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from commdesk.common.v1 import common_pb2
from common import grpc_client
from common.grpc_certificates import Certificates
from common.grpc_server import GrpcServer, serve_grpc
from common.tokens import ServiceTokens

NAMES = ("payment", "wallet", "fraud")
KEYS = {name: Ed25519PrivateKey.generate() for name in NAMES}
PUBLIC = {name: base64.b64encode(key.public_key().public_bytes_raw()).decode() for name, key in KEYS.items()}


def tokens(service: str) -> ServiceTokens:
    return ServiceTokens(service, base64.b64encode(KEYS[service].private_bytes_raw()).decode(), PUBLIC)


class Echo:
    async def Say(self, request: common_pb2.Error, call: object) -> common_pb2.Error:
        return request


def add_echo(servicer: Echo, server: object) -> None:
    """What generated code does."""
    handler = grpc.unary_unary_rpc_method_handler(
        servicer.Say,
        request_deserializer=common_pb2.Error.FromString,
        response_serializer=common_pb2.Error.SerializeToString,
    )
    server.add_registered_method_handlers("test.Echo", {"Say": handler})  # type: ignore[attr-defined]


def issue(authority: trustme.CA, folder: Path, name: str, *, trusted: trustme.CA | None = None) -> Certificates:
    """Files of a certificate for *name*; its owner trusts *trusted*, *authority* unless given."""
    folder.mkdir(parents=True, exist_ok=True)
    issued = authority.issue_cert(name)
    paths = [folder / f"{name}.{part}" for part in ("pem", "key", "ca")]
    paths[0].write_bytes(b"".join(part.bytes() for part in issued.cert_chain_pems))
    issued.private_key_pem.write_to_path(paths[1])
    (trusted or authority).cert_pem.write_to_path(paths[2])
    return Certificates(*map(str, paths))


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
async def server(authority: trustme.CA, tmp_path: Path) -> AsyncIterator[GrpcServer]:
    certificates = issue(authority, tmp_path, "wallet")
    allowed = frozenset({"payment", "fraud"})
    server = await serve_grpc(
        0, [(add_echo, Echo())], tokens("wallet"), certificates=certificates, allowed_callers=lambda _: allowed
    )
    yield server
    await server.stop(0)


async def say(
    server: GrpcServer,
    certificates: Certificates | None,
    *,
    caller: str = "payment",
    audience: str = "wallet",
    port: int = 0,
) -> str:
    """The status of a call: OK, UNAVAILABLE when the handshake fails, UNAUTHENTICATED when the caller is refused."""
    address = f"127.0.0.1:{port or server.port}"
    async with grpc_client.channel(address, tokens(caller), audience, certificates) as channel:
        call = channel.unary_unary(
            "/test.Echo/Say",
            request_serializer=common_pb2.Error.SerializeToString,
            response_deserializer=common_pb2.Error.FromString,
        )
        try:
            await call(common_pb2.Error(code="x"), timeout=5)
        except grpc.aio.AioRpcError as error:
            return error.code().name
        return "OK"


async def test_services_of_the_fleet_talk(server: GrpcServer, authority: trustme.CA, tmp_path: Path) -> None:
    assert await say(server, issue(authority, tmp_path, "payment")) == "OK"


async def test_a_client_without_a_certificate_is_refused(server: GrpcServer, authority: trustme.CA) -> None:
    assert await say(server, None) == "UNAVAILABLE"
    credentials = grpc.ssl_channel_credentials(authority.cert_pem.bytes())
    options = (("grpc.ssl_target_name_override", "wallet"),)
    async with grpc.aio.secure_channel(f"127.0.0.1:{server.port}", credentials, options=options) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await channel.unary_unary("/test.Echo/Say")(b"", timeout=2)
        assert refused.value.code() is grpc.StatusCode.UNAVAILABLE


async def test_a_client_of_another_authority_is_refused(
    server: GrpcServer, authority: trustme.CA, tmp_path: Path
) -> None:
    stranger = issue(trustme.CA(), tmp_path / "stranger", "payment", trusted=authority)
    assert await say(server, stranger) == "UNAVAILABLE"


async def test_a_callee_of_another_authority_is_refused(
    server: GrpcServer, authority: trustme.CA, tmp_path: Path
) -> None:
    suspicious = issue(authority, tmp_path / "suspicious", "payment", trusted=trustme.CA())
    assert await say(server, suspicious) == "UNAVAILABLE"


async def test_a_callee_of_another_name_is_refused(server: GrpcServer, authority: trustme.CA, tmp_path: Path) -> None:
    # The server at fraud's address owns wallet's certificate.
    assert await say(server, issue(authority, tmp_path, "payment"), audience="fraud") == "UNAVAILABLE"


async def test_a_slow_handshake_is_waited_for(server: GrpcServer, authority: trustme.CA, tmp_path: Path) -> None:
    async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65_536):
            await asyncio.sleep(0.2)  # a busy machine
            writer.write(data)
        writer.close()

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        to_server = await asyncio.open_connection("127.0.0.1", server.port)
        await asyncio.gather(pass_on(reader, to_server[1]), pass_on(to_server[0], writer), return_exceptions=True)

    slow = await asyncio.start_server(relay, "127.0.0.1", 0)
    async with slow:
        port = slow.sockets[0].getsockname()[1]
        assert await say(server, issue(authority, tmp_path, "payment"), port=port) == "OK"


@pytest.mark.parametrize("owner", ["fraud", "wallet", "paymen", "payment.example"])
async def test_a_token_counts_only_with_its_issuers_certificate(
    server: GrpcServer, authority: trustme.CA, tmp_path: Path, owner: str
) -> None:
    certificates = issue(authority, tmp_path / "other", owner)
    assert await say(server, certificates, caller="payment") == "UNAUTHENTICATED"


async def test_a_plain_connection_is_refused_within_a_second(server: GrpcServer) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=2) as connection:
        connection.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00")
        # Nothing of HTTP/2 comes back: the end, or an alert of TLS.
        assert connection.recv(64)[:1] in (b"", b"\x15")


async def test_the_server_takes_a_renewed_certificate(
    server: GrpcServer, authority: trustme.CA, tmp_path: Path
) -> None:
    client = issue(authority, tmp_path, "payment")
    assert await say(server, client) == "OK"
    renewed = trustme.CA()
    issue(renewed, tmp_path, "wallet", trusted=authority)
    # The server's file of authorities still holds the old one: it goes on knowing the client, which does not know it.
    assert await say(server, client) == "UNAVAILABLE"
    assert await say(server, issue(authority, tmp_path, "payment", trusted=renewed)) == "OK"
    # A renewal that is half done changes nothing.
    (tmp_path / "wallet.key").write_text("half")
    assert await say(server, issue(authority, tmp_path, "payment", trusted=renewed)) == "OK"


@pytest.mark.parametrize("missing", ["pem", "key", "ca"])
def test_files_that_are_not_right_are_named_at_the_start(authority: trustme.CA, tmp_path: Path, missing: str) -> None:
    good = issue(authority, tmp_path, "payment")
    good.check()
    (tmp_path / f"payment.{missing}").write_text("")
    with pytest.raises(ValueError, match="not PEM"):
        good.check()
    (tmp_path / f"payment.{missing}").unlink()
    with pytest.raises(FileNotFoundError):
        good.check()


def test_a_key_of_another_certificate_is_refused(authority: trustme.CA, tmp_path: Path) -> None:
    good = issue(authority, tmp_path, "payment")
    authority.issue_cert("payment").private_key_pem.write_to_path(tmp_path / "payment.key")
    with pytest.raises(ValueError, match="not the certificate's"):
        good.check()
    with pytest.raises(ValueError, match="all three"):
        Certificates(str(tmp_path / "payment.pem"), "", "").check()
