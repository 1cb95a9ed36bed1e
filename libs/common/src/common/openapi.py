"""The OpenAPI 3.1 document of the whole edge, made of the services' route rows: the types that decode and encode.

`document` is pure. What the rows say is in it: parameters, bodies, views, errors by status with their codes and fixes,
security, Retry-After. What holds for every row (the envelope, the errors of HTTP itself, the edge's limits) is added.
"""

import inspect as python_inspect
import re
from collections.abc import Iterable, Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final, get_origin

import msgspec
from msgspec import inspect

from common import api_versions
from common.api_keys import (
    ApiKeyGuessesThrottled,
    ApiKeyInvalid,
    ApiKeyNetworkNotAllowed,
    ApiKeyOriginNotAllowed,
    CredentialsAmbiguous,
)
from common.api_versions import ApiVersionUnknown
from common.batching import DeadlinePassed
from common.database import DatabaseUnavailable
from common.errors import DomainError, Overloaded, RequestInvalid
from common.grpc_client import CalleeFailed, CalleeUnavailable
from common.http_server import BodyTooLarge, Route, RouteNotFound, UnsupportedMediaType, status_of
from common.http_server.error_responses import (
    BodyTooSlow,
    ContentEncodingUnsupported,
    RequestMalformed,
    RoleMissing,
    ServiceTimedOut,
    ServiceUnreachable,
    Stopping,
)
from common.http_server.key_requests import RateLimitExceeded
from common.http_server.requests import INTEGER_MAX
from common.idempotency import (
    KEY_LENGTH_MAX,
    IdempotencyKeyInFlight,
    IdempotencyKeyInvalid,
    IdempotencyKeyReused,
)
from common.openapi_documents import Json
from common.pages import CursorInvalid
from common.permissions import TABLE
from common.tokens import RevocationsUnknown, TokenExpired, TokenInvalid, TokenMissing, TokenRevoked

VERSION: Final = "1"
_REFERENCE = "#/components/schemas/{name}"
_PARAMETER = re.compile(r"\{(\w+)(?::\w+)?\}")

