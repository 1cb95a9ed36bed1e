"""How an operator's tool talks to a running fleet: the edge, the sandbox, the mail inbox, and gRPC with its own key."""

import json
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import grpc.aio
from msgspec import Struct

from commdesk.common.v1.delivery_pb2_grpc import DeliveryServiceStub
from commdesk.common.v1.personal_data_pb2_grpc import PersonalDataServiceStub
from commdesk.identity.v1.identity_pb2_grpc import IdentityServiceStub
from commdesk.ledger.v1.ledger_pb2_grpc import LedgerServiceStub
from commdesk.payment.v1.disputes_pb2_grpc import DisputeServiceStub
from commdesk.payment.v1.payment_pb2_grpc import ReviewServiceStub
from commdesk.payment.v1.refunds_pb2_grpc import RefundServiceStub
from commdesk.payment.v1.routing_pb2_grpc import GatewayAccountServiceStub, RoutingServiceStub
from commdesk.payment.v1.settlements_pb2_grpc import SettlementServiceStub
from commdesk.reconciler.v1.reconciler_pb2_grpc import ReconcilerServiceStub
from commdesk.wallet.v1.wallet_pb2_grpc import WalletServiceStub
from common import grpc_client
from common.grpc_certificates import Certificates
from common.tokens import ServiceTokens
from ops.ports import Layout

TIMEOUT_SECONDS = 10.0
# Which keys a service still needs: it reads every row.
COUNT_SECONDS = 600.0


class NotUp(Exception):
    """There is no running stack to talk to."""


class Answer(Struct, frozen=True):
    """An HTTP answer: *data* is what stood under "data" or "error" for our own services, the whole body elsewhere."""

    status: int
    body: Any
    headers: Mapping[str, str] = {}
    raw: bytes = b""

    @property
    def data(self) -> Any:
        if isinstance(self.body, dict) and "success" in self.body:
            return self.body.get("data") if self.body["success"] else self.body["error"]
        return self.body


def operator_certificates(description: Mapping[str, Any]) -> Certificates | None:
    """The operator's for calls to the services of a stack; None where gRPC is not encrypted."""
    files = description.get("grpc")
    return Certificates(*(files[f"GRPC_{each}_FILE"] for each in ("CERTIFICATE", "KEY", "CA"))) if files else None


