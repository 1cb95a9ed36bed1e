"""What a new OpenAPI document takes away from clients of an old one.

A request that was good stays good, an answer holds what it held. More is no breach: new paths, optional fields of a
request, fields of an answer, values of an answer's enumeration, errors.
"""

from collections.abc import Iterator
from typing import Any

from common.openapi_documents import Json, resolved_response, resolved_schema

_NO_LIMIT = float("inf")
_LEAST = {"minLength": 0, "minItems": 0, "minProperties": 0}


def breaking_changes(old: Json, new: Json) -> list[str]:
    """One line for each, empty when every client of *old* can go on with *new*."""
    return [*_changes(old, new)]


def _changes(old: Json, new: Json) -> Iterator[str]:
    for path, operations in old["paths"].items():
        for method, operation in operations.items():
            where = f"{method.upper()} {path}"
            if path not in new["paths"]:
                yield f"{where}: the path is gone"
            elif method not in new["paths"][path]:
                yield f"{where}: the method is gone"
            else:
                yield from _operation(where, operation, new["paths"][path][method], old, new)
    for code in sorted(_codes(old) - _codes(new)):
        yield f"error {code}: nothing answers with it any more"


def _operation(where: str, was: Json, now: Json, old: Json, new: Json) -> Iterator[str]:
    if was["operationId"] != now["operationId"]:
        yield f"{where}: operationId {was['operationId']} became {now['operationId']}"
    if now.get("security") and not was.get("security"):
        yield f"{where}: needs an access token"
    if now.get("x-roles") and (lost := set(was.get("x-roles", ["any"])) - set(now["x-roles"])):
        yield f"{where}: is closed to the roles {', '.join(sorted(lost))}"
    yield from _parameters(where, was, now, old, new)
    yield from _body(where, was.get("requestBody"), now.get("requestBody"), old, new)
    for status, response in was["responses"].items():
        if not status.startswith("2"):
            continue
        if status not in now["responses"]:
            yield f"{where}: never answers {status} any more"
            continue
        answered = now["responses"][status]
        for name in response.get("headers", {}).keys() - answered.get("headers", {}).keys():
            yield f"{where}: {status} without the header {name}"
        for media_type, content in response.get("content", {}).items():
            if media_type not in answered.get("content", {}):
                yield f"{where}: {status} is not {media_type} any more"
                continue
            schema = answered["content"][media_type]["schema"]
            for problem in _not_covered(content["schema"], schema, old, new, "", answer=True):
                yield f"{where}: {status} {problem}"


def _parameters(where: str, was: Json, now: Json, old: Json, new: Json) -> Iterator[str]:
    before = {(each["in"], each["name"]): each for each in was.get("parameters", [])}
    after = {(each["in"], each["name"]): each for each in now.get("parameters", [])}
    for place, name in before.keys() - after.keys():
        yield f"{where}: the {place} parameter {name} is gone"
    for (place, name), parameter in after.items():
        earlier = before.get((place, name))
        if parameter.get("required") and not (earlier and earlier.get("required")):
            yield f"{where}: the {place} parameter {name} became required"
        if earlier:
            for problem in _not_covered(parameter["schema"], earlier["schema"], new, old, ""):
                yield f"{where}: the {place} parameter {name} {problem}"


def _body(where: str, was: Json | None, now: Json | None, old: Json, new: Json) -> Iterator[str]:
    if now is None:
        return
    if was is None:
        if now.get("required"):
            yield f"{where}: needs a body"
        return
    for media_type, content in was["content"].items():
        if media_type not in now["content"]:
            yield f"{where}: does not take {media_type} any more"
            continue
        for problem in _not_covered(now["content"][media_type]["schema"], content["schema"], new, old, ""):
            yield f"{where}: the body {problem}"