# What every endpoint may answer whatever is asked of it: a header that is repeated, a parameter that nobody knows, what
# is no HTTP; a body that is too large or too slow, wanted or not; and what the edge says when it gets no answer.
_OF_HTTP: Sequence[type[DomainError]] = (
    RequestInvalid,
    RequestMalformed,
    BodyTooLarge,
    BodyTooSlow,
    ServiceUnreachable,
    ServiceTimedOut,
)
_UNAVAILABLE: Sequence[type[DomainError]] = (
    Overloaded,
    Stopping,
    DatabaseUnavailable,
    DeadlinePassed,
    CalleeUnavailable,
    CalleeFailed,
)
# What a request is told that carries an API key, whether or not keys may have the route's permission.
_OF_API_KEYS: Sequence[type[DomainError]] = (
    ApiKeyInvalid,
    ApiKeyGuessesThrottled,
    ApiKeyNetworkNotAllowed,
    ApiKeyOriginNotAllowed,
    ApiVersionUnknown,
    CredentialsAmbiguous,
    RateLimitExceeded,
)
_HEADERS: Json = {"X-Request-Id": {"$ref": "#/components/headers/RequestId"}}
_RETRY_AFTER: Json = {
    "description": "Seconds to wait before the same request is sent again.",
    "required": True,
    "schema": {"type": "integer", "minimum": 0},
}
_REQUEST_ID: Json = {"description": "The id of this request, for logs and support.", "schema": {"type": "string"}}
_IDEMPOTENCY_KEY: Json = {
    "name": "Idempotency-Key",
    "in": "header",
    "description": (
        "The same request under the same key gets the first answer again, for 24 hours; another request under it is "
        "refused. Without it, every request is a new one. `X-Idempotency-Key` is another spelling of it; only one of "
        "them may be sent."
    ),
    "schema": {"type": "string", "minLength": 1, "maxLength": KEY_LENGTH_MAX, "pattern": r"^[\x20-\x7e]+$"},
}
_API_VERSION: Json = {
    "name": api_versions.HEADER,
    "in": "header",
    "description": "With an API key: the dated version of the API to answer in; without it, the key's own.",
    "schema": {"enum": list(api_versions.API_VERSIONS)},
}
# What answers to requests by API key say beside the answer.
_OF_KEY_ANSWERS: Json = {
    api_versions.HEADER: {
        "description": "To an API key: the dated version of the API that this answer is in.",
        "schema": {"type": "string", "format": "date"},
    },
    "RateLimit-Limit": {
        "description": "To an API key: how many requests it may send at once.",
        "schema": {"type": "integer", "minimum": 1},
    },
    "RateLimit-Remaining": {
        "description": "To an API key: how many of them are left.",
        "schema": {"type": "integer", "minimum": 0},
    },
    "RateLimit-Reset": {
        "description": "To an API key: seconds until all of them are left again.",
        "schema": {"type": "integer", "minimum": 0},
    },
}
_ERROR: Json = {
    "type": "object",
    "description": "Every error has this shape.",
    "required": ["success", "error"],
    "properties": {
        "success": {"const": False},
        "error": {
            "type": "object",
            "required": ["code", "message", "requestId"],
            "properties": {
                "code": {"type": "string", "description": "For programs; docs/reference/errors.md lists all."},
                "message": {"type": "string", "description": "For people."},
                "fields": {
                    "type": "object",
                    "description": "What is wrong, by the name of the field or parameter.",
                    "additionalProperties": {"type": "string"},
                },
                "requestId": {"type": "string"},
            },
        },
    },
}
_PATH_REFUSED = "The edge refuses encoded slashes and control characters in a path, without a body."
_TOO_SLOW: Json = {
    "description": "The edge waited 15 seconds for the rest of the request. Nothing of it has reached a service.",
    "content": {"text/plain": {"schema": {"type": "string"}}},
}
_RATE_LIMITED = (
    "More requests than the edge lets through from one address, as plain text, or a limit of the service's own as JSON."
)


def document(services: Mapping[str, Sequence[Route[Any]]], title: str = "CommDesk Pay") -> Json:
    """The document for the routes of each service. Raises ValueError where two rows have one operationId."""
    services = {name: [row for row in routes if row.documented] for name, routes in services.items()}
    components, schema_of = _schemas([route for routes in services.values() for route in routes])
    paths: dict[str, Json] = {}
    operations: set[str] = set()
    for service, routes in sorted(services.items()):
        for route in routes:
            operation = _operation(service, route, schema_of)
            name = operation["operationId"]
            if name in operations:
                raise ValueError(f"{route.method} {route.path}: operationId {name} is taken; give `operation_id=`")
            operations.add(name)
            paths.setdefault(_path(route), {})[route.method.lower()] = operation
    return {
        "openapi": "3.1.0",
        "info": {
            "title": title,
            "version": VERSION,
            "description": (
                'Every answer is `{"success": true, "data": …}` or `{"success": false, "error": {"code", "message", '
                '"fields?", "requestId"}}`. Amounts are integers in the smallest unit of their currency (paise). Times '
                "are RFC 3339. Unknown fields and parameters are refused. Under `/v1/api/` the same paths answer."
            ),
        },
        "servers": [{"url": "/"}],
        "tags": [{"name": name} for name, routes in sorted(services.items()) if routes],
        "paths": dict(sorted(paths.items())),
        "components": {
            "schemas": dict(sorted({**components, "Error": _ERROR}.items())),
            "headers": {"RequestId": _REQUEST_ID, **_OF_KEY_ANSWERS},
            "responses": _shared_responses(),
            "securitySchemes": {
                "accessToken": {
                    "type": "http",
                    "scheme": "bearer",
                    "bearerFormat": "JWT",
                    "description": "The `token` of signing up, logging in or refreshing.",
                },
                "apiKey": {
                    "type": "http",
                    "scheme": "bearer",
                    "bearerFormat": "sk_… or key_…",
                    "description": "An API key of a merchant. `Authorization: Basic`, with the key as user name, and"
                    " the header `X-Api-Key` do as well.",
                },
            },
        },
    }


