"""A member signs up, buys a pack, pays, has the credits and spends some."""

import secrets
from functools import cache

import grpc
from locust import task

from commdesk.wallet.v1 import wallet_pb2
from commdesk.wallet.v1.wallet_pb2_grpc import WalletServiceStub
from common import grpc_client
from common.grpc_certificates import target_options
from common.metadata import AUTHORIZATION
from common.tokens import ServiceTokens
from loadtests.users.journey import CREATE, DESCRIPTION, PACK_CREDITS, PACK_ID, Journey, StepFailed
from ops.fleet_client import operator_certificates

MERCHANT = "mer_commdesk"
SPENT = 550


class Member(Journey):
    """Somebody new every time."""

    title = "member signs up, buys, spends"
    weight = 2

    @task
    def buy_and_spend(self) -> None:
        with self.travelling():
            user_id, token = self._sign_up()
            created = self.step(
                "POST",
                CREATE,
                {201},
                body={"packId": PACK_ID},
                token=token,
                headers={"Idempotency-Key": secrets.token_hex(12)},
            ).data
            self.pay(created["orderId"])
            self.until_success(token, created["paymentId"])
            self.until_available(token, PACK_CREDITS)
            spend(user_id, SPENT)
            self.until_available(token, PACK_CREDITS - SPENT)
            found = self.step("GET", "/api/v1/wallet/transactions", {200}, token=token).data["items"]
            if len(found) != 2:
                raise StepFailed(f"{len(found)} transactions instead of a grant and a consumption")

    def _sign_up(self) -> tuple[str, str]:
        email, password = f"member.{secrets.token_hex(8)}@example.com", secrets.token_urlsafe(12)
        person = {
            "email": email,
            "name": "Asha Rao",
            "password": password,
            "confirmPassword": password,
            "mobileNumber": "9876543210",
            "countryCode": "+91",
            "type": "USER",
        }
        self.step("POST", "/api/v1/users/signup", {202}, body=person)
        signed_in = self.step("POST", "/api/v1/users/login", {200}, body={"email": email, "password": password}).data
        return signed_in["user"]["_id"], signed_in["token"]


@cache
def _platform() -> tuple[WalletServiceStub, ServiceTokens]:
    """CommDesk's own services spend credits over gRPC; the operator's key stands for them here."""
    operator = DESCRIPTION["operator"]
    public = {name: key["public"] for name, key in DESCRIPTION["service_keys"].items()}
    address = grpc_client.target(
        ",".join(replica["grpc"] for replica in DESCRIPTION["services"]["wallet"]["replicas"].values())
    )
    certificates = operator_certificates(DESCRIPTION)
    channel = (
        grpc.secure_channel(
            address, certificates.channel_credentials(), options=(*grpc_client.OPTIONS, *target_options("wallet"))
        )
        if certificates
        else grpc.insecure_channel(address, options=grpc_client.OPTIONS)
    )
    return WalletServiceStub(channel), ServiceTokens(operator["name"], operator["private"], public)  # type: ignore[no-untyped-call]


def spend(user_id: str, credits: int) -> None:
    """Check and debit. Raises StepFailed."""
    stub, tokens = _platform()
    key = secrets.token_hex(12)
    item = wallet_pb2.Consumption(
        operation_key=key,
        owner=wallet_pb2.Owner(merchant_id=MERCHANT, kind="USER", id=user_id),
        credits=credits,
        purpose="platform.boost",
        source_id=key,
    )
    metadata = ((AUTHORIZATION, f"Bearer {tokens.issue('wallet')}"),)
    try:
        answer = stub.ConsumeCredits(wallet_pb2.ConsumeCreditsRequest(items=[item]), timeout=10, metadata=metadata)
    except grpc.RpcError as error:
        raise StepFailed(f"ConsumeCredits: {error}") from error
    if answer.results[0].HasField("error"):
        raise StepFailed(f"ConsumeCredits: {answer.results[0].error.code}")
