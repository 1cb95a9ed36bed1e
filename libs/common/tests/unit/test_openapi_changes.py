import copy
from collections.abc import Callable
from typing import Any

import pytest

from common.openapi_changes import breaking_changes

ORDER_NOT_FOUND = {"properties": {"error": {"properties": {"code": {"enum": ["order_not_found"]}}}}}
OLD: dict[str, Any] = {
    "paths": {
        "/orders": {
            "post": {
                "operationId": "createOrder",
                "security": [],
                "x-roles": ["ADMIN", "FINANCE"],
                "parameters": [
                    {"name": "limit", "in": "query", "schema": {"type": "integer", "minimum": 1, "maximum": 200}},
                    {"name": "kind", "in": "query", "schema": {"$ref": "#/components/schemas/Kind"}},
                ],
                "requestBody": {
                    "required": True,
                    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/OrderBody"}}},
                },
                "responses": {
                    "201": {
                        "headers": {"X-Request-Id": {}},
                        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/OrderView"}}},
                    },
                    "404": {"content": {"application/json": {"schema": {"allOf": [{}, ORDER_NOT_FOUND]}}}},
                },
            },
            "get": {"operationId": "listOrders", "responses": {}},
        },
        "/orders/{orderId}": {"get": {"operationId": "readOrder", "responses": {}}},
    },
    "components": {
        "schemas": {
            "Kind": {"enum": ["SMALL", "LARGE"], "type": "string"},
            "OrderBody": {
                "type": "object",
                "additionalProperties": False,
                "required": ["amount"],
                "properties": {
                    "amount": {"type": "integer"},
                    "note": {"anyOf": [{"type": "string", "maxLength": 10}, {"type": "null"}]},
                    "tags": {"type": "array", "items": {"type": "string"}},
                },
            },
            "OrderView": {
                "type": "object",
                "required": ["orderId", "kind"],
                "properties": {
                    "orderId": {"type": "string"},
                    "kind": {"$ref": "#/components/schemas/Kind"},
                    "note": {"type": "string"},
                },
            },
        }
    },
}


def changed(change: Callable[[dict[str, Any]], object]) -> list[str]:
    new = copy.deepcopy(OLD)
    change(new)
    return breaking_changes(OLD, new)


def post(document: dict[str, Any]) -> Any:
    return document["paths"]["/orders"]["post"]


def schemas(document: dict[str, Any]) -> Any:
    return document["components"]["schemas"]


def body(document: dict[str, Any]) -> Any:
    return schemas(document)["OrderBody"]["properties"]


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda new: new["paths"].pop("/orders/{orderId}"), "the path is gone"),
        (lambda new: new["paths"]["/orders"].pop("get"), "the method is gone"),
        (lambda new: post(new).update(operationId="other"), "became other"),
        (lambda new: post(new).update(security=[{"accessToken": []}]), "needs an access token"),
        (lambda new: post(new).update({"x-roles": ["ADMIN"]}), "closed to the roles FINANCE"),
        (lambda new: post(new)["parameters"].pop(), "kind is gone"),
        (lambda new: post(new)["parameters"][0].update(required=True), "limit became required"),
        (lambda new: post(new)["parameters"][0]["schema"].update(maximum=100), "limit has a maximum of 100"),
        (lambda new: post(new)["parameters"][0]["schema"].update(minimum=2), "limit has a minimum of 2"),
        (lambda new: schemas(new)["Kind"]["enum"].remove("LARGE"), "does not take LARGE"),
        (lambda new: schemas(new)["OrderBody"]["required"].append("note"), ".note became required"),
        (lambda new: body(new).pop("note"), ".note is gone"),
        (lambda new: body(new)["amount"].update(type="string"), ".amount may not be integer"),
        (lambda new: body(new)["amount"].update(maximum=5), ".amount has a maximum of 5"),
        (lambda new: body(new)["note"]["anyOf"].pop(), ".note may not be null"),
        (lambda new: body(new)["note"]["anyOf"][0].update(maxLength=9), ".note has a maxLength of 9"),
        (lambda new: body(new)["tags"]["items"].update(pattern="^x"), ".tags[] has the pattern ^x"),
        (lambda new: post(new)["responses"].pop("201"), "never answers 201"),
        (lambda new: post(new)["responses"]["201"]["headers"].clear(), "without the header X-Request-Id"),
        (lambda new: schemas(new)["OrderView"]["required"].remove("orderId"), ".orderId may be absent"),
        (lambda new: schemas(new)["OrderView"]["properties"].pop("note"), ".note is gone"),
        (
            lambda new: schemas(new)["OrderView"]["properties"].update(note={"type": ["string", "null"]}),
            ".note may be null",
        ),
        (lambda new: post(new)["responses"].pop("404"), "error order_not_found"),
    ],
)
def test_what_clients_would_feel_is_found(change: Callable[[dict[str, Any]], object], problem: str):
    problems = changed(change)
    assert len(problems) == 1
    assert problem in problems[0]


@pytest.mark.parametrize(
    "change",
    [
        lambda new: None,
        lambda new: new["paths"].update({"/more": {}}),
        lambda new: body(new).update(more={"type": "string"}),
        lambda new: schemas(new)["OrderBody"]["required"].clear(),
        lambda new: body(new)["note"]["anyOf"][0].pop("maxLength"),
        lambda new: body(new)["amount"].update(type="number"),
        lambda new: schemas(new)["Kind"]["enum"].append("HUGE"),
        lambda new: schemas(new)["OrderView"]["properties"].update(more={"type": "string"}),
        lambda new: schemas(new)["OrderView"]["required"].append("note"),
        lambda new: post(new)["parameters"].append({"name": "x", "in": "query", "schema": {}}),
        lambda new: post(new)["x-roles"].append("OWNER"),
        lambda new: post(new).pop("x-roles"),
    ],
)
def test_more_is_no_breach(change: Callable[[dict[str, Any]], object]):
    assert changed(change) == []


def test_schemas_that_hold_themselves_come_to_an_end():
    document = {
        "paths": {
            "/x": {
                "get": {
                    "operationId": "x",
                    "responses": {"200": {"content": {"a": {"schema": {"$ref": "#/components/schemas/Node"}}}}},
                }
            }
        },
        "components": {
            "schemas": {"Node": {"type": "object", "properties": {"next": {"$ref": "#/components/schemas/Node"}}}}
        },
    }
    assert breaking_changes(document, copy.deepcopy(document)) == []
