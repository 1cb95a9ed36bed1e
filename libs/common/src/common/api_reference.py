"""The reference that is generated from the code of all services: openapi.json, api.md, errors.md.

Services are imported, never started.
"""

from collections.abc import Iterator
from importlib import import_module
from importlib.util import find_spec
from pkgutil import walk_packages
from typing import Any

from common import openapi
from common.errors import KIND_BY_NAME, KINDS, Entry, catalogue
from common.grpc_server import STATUS
from common.http_server import HTTP_STATUS, Route
from common.openapi_documents import Json, resolved_response, resolved_schema
from common.route_tables import health_routes, route_tables
from common.services import SERVICES

# Packages with errors that are no service's own.
_LIBRARIES = ("common", "gateways")
# Modules that do something when they are imported, or are no part of a running service.
_NOT_IMPORTED = frozenset({"__main__", "migrations", "alembic", "testing"})

_ERRORS_INTRODUCTION = """\
# Errors

<!-- Generated from the code by `commdesk openapi`; a test compares. -->

Over HTTP an error is `{"success": false, "error": {code, message, fields?, requestId}}`, over gRPC a status with the
code in the trailer `error-code`. The kind decides the status; the code is for programs. Where waiting helps,
`Retry-After` says how long. Some errors have a status of their own: 405 `method_not_allowed`,
408 `body_too_slow`, 415 `unsupported_media_type` and `content_encoding_unsupported`, 502 `service_unreachable` and 504
`service_timed_out`, which are the edge's. `internal_error` (500) is a mistake of ours."""
_API_INTRODUCTION = """\
# API

<!-- Generated from the code by `commdesk openapi`; a test compares. -->

The same as [openapi.json](openapi.json), to read. A running stack serves it at `/openapi.json` and, to try it out, at
`/docs`. [errors.md](errors.md) explains the codes.

{description}

Every endpoint may also answer 400 `request_invalid` (a header that is repeated, a parameter that is not known) and
`request_malformed`, 408 `body_too_slow`, 413 `body_too_large`, 429 (rate limit), 499 (too slow), 500 `internal_error`,
502 `service_unreachable` and 504 `service_timed_out` (the edge), and 503 with `Retry-After`. Those that need an access
token (`Authorization: Bearer …`) answer 401 without a valid one."""


def service_routes() -> dict[str, list[Route[Any]]]:
    """The rows of every service that the edge leads to, health pages included."""
    return {**{name: table for name, table in route_tables().items() if table}, "health": health_routes()}


def document() -> Json:
    """The OpenAPI document of the edge."""
    return openapi.document(service_routes())


def errors() -> list[Entry]:
    """The errors of all services and libraries."""
    packages = [*_LIBRARIES, *(listed.package for listed in SERVICES.values())]
    for package in packages:
        if find_spec(package) is not None:
            for module in _modules(package):
                import_module(module)
    return [entry for entry in catalogue() if entry.source in packages]


def _modules(package: str) -> Iterator[str]:
    for module in walk_packages(import_module(package).__path__, f"{package}."):
        if not _NOT_IMPORTED & {*module.name.split(".")}:
            yield module.name


def errors_page(entries: list[Entry]) -> str:
    """docs/reference/errors.md."""
    lines = [_ERRORS_INTRODUCTION]
    for kind in KINDS:
        of_kind = [entry for entry in entries if KIND_BY_NAME[entry.kind] is kind]
        lines += [
            "",
            f"## {kind.kind}: HTTP {HTTP_STATUS[kind]}, gRPC {STATUS[kind].name}",
            "",
            " ".join((kind.__doc__ or "").split()),
            "",
            "| code | meaning | what to do | from |",
            "|---|---|---|---|",
            *(f"| `{each.code}` | {_cell(each.meaning)} | {_cell(each.fix)} | {each.source} |" for each in of_kind),
        ]
    return "\n".join(lines) + "\n"


def api_page(document: Json) -> str:
    """docs/reference/api.md."""
    lines = [_API_INTRODUCTION.format(description=document["info"]["description"])]
    for tag in document["tags"]:
        lines += ["", f"## {tag['name']}"]
        for path, operations in document["paths"].items():
            for method, operation in operations.items():
                if operation["tags"] == [tag["name"]]:
                    lines += _operation_lines(method.upper(), path, operation, document)
    return "\n".join(lines) + "\n"


def _operation_lines(method: str, path: str, operation: Json, document: Json) -> list[str]:
    access = "an access token" if operation["security"] else "no token"
    lines = ["", f"### {method} {path}", "", f"{operation['summary']}. `{operation['operationId']}`, needs {access}."]
    if "description" in operation:
        lines += ["", operation["description"]]
    if "deprecated" in operation:
        lines += ["", "Deprecated."]
    if parameters := operation.get("parameters"):
        lines += ["", "| parameter | in | type | |", "|---|---|---|---|"]
        lines += [
            f"| `{each['name']}`{'' if each.get('required') else '?'} | {each['in']} | {_type(each['schema'])} | "
            f"{_cell(each.get('description', ''))} |"
            for each in parameters
        ]
    if "requestBody" in operation:
        schema = operation["requestBody"]["content"]["application/json"]["schema"]
        lines += ["", "Body:", *_field_lines(schema, document)]
    for status, response in operation["responses"].items():
        if not status.startswith("2"):
            continue
        for media_type, content in response.get("content", {}).items():
            schema = content["schema"]
            data = schema.get("properties", {}).get("data", schema)
            named = "" if media_type == "application/json" else f", {media_type}"
            lines += ["", f"{status}{named}:", *_field_lines(data, document)]
    if codes := _codes(operation, document):
        lines += ["", f"Errors: {codes}."]
    return lines


def _codes(operation: Json, document: Json) -> str:
    """The codes of 4xx beyond those that every endpoint has, by status."""
    parts = []
    for status, response in operation["responses"].items():
        if status in ("401", "429", "499") or not status.startswith("4"):
            continue
        content = resolved_response(response, document).get("content")
        if content is None:
            continue
        schema = content["application/json"]["schema"]
        codes = schema["allOf"][1]["properties"]["error"]["properties"]["code"]["enum"]
        parts.append(f"{status} {', '.join(f'`{code}`' for code in codes)}")
    return "; ".join(parts)


def _field_lines(schema: Json, document: Json) -> list[str]:
    """A schema as a list of fields; of a list, those of its items."""
    resolved = resolved_schema(schema, document)
    if resolved.get("type") == "array":
        return [" a list of", *_field_lines(resolved["items"], document)]
    fields = resolved.get("properties")
    if not fields:
        return ["", _type(schema)] if schema else ["", resolved.get("description", "")]
    required = resolved.get("required", [])
    return [
        "",
        *(
            f"- `{name}`{'' if name in required else '?'} {_type(field)}{_described(field)}"
            for name, field in fields.items()
        ),
    ]


def _described(field: Json) -> str:
    return f": {_cell(field['description'])}" if "description" in field else ""


def _type(schema: Json) -> str:
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    if "anyOf" in schema:
        return " or ".join(_type(each) for each in schema["anyOf"])
    if "enum" in schema:
        return ", ".join(map(str, schema["enum"]))
    if schema.get("type") == "array":
        return f"list of {_type(schema['items'])}"
    kind = str(schema.get("format") or schema.get("type", "anything"))
    low, high = schema.get("minimum", schema.get("minLength")), schema.get("maximum", schema.get("maxLength"))
    if low is not None and high is not None and abs(high) < 2**53:
        return f"{kind}, {low} to {high}"
    if high is not None and abs(high) < 2**53:
        return f"{kind}, at most {high}"
    return kind


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())
