"""Encrypted and logged in, on both event loops: pipelining goes over the connection that aiosmtplib has secured."""

import asyncio
import datetime
import ipaddress
import ssl
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import uvloop
from aiosmtpd.smtp import SMTP, AuthResult
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from notifier.domain.smtp_replies import MailSent
from notifier.gateways.smtp import MailServerUnreachable, Smtp
from services.notifier.tests.conftest import Inbox

LOOPS = [asyncio.new_event_loop, uvloop.new_event_loop]
MESSAGE = b"Subject: hello\r\n\r\n.body\r\n"
PASSWORD = b"f8Jq2mXw9Lr4Tz7B"


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A self-signed certificate for 127.0.0.1, with its key, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.datetime.now(datetime.UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(minutes=5))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    file = tmp_path_factory.mktemp("tls") / "server.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    file.write_bytes(private + signed.public_bytes(serialization.Encoding.PEM))
    return file


@pytest.fixture(params=["starttls", "implicit"])
def secured(request: pytest.FixtureRequest, inbox: Inbox, certificate: Path) -> Iterator[Callable[..., Smtp]]:
    """A server that accepts mails only over TLS and after a login; makes gateways to it."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)

    def authenticate(server: Any, session: Any, envelope: Any, mechanism: str, data: Any) -> AuthResult:
        return AuthResult(success=(data.login, data.password) == (b"relay", PASSWORD), handled=False)

    implicit = request.param == "implicit"
    options: dict[str, Any] = {} if implicit else {"tls_context": context, "require_starttls": True}

    def conversation() -> SMTP:
        return SMTP(
            inbox,
            hostname="relay",
            authenticator=authenticate,
            auth_required=True,
            auth_require_tls=not implicit,
            **options,
        )

    # On a loop of its own, because the server knows asyncio's TLS only.
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    starting = loop.create_server(conversation, "127.0.0.1", 0, ssl=context if implicit else None)
    server = asyncio.run_coroutine_threadsafe(starting, loop).result(5)
    port = server.sockets[0].getsockname()[1]

    def make(ca_file: str = str(certificate), password: str = PASSWORD.decode()) -> Smtp:
        return Smtp(
            host="127.0.0.1", port=port, username="relay", password=password, tls=request.param,
            sender="billing@commdesk.example", connections=2, ca_file=ca_file,
        )  # fmt: skip

    yield make
    loop.call_soon_threadsafe(server.close)
    loop.call_soon_threadsafe(loop.stop)
    thread.join(5)
    loop.close()


@pytest.mark.parametrize("new_loop", LOOPS, ids=["asyncio", "uvloop"])
def test_mails_go_over_tls_after_a_login(secured: Callable[..., Smtp], inbox: Inbox, new_loop: Any) -> None:
    async def send() -> None:
        smtp = secured()
        for _ in range(3):
            results = await asyncio.gather(*(smtp.send(f"u{number}@example.com", MESSAGE, 1) for number in range(4)))
            assert results == [MailSent(250)] * 4
        await smtp.aclose()
        await asyncio.sleep(0.05)

    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(send())
    assert inbox.raw == [MESSAGE] * 12


@pytest.mark.parametrize("new_loop", LOOPS, ids=["asyncio", "uvloop"])
def test_strangers_and_wrong_passwords_get_nothing(secured: Callable[..., Smtp], inbox: Inbox, new_loop: Any) -> None:
    async def send() -> None:
        for smtp in (secured(ca_file=""), secured(password="wrong")):
            with pytest.raises(MailServerUnreachable):
                await smtp.send("asha@example.com", MESSAGE, 1)

    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(send())
    assert inbox.raw == []