def encoded(openapi: Json) -> bytes:
    """As it is kept in the repository and served."""
    return msgspec.json.format(msgspec.json.encode(openapi), indent=1) + b"\n"


def errors_of(route: Route[Any]) -> list[type[DomainError]]:
    """Every DomainError that *route* may answer with: the row's own and those that its other columns imply."""
    errors: list[type[DomainError]] = [*_OF_HTTP, *_UNAVAILABLE]
    if not route.public:
        errors += [TokenMissing, TokenInvalid, TokenExpired, TokenRevoked, RoleMissing, RevocationsUnknown]
        errors += _OF_API_KEYS
    if _PARAMETER.search(route.path):
        errors.append(RouteNotFound)
    if route.body is not None:
        errors.append(ContentEncodingUnsupported)
        if route.body is not bytes:
            errors.append(UnsupportedMediaType)
    if route.query is not None and "cursor" in route.query.__struct_fields__:
        errors.append(CursorInvalid)
    if route.idempotent:
        errors += [IdempotencyKeyInvalid, IdempotencyKeyReused, IdempotencyKeyInFlight]
    return [*dict.fromkeys([*errors, *route.errors])]


def _operation(service: str, route: Route[Any], schema_of: Mapping[Any, Json]) -> Json:
    summary, description = _described(route)
    operation: Json = {
        "operationId": route.operation_id or _camel(getattr(route.function, "__name__", "")),
        "tags": [service],
        "summary": summary,
    }
    if route.permission:
        description = f"{description}\n\nNeeds the permission `{route.permission}`.".strip()
        operation["x-permission"] = route.permission
        roles = TABLE.permissions[route.permission].platform
        if roles != TABLE.platform_roles.keys():
            description = f"{description} Platform roles: {', '.join(sorted(roles))}."
            operation["x-roles"] = sorted(roles)
    if description:
        operation["description"] = description
    if route.deprecated:
        operation["deprecated"] = True
    operation["security"] = [] if route.public else [{"accessToken": []}]
    if _takes_keys(route):
        operation["security"].append({"apiKey": []})
    if parameters := _parameters(route, schema_of):
        operation["parameters"] = parameters
    if route.body is not None:
        operation["requestBody"] = {
            "required": True,
            "content": {"application/json": {"schema": schema_of[route.body]}},
        }
    operation["responses"] = _responses(route, schema_of)
    return operation


def _takes_keys(route: Route[Any]) -> bool:
    """Whether API keys may have the route's permission."""
    return bool(route.permission and TABLE.permissions[route.permission].keys)


def _described(route: Route[Any]) -> tuple[str, str]:
    text = python_inspect.getdoc(route.function) or ""
    first, _, rest = text.partition("\n\n")
    return " ".join(first.split()).rstrip("."), " ".join(rest.split())


def _parameters(route: Route[Any], schema_of: Mapping[Any, Json]) -> list[Json]:
    parameters: list[Json] = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}
        for name in _PARAMETER.findall(route.path)
    ]
    if route.query is not None:
        query = schema_of[route.query]
        required = set(query.get("required", []))
        for name, schema in query.get("properties", {}).items():
            parameter: Json = {"name": name, "in": "query", "required": name in required}
            if "description" in schema:
                parameter["description"] = schema["description"]
            parameters.append({**parameter, "schema": _without_null(schema)})
    parameters += [{"name": name, "in": "header", "schema": {"type": "string"}} for name in route.headers]
    if route.idempotent:
        parameters.append(_IDEMPOTENCY_KEY)
    if _takes_keys(route):
        parameters.append(_API_VERSION)
    return parameters


