"""The edge keeps its description: requests made from the OpenAPI document, good and bad, get described answers.

No 5xx, no status, header or content type that is not in the document, no body that breaks its schema. A bounded run
with fixed seeds; CONTRACT_EXAMPLES=200 looks further.
"""

import asyncio
import os
import secrets
import subprocess
import sys
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import FailureGroup
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from common import api_reference
from common.reference_page import CONTENT_SECURITY_POLICY
from ops import credentials, fleet, journey, reference
from ops.fleet_client import FleetClient
from ops.ports import ROOT, Layout

EXAMPLES_MAX = int(os.environ.get("CONTRACT_EXAMPLES", "6"))
# What a schema cannot say is out of reach here: 72221.0 is an integer to JSON Schema and none to a strict reader, so
# the checks that every good request is accepted and every bad one refused are left out.
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
# Bodies that are accepted as they are. Mostly one field of them is replaced by a generated one, so that requests get
# past the first check and reach the rules behind it.
GOOD_BODIES: dict[str, dict[str, Any]] = {
    "createPayment": {"packId": "pack_500"},
    "createPaymentByVerb": {"amount": 50_000},
    "signUp": {
        "email": "asha.rao@example.com",
        "name": "Asha Rao",
        "password": "a long enough password",
        "confirmPassword": "a long enough password",
        "mobileNumber": "9876543210",
    },
    "logIn": {"email": "asha.rao@example.com", "password": "a long enough password"},
    "changeProfile": {"name": "Asha Rao", "mobileNumber": "9876543210", "countryCode": "+91"},
    "changeAccess": {"roles": ["USER"], "status": "ACTIVE"},
}


class Visitor:
    """Who asks, and the ids of real things that paths may name."""

    def __init__(self, tokens: Mapping[str, str], ids: Mapping[str, list[str]]) -> None:
        self.tokens = tokens
        self.ids = ids


async def administrator(fleet_client: FleetClient, layout: Layout) -> str:
    """An access token with the roles of staff."""
    email, password = f"staff.{secrets.token_hex(6)}@example.com", secrets.token_urlsafe(12)
    environment = fleet.service_environment(
        layout, credentials.load_or_generate(layout.run_dir / "secrets.json"), "identity", os.environ
    )
    await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "identity", "create-admin", "--email", email],
        env={**environment, "IDENTITY_ADMIN_PASSWORD": password},
        check=True,
    )
    login = await fleet_client.edge("POST", "/api/v1/users/login", {"email": email, "password": password})
    assert login.status == 200, login.body
    return str(login.data["token"])


async def owner_token(fleet: FleetClient, member: journey.Member) -> str:
    """Of a merchant that *member* makes."""
    made = await fleet.edge("POST", "/api/v1/merchants", {"name": "Nandi Foods"}, token=member.token)
    body = {"merchantId": made.data["merchants"][0]["merchantId"]}
    return str((await fleet.edge("POST", "/api/v1/users/switch", body, token=member.token)).data["token"])


@pytest.fixture
async def visitor(fleet: FleetClient, layout: Layout) -> Visitor:
    member = await journey.sign_up(fleet)
    other = await journey.sign_up(fleet)
    created = await journey.create(fleet, member, pack_id="pack_500")
    return Visitor(
        {
            "nobody": "",
            "member": member.token,
            "staff": await administrator(fleet, layout),
            "owner": await owner_token(fleet, await journey.sign_up(fleet)),
        },
        {
            "paymentId": [created["paymentId"]],
            "reference": [created["paymentId"], created["orderId"]],
            "userId": [other.user_id],
            "user_id": [other.user_id],
        },
    )


def operations(document: dict[str, Any]) -> Iterator[Any]:
    schema: Any = schemathesis.openapi.from_dict(document)
    for result in schema.get_all_operations():
        yield result.ok()


def problems(operation: Any, edge_url: str, visitor: Visitor) -> list[str]:
    """What answers of this operation break, by their first examples."""
    found: list[str] = []

    for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
        cases = operation.as_strategy(generation_mode=mode)

        @settings(
            max_examples=EXAMPLES_MAX,
            derandomize=True,
            database=None,
            deadline=None,
            phases=[Phase.explicit, Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=cases, who=st.sampled_from(sorted(visitor.tokens)), choice=st.integers(0, 9))
        def ask(case: Any, who: str, choice: int) -> None:
            for name, values in visitor.ids.items():
                if choice and name in case.path_parameters:
                    case.path_parameters[name] = values[choice % len(values)]
            good = GOOD_BODIES.get(operation.definition.raw["operationId"])
            if choice and good is not None and isinstance(case.body, dict) and case.body:
                name = sorted(case.body, key=str)[choice % len(case.body)]
                case.body = {**good, name: case.body[name]}
            token = visitor.tokens[who]
            headers = {"Authorization": f"Bearer {token}"} if token else {}
            response = case.call(base_url=edge_url, headers=headers, timeout=20)
            try:
                # What has no request id is the edge's own: it has a status, and no shape.
                ours = "x-request-id" in response.headers
                case.validate_response(response, checks=CHECKS if ours else CHECKS[:2])
            except FailureGroup as group:
                group.add_note(f"as {who}: {case.as_curl_command()}\n{response.status_code} {response.text[:500]}")
                raise

        try:
            ask()
        except Unsatisfiable:
            assert mode is GenerationMode.NEGATIVE, operation.label  # no request can be bad where nothing is sent
        except FailureGroup as group:
            notes = "\n".join(group.__notes__[:1])
            found += [f"{operation.label} ({mode}): {failure}\n{notes}" for failure in group.exceptions]
    return found


async def test_the_edge_answers_as_its_description_says(fleet: FleetClient, visitor: Visitor) -> None:
    edge_url = fleet.description["edge_url"]
    found: list[str] = []
    for operation in operations(api_reference.document()):
        found += await asyncio.to_thread(problems, operation, edge_url, visitor)
    assert found == [], "\n\n".join(found)


async def test_the_description_and_its_page_are_served(fleet: FleetClient) -> None:
    document = await fleet.edge("GET", "/openapi.json")
    assert (document.status, document.raw) == (200, (ROOT / reference.OPENAPI).read_bytes())
    page = await fleet.edge("GET", "/docs")
    assert (page.status, page.headers["Content-Security-Policy"]) == (200, CONTENT_SECURITY_POLICY)
    for name in ("swagger-ui.css", "swagger-ui-bundle.js", "start.js"):
        assert (await fleet.edge("GET", f"/docs/{name}")).status == 200