def _not_covered(
    wide: Json, narrow: Json, wide_in: Json, narrow_in: Json, path: str, *, answer: bool = False, depth: int = 0
) -> Iterator[str]:
    """Why a value that *narrow* describes may not be one of *wide*: of a request, the new schema must be as wide as the
    old one; of an answer, the old one as wide as the new.
    """
    wide, narrow = resolved_schema(wide, wide_in), resolved_schema(narrow, narrow_in)
    if depth > 20 or not wide:
        return
    at = f"{path} " if path else ""
    both = (wide_in, narrow_in)
    branches = _branches(narrow)
    if len(branches) > 1 or len(_branches(wide)) > 1:
        for branch in branches:
            choices = [
                [*_not_covered(each, branch, *both, path, answer=answer, depth=depth + 1)] for each in _branches(wide)
            ]
            if all(choices):
                yield min(choices, key=len)[0]
        return
    if (types := _types(wide)) and (lost := _types(narrow) - types):
        yield f"{at}{'may be' if answer else 'may not be'} {' or '.join(sorted(lost))}"
        return
    if not answer and "enum" in wide:
        if gone := _values(narrow) - _values(wide):
            yield f"{at}does not take {', '.join(sorted(map(str, gone)))}"
        elif not _values(narrow):
            yield f"{at}takes only {', '.join(sorted(map(str, _values(wide))))}"
    yield from (f"{at}{problem}" for problem in _limits(wide, narrow))
    for name in wide.get("required", []):
        if name not in narrow.get("required", []):
            yield f"{path}.{name} {'may be absent' if answer else 'became required'}"
    for name, schema in narrow.get("properties", {}).items():
        if name in wide.get("properties", {}):
            there = wide["properties"][name]
            yield from _not_covered(there, schema, *both, f"{path}.{name}", answer=answer, depth=depth + 1)
        elif wide.get("additionalProperties") is False:
            yield f"{path}.{name} is gone"
    if answer:
        for name in wide.get("properties", {}).keys() - narrow.get("properties", {}).keys():
            if name not in wide.get("required", []):
                yield f"{path}.{name} is gone"
    for key, suffix in (("items", "[]"), ("additionalProperties", ".*")):
        if isinstance(wide.get(key), dict) and isinstance(narrow.get(key), dict):
            yield from _not_covered(wide[key], narrow[key], *both, path + suffix, answer=answer, depth=depth + 1)


def _limits(wide: Json, narrow: Json) -> Iterator[str]:
    for name in ("minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties"):
        if wide.get(name, -_NO_LIMIT) > narrow.get(name, _LEAST.get(name, -_NO_LIMIT)):
            yield f"has a {name} of {wide[name]}"
    for name in ("maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties"):
        if wide.get(name, _NO_LIMIT) < narrow.get(name, _NO_LIMIT):
            yield f"has a {name} of {wide[name]}"
    for name in ("pattern", "format"):
        if name in wide and wide[name] != narrow.get(name):
            yield f"has the {name} {wide[name]}"


def _branches(schema: Json) -> list[Json]:
    branches: list[Json] = schema.get("anyOf") or schema.get("oneOf") or [schema]
    return branches


def _types(schema: Json) -> set[str]:
    types = schema.get("type")
    if types is None:
        return {type(value).__name__ for value in _values(schema)}
    named = {types} if isinstance(types, str) else set(types)
    return named | {"integer"} if "number" in named else named


def _values(schema: Json) -> set[Any]:
    return set(schema["enum"]) if "enum" in schema else {schema["const"]} if "const" in schema else set()


def _codes(document: Json) -> set[str]:
    """Every error code in the document."""
    codes: set[str] = set()

    def visit(schema: Any) -> None:
        if isinstance(schema, list):
            for each in schema:
                visit(each)
        elif isinstance(schema, dict):
            error = schema.get("properties", {}).get("error", {})
            codes.update(error.get("properties", {}).get("code", {}).get("enum", []))
            visit([schema.get("allOf", []), schema.get("oneOf", [])])

    for operations in document["paths"].values():
        for operation in operations.values():
            for response in operation["responses"].values():
                contents = resolved_response(response, document).get("content", {}).values()
                visit([content["schema"] for content in contents])
    return codes