def _without_null(schema: Json) -> Json:
    """A query parameter cannot be null: it is absent."""
    schema = {name: value for name, value in schema.items() if name not in ("description", "default")} | (
        {"default": schema["default"]} if schema.get("default") is not None else {}
    )
    kinds = [kind for kind in schema.get("anyOf", []) if kind != {"type": "null"}]
    if len(kinds) == 1 and len(kinds) < len(schema["anyOf"]):
        schema = {**{name: value for name, value in schema.items() if name != "anyOf"}, **kinds[0]}
        schema.pop("description", None)
    return schema


def _responses(route: Route[Any], schema_of: Mapping[Any, Json]) -> Json:
    view: Json = {} if route.answer is bytes else schema_of[route.answer]
    if route.envelope and route.answer is not bytes:
        view = {
            "type": "object",
            "required": ["success", "data"],
            "properties": {"success": {"const": True}, "data": view},
        }
    answered: Json = {"description": HTTPStatus(route.status).phrase, "headers": dict(_HEADERS)}
    if route.idempotent:
        answered["headers"]["Idempotent-Replayed"] = {
            "description": "`true` when this is the first request's answer again.",
            "schema": {"type": "string"},
        }
    if _takes_keys(route):
        answered["headers"] |= {name: {"$ref": f"#/components/headers/{name}"} for name in _OF_KEY_ANSWERS}
    answered["content"] = {route.media_type: {"schema": view}}
    responses: Json = {str(route.status): answered}
    by_status: dict[int, list[type[DomainError]]] = {}
    for error in errors_of(route):
        by_status.setdefault(status_of(error()), []).append(error)
    for status, errors in by_status.items():
        refused = _error_response(errors)
        if str(status) in responses:  # a 202 that says "not known yet" beside one that says "accepted"
            content = responses[str(status)]["content"]["application/json"]
            content["schema"] = {"oneOf": [content["schema"], refused["content"]["application/json"]["schema"]]}
            responses[str(status)]["description"] += f", or: {refused['description']}"
        else:
            responses[str(status)] = refused
    responses["500"] = _INTERNAL_ERROR
    if _PARAMETER.search(route.path):
        responses["400"]["description"] = f"{_PATH_REFUSED}\n{responses['400']['description']}"
    responses["429"] = _rate_limited(responses.get("429"))
    responses["499"] = _TOO_SLOW
    shared = _shared_responses()
    named = {
        status: next(
            ({"$ref": f"#/components/responses/{name}"} for name, each in shared.items() if each == response), response
        )
        for status, response in responses.items()
    }
    return dict(sorted(named.items()))


def _rate_limited(own: Json | None) -> Json:
    """429 is the edge's, and may be the service's too."""
    own = own or {"description": "", "content": {}}
    return {
        "description": "\n".join(filter(None, [_RATE_LIMITED, own["description"]])),
        "headers": {"Retry-After": _RETRY_AFTER},
        "content": {**own["content"], "text/plain": {"schema": {"type": "string"}}},
    }


def _shared_responses() -> Json:
    """Responses that most operations have."""
    return {
        "AccessTokenRefused": _error_response([TokenMissing, TokenInvalid, TokenExpired, TokenRevoked, ApiKeyInvalid]),
        "BodyTooLarge": _error_response([BodyTooLarge]),
        "BodyTooSlow": _error_response([BodyTooSlow]),
        "EdgeGaveUp": _TOO_SLOW,
        "EdgeTimedOut": _error_response([ServiceTimedOut]),
        "EdgeUnconnected": _error_response([ServiceUnreachable]),
        "InternalError": _INTERNAL_ERROR,
        "RateLimited": _rate_limited(None),
        "RateLimitedByKey": _rate_limited(_error_response([ApiKeyGuessesThrottled, RateLimitExceeded])),
        "RequestInvalid": _error_response([RequestInvalid, RequestMalformed]),
        "RequestInvalidOrAmbiguous": _error_response(
            [RequestInvalid, RequestMalformed, ApiVersionUnknown, CredentialsAmbiguous]
        ),
        "RoleMissing": _error_response([RoleMissing, ApiKeyNetworkNotAllowed, ApiKeyOriginNotAllowed]),
        "Unavailable": _error_response(_UNAVAILABLE),
        "UnavailableToRoles": _error_response([*_UNAVAILABLE, RevocationsUnknown]),
        "UnsupportedMediaType": _error_response([ContentEncodingUnsupported, UnsupportedMediaType]),
    }


