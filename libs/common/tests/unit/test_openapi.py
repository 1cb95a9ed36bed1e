import enum
from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec
import openapi_spec_validator
import pytest
from msgspec import Meta

from common import openapi
from common.errors import Conflict, LimitExceeded, NotFound, ResourceExhausted, Unresolved
from common.http_server import Body, Call, Empty, Encoded, Query, Route
from common.pages import Page, PageQuery


class Kind(enum.Enum):
    SMALL = "SMALL"
    LARGE = "LARGE"


class OrderNotFound(NotFound):
    fix = "Check the order id."


class OrderClosed(Conflict):
    fix = "Make a new order."


class OrderUnresolved(Unresolved):
    fix = "Ask again."


class TooFast(ResourceExhausted):
    fix = "Slow down."


class OrderBody(Body, frozen=True):
    """An order to make."""

    amount: Annotated[int, Meta(ge=1, description="In paise.", examples=[50_000])]
    kind: Kind = Kind.SMALL
    count: int | None = None


class OrderView(msgspec.Struct, frozen=True, rename="camel"):
    order_id: str
    created_at: datetime
    kind: Kind
    paid_at: datetime | None = None
    state: Literal["open", "closed"] = "open"
    lines: list["LineView"] = []


class LineView(msgspec.Struct, frozen=True, omit_defaults=True):
    text: str
    note: str = ""


class OrdersQuery(PageQuery, frozen=True):
    kind: Kind | None = None
    since: Annotated[datetime, Meta(tz=True)] | None = None


async def create_order(call: Call[OrderBody]) -> OrderView | Encoded:
    """Make an order.

    It is open until it is paid.
    """
    raise NotImplementedError


async def list_orders(call: Call[None, OrdersQuery]) -> Page[OrderView]:
    """Orders, newest first."""
    raise NotImplementedError


async def cancel_order(call: Call) -> Empty:
    """Cancel an order."""
    raise NotImplementedError


async def receive(call: Call[bytes]) -> Empty:
    """A gateway's webhook."""
    raise NotImplementedError


async def read_page(call: Call) -> Encoded:
    raise NotImplementedError


ROUTES: list[Route[Any]] = [
    Route(
        "POST",
        "/orders",
        create_order,
        body=OrderBody,
        answer=OrderView,
        permission="payments.create",
        status=201,
        idempotent=True,
        errors=[OrderUnresolved, LimitExceeded],
    ),
    Route(
        "GET",
        "/orders",
        list_orders,
        query=OrdersQuery,
        answer=Page[OrderView],
        permission="payments.read",
        errors=[TooFast],
    ),
    Route(
        "DELETE",
        "/orders/{orderId}",
        cancel_order,
        answer=Empty,
        permission="users.manage",
        errors=[OrderNotFound, OrderClosed],
    ),
    Route("POST", "/hooks", receive, body=bytes, answer=Empty, public=True),
    Route("GET", "/docs", read_page, answer=bytes, media_type="text/html", public=True),
]


@pytest.fixture
def document() -> dict[str, Any]:
    return openapi.document({"orders": ROUTES})


def test_it_is_openapi(document: dict[str, Any]):
    openapi_spec_validator.validate(document)
    assert msgspec.json.decode(openapi.encoded(document)) == document
    assert openapi.encoded(openapi.document({"orders": ROUTES})) == openapi.encoded(document)


def test_what_most_operations_have_is_said_once(document: dict[str, Any]):
    for operations in document["paths"].values():
        for operation in operations.values():
            for status in ("500", "502", "503", "504"):
                assert {*operation["responses"][status]} == {"$ref"}


def test_an_operation_says_what_its_row_says(document: dict[str, Any]):
    create = document["paths"]["/orders"]["post"]
    assert create["operationId"] == "createOrder"
    assert (create["summary"], create["description"]) == (
        "Make an order",
        "It is open until it is paid.\n\nNeeds the permission `payments.create`.",
    )
    assert create["security"] == [{"accessToken": []}, {"apiKey": []}]
    assert create["requestBody"]["content"]["application/json"]["schema"] == {"$ref": "#/components/schemas/OrderBody"}
    assert [parameter["name"] for parameter in create["parameters"]] == ["Idempotency-Key", "CommDesk-Version"]
    assert document["paths"]["/hooks"]["post"]["security"] == []
    cancel = document["paths"]["/orders/{orderId}"]["delete"]
    assert (create["x-permission"], cancel["x-permission"]) == ("payments.create", "users.manage")
    assert cancel["security"] == [{"accessToken": []}]
    # Where it is not every role of the platform that has it.
    assert ("x-roles" in create, cancel["x-roles"]) == (False, ["ADMIN"])
    assert document["paths"]["/docs"]["get"]["responses"]["200"]["content"] == {"text/html": {"schema": {}}}


def resolved(document: dict[str, Any], response: dict[str, Any]) -> dict[str, Any]:
    return document["components"]["responses"][response["$ref"].rpartition("/")[2]] if "$ref" in response else response


def codes(document: dict[str, Any], operation: dict[str, Any], status: str) -> list[str]:
    schema = resolved(document, operation["responses"][status])["content"]["application/json"]["schema"]
    return schema["allOf"][1]["properties"]["error"]["properties"]["code"]["enum"]


