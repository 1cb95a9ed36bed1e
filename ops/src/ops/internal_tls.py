"""INTERNAL_TLS=on: a stack's engines and services speak TLS among each other, by an authority of the stack's own.

The engines keep their plain ports for the tools of this machine; the services are given the encrypted ones alone.
"""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from urllib.parse import urlencode, urlsplit, urlunsplit

import trustme

from ops.ports import Layout
from ops.private_files import private_folder, write_private

# A certificate, its key, and the authority that issued it.
Certificate = tuple[Path, Path, Path]
# Makes one in an engine's home, for the account that runs the engine.
Issue = Callable[[Path, str | None], Certificate]

SWITCH = "INTERNAL_TLS"
# The engines' names in their certificates, as clients of this machine know them.
ENGINE_NAMES = ("127.0.0.1", "localhost")


def is_on(environ: Mapping[str, str]) -> bool:
    return environ.get(SWITCH, "off") == "on"


def folder(layout: Layout) -> Path:
    return layout.run_dir / "tls"


def authority_file(layout: Layout) -> Path:
    return folder(layout) / "authority.pem"


def prepare(layout: Layout, services: Iterable[str]) -> None:
    """Make the authority and a certificate for each of *services*, unless they are there."""
    private_folder(folder(layout))
    issuer = authority(layout)
    for service in services:
        if not (folder(layout) / f"{service}.pem").exists():
            write(issuer.issue_cert(service), folder(layout), service)


def prepare_engine(layout: Layout, home: Path, user: str | None) -> Certificate:
    """A certificate for an engine in its own *home*, readable by its account."""
    private_folder(folder(layout))
    if not (home / "server.pem").exists():
        write(authority(layout).issue_cert(*ENGINE_NAMES), home, "server", user)
    write_private(home / "authority.pem", authority_file(layout).read_text(), user)
    return home / "server.pem", home / "server.key", home / "authority.pem"


def certificate_variables(layout: Layout, service: str) -> dict[str, str]:
    """What a service reads about its certificate."""
    return {
        "GRPC_TLS": "mutual",
        "GRPC_CERTIFICATE_FILE": str(folder(layout) / f"{service}.pem"),
        "GRPC_KEY_FILE": str(folder(layout) / f"{service}.key"),
        "GRPC_CA_FILE": str(authority_file(layout)),
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
    certificate, key = authority_file(layout), folder(layout) / "authority.key"
    if certificate.exists() and key.exists():
        return trustme.CA.from_pem(certificate.read_bytes(), key.read_bytes())
    made = trustme.CA(organization_name="CommDesk Pay", organization_unit_name="a local stack")
    write_private(key, made.private_key_pem.bytes().decode())
    write_private(certificate, made.cert_pem.bytes().decode())
    return made


def write(issued: trustme.LeafCert, into: Path, name: str, user: str | None = None) -> None:
    """Key and certificate as *name*.key and *name*.pem, readable by *user* alone."""
    chain = b"".join(part.bytes() for part in issued.cert_chain_pems)
    write_private(into / f"{name}.key", issued.private_key_pem.bytes().decode(), user)
    write_private(into / f"{name}.pem", chain.decode(), user)