def _error_response(errors: Sequence[type[DomainError]]) -> Json:
    ordered = sorted(errors, key=lambda error: error.code)
    response: Json = {
        "description": "\n".join(f"- `{error.code}`: {error.fix}" for error in ordered),
        "headers": dict(_HEADERS),
        "content": {"application/json": {"schema": _error_schema([error.code for error in ordered])}},
    }
    if any(getattr(error, "retry_after_seconds", None) is not None for error in ordered):
        # Beside one that waiting does not help, it is not always there.
        every = all(getattr(error, "retry_after_seconds", None) is not None for error in ordered)
        response["headers"]["Retry-After"] = {**_RETRY_AFTER, "required": every}
    return response


def _error_schema(codes: Sequence[str]) -> Json:
    code = {"enum": list(codes)}
    return {
        "allOf": [
            {"$ref": _REFERENCE.format(name="Error")},
            {"properties": {"error": {"properties": {"code": code}}}},
        ]
    }


_INTERNAL_ERROR: Json = {
    "description": "`internal_error`: a mistake of ours, which is logged under the request id.",
    "headers": _HEADERS,
    "content": {"application/json": {"schema": _error_schema(["internal_error"])}},
}


def _path(route: Route[Any]) -> str:
    return _PARAMETER.sub(r"{\1}", route.path)


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.title() for word in rest)


# Schemas: msgspec writes them; what it leaves out or cannot know is added.


def _say_patterns_for_everybody(schema: Any) -> None:
    """JSON Schema has ECMAScript's patterns: their `$` is Python's `\\Z`, which they do not know."""
    if isinstance(schema, dict):
        if isinstance(pattern := schema.get("pattern"), str):
            schema["pattern"] = pattern.replace(r"\Z", "$")
        for each in schema.values():
            _say_patterns_for_everybody(each)
    elif isinstance(schema, list):
        for each in schema:
            _say_patterns_for_everybody(each)


def _schemas(routes: Iterable[Route[Any]]) -> tuple[dict[str, Json], dict[Any, Json]]:
    """The components, and the schema of each type that a row names; one call tells equal names apart."""
    requested: dict[Any, None] = {}
    answered: dict[Any, None] = {}
    queried: set[Any] = set()
    for route in routes:
        requested |= {each: None for each in (route.body, route.query) if each not in (None, bytes)}
        queried |= {route.query} - {None}
        if route.answer is not bytes:
            answered[route.answer] = None
    types = [*dict.fromkeys([*requested, *answered])]
    schemas, components = msgspec.json.schema_components(types, ref_template=_REFERENCE)
    for schema in (*schemas, *components.values()):
        _say_patterns_for_everybody(schema)
    schema_of: dict[Any, Json] = dict(zip(types, schemas, strict=True))
    for each in types:
        _complete(inspect.type_info(each), schema_of[each], components, each in answered, set())
    if both := _names(schema_of, components, requested) & _names(schema_of, components, answered):
        raise ValueError(f"{', '.join(sorted(both))}: what is sent and what is answered need types of their own")
    schema_of[bytes] = {"description": "Any bytes; their signature is verified as they are."}
    for query in queried:
        schema_of[query] = components[_name(schema_of[query])]
    for query in queried:  # shown as parameters
        components.pop(query.__name__, None)
    for name in [name for name, schema in components.items() if "enum" in schema and "type" not in schema]:
        components[name] = _typed(components[name])
    return components, schema_of


