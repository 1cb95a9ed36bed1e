"""The edge with TLS: by one switch, with a certificate authority of the stack's own."""

import socket
import ssl
import stat
from collections.abc import Iterator
from urllib.parse import urlsplit

import httpx
import pytest

from ops import edge_certificate
from ops.tests.integration.conftest import Edge, running


@pytest.fixture(scope="module")
def secure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Edge]:
    with running(tmp_path_factory.mktemp("tls"), {}, tls=True) as edge:
        yield edge


def trusting(edge: Edge) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(edge_certificate.files(edge.layout).authority))


def handshake(edge: Edge, name: str | None, context: ssl.SSLContext) -> str | None:
    """The version that is agreed on. Raises OSError, of which ssl's errors are some."""
    with (
        socket.create_connection(("127.0.0.1", urlsplit(edge.url).port or 0), 5) as connection,
        context.wrap_socket(connection, server_hostname=name) as secured,
    ):
        return secured.version()


def test_clients_that_trust_the_authority_are_served(secure: Edge) -> None:
    answer = httpx.get(f"{secure.url}/health", verify=trusting(secure))
    assert answer.json()["data"] == {"status": "up"}
    assert answer.headers["strict-transport-security"] == "max-age=31536000; includeSubDomains"
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{secure.url}/health")


def test_http_only_sends_clients_to_https(secure: Edge) -> None:
    port = secure.layout.port("edge")
    for method in ("GET", "POST"):
        answer = httpx.request(method, f"http://127.0.0.1:{port}/api/v1/packs?limit=1")
        assert answer.status_code in (301, 302, 307, 308)
        assert answer.headers["location"] == f"{secure.url}/api/v1/packs?limit=1"
        assert "strict-transport-security" not in answer.headers


def test_old_versions_and_other_names_are_refused(secure: Edge) -> None:
    assert handshake(secure, "pay.localhost", trusting(secure)) == "TLSv1.3"
    newest = trusting(secure)
    newest.maximum_version = ssl.TLSVersion.TLSv1_2
    assert handshake(secure, "localhost", newest) == "TLSv1.2"
    lax = ssl.create_default_context()
    lax.check_hostname, lax.verify_mode = False, ssl.CERT_NONE
    with pytest.raises(OSError):
        handshake(secure, "shop.example.com", lax)
    old = ssl.create_default_context()
    old.check_hostname, old.verify_mode = False, ssl.CERT_NONE
    old.set_ciphers("ALL:@SECLEVEL=0")
    old.minimum_version, old.maximum_version = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1
    with pytest.raises(OSError):
        handshake(secure, "localhost", old)


def test_the_key_is_its_owners_alone_and_stays(secure: Edge) -> None:
    files = edge_certificate.files(secure.layout)
    assert stat.S_IMODE(files.key.stat().st_mode) == 0o600
    before = files.certificate.read_text()
    assert edge_certificate.issue(secure.layout).certificate.read_text() == before