def test_every_answer_is_in_it(document: dict[str, Any]):
    create = document["paths"]["/orders"]["post"]
    assert {*create["responses"]} == {
        *(
            "201",
            "202",
            "400",
            "401",
            "403",
            "408",
            "409",
            "413",
            "415",
            "422",
            "429",
            "499",
            "500",
            "502",
            "503",
            "504",
        ),
    }
    assert codes(document, create, "400") == [
        "api_version_unknown",
        "credentials_ambiguous",
        "idempotency_key_invalid",
        "limit_exceeded",
        "request_invalid",
        "request_malformed",
    ]
    assert codes(document, create, "502") == ["service_unreachable"]
    assert codes(document, create, "504") == ["service_timed_out"]
    assert codes(document, create, "401") == [
        "api_key_invalid",
        "token_expired",
        "token_invalid",
        "token_missing",
        "token_revoked",
    ]
    assert codes(document, create, "202") == ["order_unresolved"]
    assert codes(document, create, "500") == ["internal_error"]
    assert codes(document, document["paths"]["/orders"]["get"], "400") == [
        "api_version_unknown",
        "credentials_ambiguous",
        "cursor_invalid",
        "request_invalid",
        "request_malformed",
    ]
    cancel = document["paths"]["/orders/{orderId}"]["delete"]
    assert codes(document, cancel, "403") == [
        "api_key_network_not_allowed",
        "api_key_origin_not_allowed",
        "role_missing",
    ]
    assert codes(document, cancel, "404") == ["order_not_found", "route_not_found"]
    assert codes(document, cancel, "409") == ["order_closed"]
    assert cancel["responses"]["400"]["description"].startswith("The edge refuses")
    hook = document["paths"]["/hooks"]["post"]
    assert not {"401", "403", "404"} & {*hook["responses"]}
    assert codes(document, hook, "415") == ["content_encoding_unsupported"]


def test_waiting_helps_where_retry_after_says_so(document: dict[str, Any]):
    create, orders = document["paths"]["/orders"]["post"], document["paths"]["/orders"]["get"]
    assert create["responses"]["202"]["headers"]["Retry-After"]["required"]
    assert resolved(document, create["responses"]["503"])["headers"]["Retry-After"]["required"]
    assert "Retry-After" not in create["responses"]["400"]["headers"]
    assert {*orders["responses"]["429"]["content"]} == {"application/json", "text/plain"}
    hook = document["paths"]["/hooks"]["post"]
    assert {*resolved(document, hook["responses"]["429"])["content"]} == {"text/plain"}


def test_views_hold_all_their_fields_and_bodies_what_they_must(document: dict[str, Any]):
    schemas = document["components"]["schemas"]
    view = schemas["OrderView"]
    assert view["required"] == ["orderId", "createdAt", "kind", "paidAt", "state", "lines"]
    assert view["properties"]["createdAt"] == {"type": "string", "format": "date-time"}
    assert view["properties"]["paidAt"] == {"anyOf": [{"type": "string", "format": "date-time"}, {"type": "null"}]}
    assert view["properties"]["state"] == {"type": "string", "enum": ["closed", "open"]}
    assert schemas["Kind"]["type"] == "string"
    assert schemas["LineView"]["required"] == ["text"]
    body = schemas["OrderBody"]
    assert body["required"] == ["amount"]
    assert body["additionalProperties"] is False
    assert body["properties"]["amount"] == {
        "type": "integer",
        "description": "In paise.",
        "examples": [50_000],
        "minimum": 1,
        "maximum": 2**53,
    }
    assert body["properties"]["count"]["anyOf"][0] == {"type": "integer", "minimum": -(2**53), "maximum": 2**53}
    page = schemas["Page_OrderView_"]
    assert page["required"] == ["items", "nextCursor"]


def test_a_query_is_its_parameters(document: dict[str, Any]):
    parameters = {each["name"]: each for each in document["paths"]["/orders"]["get"]["parameters"]}
    assert {*parameters} == {"limit", "cursor", "kind", "since", "CommDesk-Version"}
    assert parameters["limit"]["schema"] == {"type": "integer", "minimum": 1, "maximum": 200, "default": 50}
    assert parameters["kind"]["schema"] == {"$ref": "#/components/schemas/Kind"}
    assert parameters["since"]["schema"] == {"type": "string", "format": "date-time"}
    assert "OrdersQuery" not in document["components"]["schemas"]


def test_what_cannot_be_told_apart_is_refused():
    with pytest.raises(ValueError, match="createOrder"):
        openapi.document(
            {"orders": [*ROUTES, Route("POST", "/other", create_order, body=OrderBody, answer=OrderView, public=True)]}
        )

    class Both(Body, frozen=True):
        text: str = ""

    async def echo(call: Call[Both]) -> Both:
        raise NotImplementedError

    with pytest.raises(ValueError, match="Both"):
        openapi.document({"echo": [Route("POST", "/echo", echo, body=Both, answer=Both, public=True)]})


def test_a_plain_query_type_is_fine():
    class Plain(Query, frozen=True):
        name: str

    async def read(call: Call[None, Plain]) -> dict[str, Any]:
        raise NotImplementedError

    document = openapi.document({"x": [Route("GET", "/x", read, query=Plain, answer=dict[str, Any], public=True)]})
    [parameter] = document["paths"]["/x"]["get"]["parameters"]
    assert parameter == {"name": "name", "in": "query", "required": True, "schema": {"type": "string"}}
