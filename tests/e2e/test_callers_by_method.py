"""Every gRPC method of every service × every caller, and × every credential that is not good.

Methods are those of the generated contract, callers those who have a key: a new one is in here by itself.
"""

import asyncio
import pkgutil
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from importlib import import_module
from typing import Any

import grpc
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

import commdesk
from common import topology
from common.grpc_certificates import Certificates, target_options
from common.services import SERVICES
from common.tokens import ServiceTokens
from ops import credentials as stack_credentials
from ops import internal_tls
from ops.credentials import Credentials
from ops.fleet_client import FleetClient
from ops.ports import Layout

from . import forged_tokens

AT_ONCE = 16
TIMEOUT_SECONDS = 20.0


def methods() -> Iterator[tuple[str, str, Any]]:
    """(service, full name, descriptor) of each method, those of `commdesk.common` once for each service."""
    for module in pkgutil.walk_packages(commdesk.__path__, "commdesk."):
        if not module.name.endswith("_pb2"):
            continue
        for descriptor in import_module(module.name).DESCRIPTOR.services_by_name.values():
            package = descriptor.full_name.split(".")[1]
            owners = [name for name, row in SERVICES.items() if package in ("common", row.package)]
            assert owners, descriptor.full_name
            for owner in owners:
                for method in descriptor.methods:
                    yield owner, f"/{descriptor.full_name}/{method.name}", method


class Callees:
    """Calls each service with what a test puts into the header."""

    def __init__(self, fleet: FleetClient, layout: Layout) -> None:
        self._addresses = {name: each["grpc"] for name, each in fleet.description["services"].items()}
        self._layout = layout if fleet.description.get("grpc") else None
        self._channels: dict[tuple[str, str], grpc.aio.Channel] = {}
        self._turns = asyncio.Semaphore(AT_ONCE)

    def _channel(self, service: str, caller: str) -> grpc.aio.Channel:
        if (service, caller) not in self._channels:
            address = self._addresses[service]
            if self._layout is None:
                channel = grpc.aio.insecure_channel(address)
            else:
                files = internal_tls.certificate_variables(self._layout, caller)
                own = Certificates(*(files[f"GRPC_{each}_FILE"] for each in ("CERTIFICATE", "KEY", "CA")))
                options = target_options(service)
                channel = grpc.aio.secure_channel(address, own.channel_credentials(), options=options)
            self._channels[service, caller] = channel
        return self._channels[service, caller]

    async def call(self, caller: str, service: str, name: str, method: Any, authorization: str) -> str:
        """The name of the status that an empty request is answered with; *caller* is who owns the certificate."""
        call = self._channel(service, caller).unary_unary(
            name, request_serializer=lambda message: message.SerializeToString(), response_deserializer=bytes
        )
        metadata = (("authorization", authorization),) if authorization else ()
        async with self._turns:
            try:
                await call(method.input_type._concrete_class(), timeout=TIMEOUT_SECONDS, metadata=metadata)
            except grpc.aio.AioRpcError as error:
                return error.code().name
            return "OK"

    async def close(self) -> None:
        for channel in self._channels.values():
            await channel.close(None)


@pytest.fixture
async def callees(fleet: FleetClient, layout: Layout) -> AsyncIterator[Callees]:
    callees = Callees(fleet, layout)
    yield callees
    await callees.close()


@pytest.fixture
async def credentials(layout: Layout) -> Credentials:
    return await asyncio.to_thread(stack_credentials.load_or_generate, layout.run_dir / "secrets.json")


def tokens_of(caller: str, credentials: Credentials, key: str = "") -> ServiceTokens:
    return ServiceTokens(caller, credentials.keys[key or caller]["private"], credentials.public_keys())


async def test_a_method_is_open_to_the_callers_of_the_table_and_to_no_others(
    callees: Callees, credentials: Credentials
) -> None:
    signers = {name: tokens_of(name, credentials) for name in credentials.public_keys()}
    assert signers.keys() >= {*SERVICES, "operator"}

    async def wrong(service: str, name: str, method: Any, caller: str) -> tuple[str, str, str, str] | None:
        status = await callees.call(caller, service, name, method, f"Bearer {signers[caller].issue(service)}")
        is_allowed = caller in topology.allowed_callers(name)
        is_right = (
            status not in ("PERMISSION_DENIED", "UNAUTHENTICATED", "UNIMPLEMENTED")
            if is_allowed
            else (status == "PERMISSION_DENIED")
        )
        return None if is_right else (caller, service, name, status)

    asked = [wrong(*method, caller) for method in methods() for caller in signers]
    assert len(asked) > 1_000
    assert [each for each in await asyncio.gather(*asked) if each is not None] == []


async def test_no_method_takes_a_credential_that_is_not_good(
    fleet: FleetClient, callees: Callees, credentials: Credentials
) -> None:
    """Each in the name of a caller that the table lets in."""
    signer = await forged_tokens.signer_of(fleet, credentials)
    person = signer.token()

    async def wrong(
        kind: str, caller: str, service: str, name: str, method: Any, authorization: str
    ) -> tuple[str, ...] | None:
        status = await callees.call(caller, service, name, method, authorization)
        return None if status == "UNAUTHENTICATED" else (kind, service, name, status)

    asked = []
    for service, name, method in methods():
        caller = min(topology.allowed_callers(name) & credentials.public_keys().keys())
        for kind, authorization in bad(caller, service, credentials, person).items():
            asked.append(wrong(kind, caller, service, name, method, authorization))
    assert len(asked) > 1_000
    assert [each for each in await asyncio.gather(*asked) if each is not None] == []


def bad(caller: str, service: str, credentials: Credentials, person: str) -> Mapping[str, str]:
    """By what is wrong with it, the authorization of a call of *service*."""
    now = int(time.time())
    genuine = tokens_of(caller, credentials).issue(service)
    other = next(name for name in credentials.public_keys() if name != caller)
    public = credentials.public_keys()[caller].encode()

    def signed(key: Any = None, algorithm: str = "EdDSA", kid: str = caller, without: str = "", **changes: Any) -> str:
        claims = {"iss": caller, "aud": service, "iat": now, "exp": now + 60} | changes
        return jwt.encode(
            {name: value for name, value in claims.items() if name != without},
            tokens_of(caller, credentials)._private_key if key is None else key,
            algorithm=algorithm,
            headers={"kid": kid},
        )

    tokens = {
        "garbage": "x.y.z",
        "another service's": tokens_of(caller, credentials).issue(next(name for name in SERVICES if name != service)),
        "another's key": tokens_of(caller, credentials, other).issue(service),
        "a stranger's key": signed(Ed25519PrivateKey.generate()),
        "a stranger": signed(Ed25519PrivateKey.generate(), kid="stranger", iss="stranger"),
        "alg none": signed("", "none"),
        "HS256 with the public key": signed(public, "HS256"),
        "another issuer": signed(iss=other),
        "expired": signed(iat=now - 120, exp=now - 60),
        "in the future": signed(iat=now + 300, exp=now + 360),
        "for ten years": signed(exp=now + forged_tokens.TEN_YEARS_SECONDS),
        **{f"without {name}": signed(without=name) for name in ("iat", "exp", "aud", "iss")},
        "signature changed": genuine[:-6] + "AAAAAA",
        "a person's": person,
    }
    return {
        "absent": "",
        "empty": "Bearer",
        "of another scheme": f"Basic {genuine}",
        **{kind: f"Bearer {token}" for kind, token in tokens.items()},
    }
