"""Certificates of services: who is at the other end of a gRPC connection, on both sides (mutual TLS).

A service's certificate carries the service's name as a DNS name and is issued by the fleet's own authority. The client
checks that the callee is the one it means to call; the server that the service token's issuer is the certificate's
owner, so that a token that was read somewhere is of no use without the key.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import grpc
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from loguru import logger

_PEER_NAMES = "x509_subject_alternative_name"


class Certificates:
    """One service's certificate and key, and the authorities that it trusts, in PEM files.

    The server reads renewed files at the next connection; the channels of a client keep what they began with, so that a
    process is to be restarted before a certificate of its own expires.
    """

    def __init__(self, certificate_file: str, key_file: str, ca_file: str) -> None:
        self._paths = tuple(Path(path) for path in (certificate_file, key_file, ca_file))
        self._is_complete = all((certificate_file, key_file, ca_file))
        self._served: tuple[bytes, ...] = ()

    def check(self) -> None:
        """Raises ValueError or OSError when a file is missing or is not what it should be."""
        _checked(self._read())

    def server_credentials(self) -> grpc.ServerCredentials:
        """Of a server that insists on a client certificate. Raises as `check`."""
        self._served = _checked(self._read())
        return grpc.dynamic_ssl_server_credentials(
            _configuration(self._served), self._renewed, require_client_authentication=True
        )

    def channel_credentials(self) -> grpc.ChannelCredentials:
        """Of a client. Raises as `check`."""
        certificate, key, authorities = _checked(self._read())
        return grpc.ssl_channel_credentials(authorities, key, certificate)

    def _renewed(self) -> Any:
        """gRPC asks before every handshake, in a thread of its own; None goes on with what is in use."""
        try:
            files = self._read()
            if files == self._served:
                return None
            configuration = _configuration(_checked(files))
        except (OSError, ValueError) as error:
            # A renewal half done, or gone wrong: what is in use is still good.
            logger.error("the renewed certificate cannot be used: {}", error)
            return None
        self._served = files
        logger.info("gRPC serves a renewed certificate")
        return configuration

    def _read(self) -> tuple[bytes, ...]:
        if not self._is_complete:
            raise ValueError("all three are needed")
        return tuple(path.read_bytes() for path in self._paths)


def _checked(files: tuple[bytes, ...]) -> tuple[bytes, ...]:
    certificate, key, authorities = files
    try:
        [owned, *_] = x509.load_pem_x509_certificates(certificate)
        private = serialization.load_pem_private_key(key, None)
        x509.load_pem_x509_certificates(authorities)
    except (ValueError, TypeError):
        raise ValueError("a file is not PEM, or the key has a pass phrase") from None
    if owned.public_key() != private.public_key():
        raise ValueError("the key is not the certificate's")
    return files


def target_options(service: str) -> Sequence[tuple[str, str]]:
    """Options of a channel to *service*, by which the callee must own a certificate of that name, wherever it runs."""
    return (("grpc.ssl_target_name_override", service),)


def is_owner(service: str, call: grpc.aio.ServicerContext[Any, Any]) -> bool:
    """Whether the client of *call* has shown a certificate of *service*."""
    # grpc.aio gives bytes where its stubs promise text.
    names: Any = call.auth_context().get(_PEER_NAMES, ())
    return service.encode() in names


def _configuration(files: tuple[bytes, ...]) -> Any:
    certificate, key, authorities = files
    return grpc.ssl_server_certificate_configuration([(key, certificate)], authorities)
