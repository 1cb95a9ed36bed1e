"""Look into an OpenAPI document: what a reference in it stands for."""

from typing import Any, TypeAlias

Json: TypeAlias = dict[str, Any]


def resolved_schema(schema: Json, document: Json) -> Json:
    """*schema*, or the one that it refers to."""
    while "$ref" in schema:
        schema = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    return schema


def resolved_response(response: Json, document: Json) -> Json:
    """*response*, or the one that it refers to."""
    if "$ref" in response:
        named: Json = document["components"]["responses"][response["$ref"].rpartition("/")[2]]
        return named
    return response
