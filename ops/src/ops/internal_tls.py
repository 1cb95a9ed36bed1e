"""INTERNAL_TLS=on: a stack's engines and services speak TLS among each other, by an authority of the stack's own.

The engines keep their plain ports for the tools of this machine; the services are given the encrypted ones alone.
"""

import hashlib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from urllib.parse import urlencode, urlsplit, urlunsplit

import trustme
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from msgspec import Struct

from ops.ports import Layout
from ops.private_files import private_folder, write_private

# The engines' names in their certificates, as clients of this machine know them.
ENGINE_NAMES = ("127.0.0.1", "localhost")


class Certificate(Struct, frozen=True):
    """The files of a certificate, of its key, and of the authority that issued it, which clients trust."""

    certificate: Path
    key: Path
    authority: Path


# Makes one in an engine's home, for the account that runs the engine.
Issue = Callable[[Path, str | None], Certificate]


def folder(layout: Layout) -> Path:
    return layout.run_dir / "tls"


def authority_file(layout: Layout) -> Path:
    return folder(layout) / "authority.pem"


def fingerprint(layout: Layout) -> str:
    """Of the authority, which is there already."""
    return hashlib.sha256(authority_file(layout).read_bytes()).hexdigest()


def files(layout: Layout, name: str) -> Certificate:
    """Where the certificate of the service *name* is."""
    return Certificate(folder(layout) / f"{name}.pem", folder(layout) / f"{name}.key", authority_file(layout))


def prepare(layout: Layout, services: Iterable[str]) -> None:
    """Make the authority and a certificate for each of *services*, unless they are there."""
    for service in services:
        ensure(layout, files(layout, service), (service,))


def prepare_engine(layout: Layout, home: Path, user: str | None) -> Certificate:
    """A certificate for an engine in its own *home*, readable by its account."""
    own = Certificate(home / "server.pem", home / "server.key", home / "authority.pem")
    ensure(layout, own, ENGINE_NAMES, user)
    write_private(own.authority, authority_file(layout).read_text(), user)
    return own


def ensure(layout: Layout, own: Certificate, names: Iterable[str], user: str | None = None) -> None:
    """Issue a certificate of *names*, readable by *user* alone, unless one of the stack's authority is there.

    After the folder of the stack was deleted there is another authority, and engines keep their files elsewhere.
    """
    issuer = authority(layout)
    if own.key.exists() and _is_issued_by(issuer, own.certificate):
        return
    issued = issuer.issue_cert(*names)
    chain = b"".join(part.bytes() for part in issued.cert_chain_pems)
    write_private(own.key, issued.private_key_pem.bytes().decode(), user)
    write_private(own.certificate, chain.decode(), user)


def _is_issued_by(issuer: trustme.CA, certificate: Path) -> bool:
    try:
        issued = x509.load_pem_x509_certificate(certificate.read_bytes())
        issued.verify_directly_issued_by(x509.load_pem_x509_certificate(issuer.cert_pem.bytes()))
    except (FileNotFoundError, ValueError, TypeError, InvalidSignature):
        return False
    return True


def certificate_variables(layout: Layout, service: str) -> dict[str, str]:
    """What a service reads about its certificate."""
    own = files(layout, service)
    return {
        "GRPC_TLS": "mutual",
        "GRPC_CERTIFICATE_FILE": str(own.certificate),
        "GRPC_KEY_FILE": str(own.key),
        "GRPC_CA_FILE": str(own.authority),
    }


def secured(variables: Mapping[str, str], layout: Layout, service: str) -> dict[str, str]:
    """The environment of *service* with encrypted engines and its certificate."""
    changed = {name: _secured_url(text, layout) for name, text in variables.items() if name.endswith("_URL")}
    return {**variables, **changed, **certificate_variables(layout, service)}


def _secured_url(url: str, layout: Layout) -> str:
    trusted = str(authority_file(layout))
    match urlsplit(url).scheme:
        case "postgresql":
            return _with(url, {"sslmode": "verify-full", "sslrootcert": trusted})
        case "amqp":
            return _with(url, {"cafile": trusted}, "amqps", layout.port("rabbitmq-tls"))
        case "redis":
            return _with(url, {"ssl_ca_certs": trusted}, "rediss", layout.port("redis-tls"))
        case _:
            return url


def _with(url: str, parameters: dict[str, str], scheme: str = "", port: int = 0) -> str:
    parts = urlsplit(url)
    address = f"{parts.netloc.rpartition(':')[0]}:{port}" if port else parts.netloc
    query = "&".join(filter(None, (parts.query, urlencode(parameters))))
    return urlunsplit((scheme or parts.scheme, address, parts.path, query, ""))


def authority(layout: Layout) -> trustme.CA:
    """The stack's own, made at the first use."""
    private_folder(folder(layout))
    certificate, key = authority_file(layout), folder(layout) / "authority.key"
    if certificate.exists() and key.exists():
        return trustme.CA.from_pem(certificate.read_bytes(), key.read_bytes())
    made = trustme.CA(organization_name="CommDesk Pay", organization_unit_name="a local stack")
    write_private(key, made.private_key_pem.bytes().decode())
    write_private(certificate, made.cert_pem.bytes().decode())
    return made