class FleetClient:
    """A running stack, by its stack.json."""

    def __init__(self, description: Mapping[str, Any], http: aiohttp.ClientSession, tokens: ServiceTokens) -> None:
        self.description = description
        self._http = http
        self._tokens = tokens
        self._certificates = operator_certificates(description)
        self._channels: dict[str, grpc.aio.Channel] = {}

    @property
    def services(self) -> list[str]:
        """The services of this stack."""
        return list(self.description["services"])

    def replicas(self) -> dict[str, Mapping[str, str]]:
        """Where each process of the services listens (`http`, `grpc`), by its name."""
        return {
            name: addresses
            for service in self.description["services"].values()
            for name, addresses in service["replicas"].items()
        }

    # Generated stubs are not typed.
    def delivery(self, service: str) -> DeliveryServiceStub:
        return DeliveryServiceStub(self.channel(service))  # type: ignore[no-untyped-call]

    def personal_data(self, service: str) -> PersonalDataServiceStub:
        return PersonalDataServiceStub(self.channel(service))  # type: ignore[no-untyped-call]

    def identity(self) -> IdentityServiceStub:
        return IdentityServiceStub(self.channel("identity"))  # type: ignore[no-untyped-call]

    def wallet(self) -> WalletServiceStub:
        return WalletServiceStub(self.channel("wallet"))  # type: ignore[no-untyped-call]

    def reviews(self) -> ReviewServiceStub:
        return ReviewServiceStub(self.channel("payment"))  # type: ignore[no-untyped-call]

    def disputes(self) -> DisputeServiceStub:
        return DisputeServiceStub(self.channel("payment"))  # type: ignore[no-untyped-call]

    def routing(self) -> RoutingServiceStub:
        return RoutingServiceStub(self.channel("payment"))  # type: ignore[no-untyped-call]

    def gateway_accounts(self) -> GatewayAccountServiceStub:
        return GatewayAccountServiceStub(self.channel("payment"))  # type: ignore[no-untyped-call]

    def settlements(self) -> SettlementServiceStub:
        return SettlementServiceStub(self.channel("payment"))  # type: ignore[no-untyped-call]

    def refunds(self) -> RefundServiceStub:
        return RefundServiceStub(self.channel("payment"))  # type: ignore[no-untyped-call]

    def ledger(self) -> LedgerServiceStub:
        return LedgerServiceStub(self.channel("ledger"))  # type: ignore[no-untyped-call]

    def reconciler(self) -> ReconcilerServiceStub:
        return ReconcilerServiceStub(self.channel("reconciler"))  # type: ignore[no-untyped-call]

    async def edge(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        token: str = "",
        headers: Mapping[str, str] | None = None,
        raw: bytes | None = None,
    ) -> Answer:
        """Ask the public edge, as a client would; *raw* goes out as it is."""
        sent = dict(headers or {})
        if token:
            sent["Authorization"] = f"Bearer {token}"
        return await self._ask(method, self.description["edge_url"] + path, body, sent, raw)

    async def sandbox(self, method: str, path: str, body: Any = None, *, gateway: str = "") -> Answer:
        """Ask the gateways' simulator; `/control/…` is that of *gateway*, or of the one to which new payments go."""
        gateway = gateway or self.gateway
        if path.startswith("/control/") and gateway != "cashfree":
            path = f"/{gateway}{path}"
        return await self._ask(method, self.description["sandbox_url"] + path, body, {}, None)

    @property
    def gateway(self) -> str:
        """The gateway to which the fleet's new payments go."""
        return str(self.description["default_gateway"])

    async def mails(self, **filters: str) -> list[dict[str, Any]]:
        """Mails in the local inbox, newest first: filters are to, subject, contains, limit."""
        url = self.description["mail_url"] + "/messages"
        async with self._http.get(url, params=filters) as response:
            mails: list[dict[str, Any]] = await response.json()
            return mails

    async def _ask(self, method: str, url: str, body: Any, headers: dict[str, str], raw: bytes | None) -> Answer:
        data = raw if raw is not None else None if body is None else json.dumps(body).encode()
        if data is not None:
            headers.setdefault("Content-Type", "application/json")
        async with self._http.request(method, url, data=data, headers=headers) as response:
            content = await response.read()
            try:
                decoded: Any = json.loads(content) if content else None
            except ValueError:
                decoded = content.decode(errors="replace")
            return Answer(response.status, decoded, response.headers, content)

    def channel(self, service: str) -> grpc.aio.Channel:
        """The channel to a service's gRPC endpoint, with our token on every call."""
        if service not in self._channels:
            replicas = self.description["services"][service]["replicas"].values()
            address = ",".join(replica["grpc"] for replica in replicas)
            self._channels[service] = grpc_client.channel(address, self._tokens, service, self._certificates)
        return self._channels[service]

    async def close(self) -> None:
        for channel in self._channels.values():
            await channel.close(None)


@asynccontextmanager
async def connect(layout: Layout) -> AsyncIterator[FleetClient]:
    """A client of the stack at *layout*. Raises NotUp."""
    try:
        description = json.loads(layout.description.read_text())
    except (OSError, ValueError):
        raise NotUp(f"no stack runs in {layout.run_dir}: `make up` starts one") from None
    operator = description["operator"]
    public = {name: key["public"] for name, key in description["service_keys"].items()}
    tokens = ServiceTokens(operator["name"], operator["private"], public)
    timeout = aiohttp.ClientTimeout(total=60)
    trusted = ssl.create_default_context(cafile=description.get("edge_ca") or None)
    connector = aiohttp.TCPConnector(limit=0, ssl=trusted)
    async with aiohttp.ClientSession(timeout=timeout, connector=connector) as http:
        client = FleetClient(description, http, tokens)
        try:
            yield client
        finally:
            await client.close()