def _names(schema_of: Mapping[Any, Json], components: Mapping[str, Json], types: Iterable[Any]) -> set[str]:
    """The components with fields that the schemas of *types* lead to, where it matters who sends them."""
    reached: set[str] = set()

    def visit(schema: Any) -> None:
        if isinstance(schema, list):
            for each in schema:
                visit(each)
        elif isinstance(schema, dict):
            if "$ref" in schema and (name := _name(schema)) not in reached:
                reached.add(name)
                visit(components[name])
            for each in schema.values():
                visit(each)

    for each in types:
        visit(schema_of[each])
    return {name for name in reached if "properties" in components[name]}


def _complete(info: Any, schema: Json, components: dict[str, Json], answered: bool, seen: set[str]) -> None:
    """Fill in *schema*, which msgspec made of *info*: times, types of enumerations, for answers what is required."""
    if isinstance(info, inspect.Metadata):
        _complete(info.type, schema, components, answered, seen)
        return
    if "$ref" in schema:
        name = _name(schema)
        if name not in seen:
            _complete(info, components[name], components, answered, seen | {name})
        return
    if "anyOf" in schema:
        kinds = list(info.types) if isinstance(info, inspect.UnionType) else [info]
        for branch in schema["anyOf"]:
            for kind in kinds:
                if _matches(kind, branch):
                    _complete(kind, branch, components, answered, seen)
        return
    if isinstance(info, inspect.DateTimeType | inspect.TimeType):
        schema.setdefault("format", "date-time" if isinstance(info, inspect.DateTimeType) else "time")
    elif isinstance(info, inspect.IntType):
        if not answered:
            if "exclusiveMinimum" not in schema:
                schema.setdefault("minimum", -INTEGER_MAX)
            if "exclusiveMaximum" not in schema:
                schema.setdefault("maximum", INTEGER_MAX)
    elif isinstance(info, inspect.LiteralType | inspect.EnumType):
        schema.update(_typed(schema))
    elif isinstance(info, inspect.CollectionType | inspect.VarTupleType):
        _complete(info.item_type, schema["items"], components, answered, seen)
    elif isinstance(info, inspect.DictType):
        if isinstance(schema.get("additionalProperties"), dict):
            _complete(info.value_type, schema["additionalProperties"], components, answered, seen)
    elif isinstance(info, inspect.StructType):
        for field in info.fields:
            _complete(field.type, schema["properties"][field.encode_name], components, answered, seen)
        if answered:
            _require_all(info, schema)


def _require_all(info: inspect.StructType, schema: Json) -> None:
    """An answer holds all its fields, defaults included, unless the view leaves out what is default or unset."""
    for field in info.fields:
        schema["properties"][field.encode_name].pop("default", None)
    struct = get_origin(info.cls) or info.cls
    if not struct.__struct_config__.omit_defaults:
        schema["required"] = [field.encode_name for field in info.fields if field.default is not msgspec.UNSET]


def _matches(info: Any, schema: Json) -> bool:
    """Whether *schema* may be what msgspec made of *info*, a branch of a union."""
    if isinstance(info, inspect.Metadata):
        return _matches(info.type, schema)
    if isinstance(info, inspect.StructType | inspect.EnumType):
        return "$ref" in schema and _name(schema).rpartition(".")[2] == info.cls.__name__
    if isinstance(info, inspect.LiteralType):
        return "enum" in schema
    kinds: dict[type, str] = {
        inspect.DateTimeType: "string",
        inspect.IntType: "integer",
        inspect.CollectionType: "array",
        inspect.VarTupleType: "array",
        inspect.DictType: "object",
    }
    kind = next((name for cls, name in kinds.items() if isinstance(info, cls)), None)
    return kind is not None and schema.get("type") == kind


def _typed(schema: Json) -> Json:
    """An enumeration with its JSON type."""
    kinds = {"integer" if isinstance(value, int) else "string" for value in schema["enum"]}
    return {**schema, "type": kinds.pop()} if len(kinds) == 1 and "type" not in schema else schema


def _name(schema: Json) -> str:
    return str(schema["$ref"]).rpartition("/")[2]
