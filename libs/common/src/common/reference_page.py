"""The API reference for browsers: /openapi.json, and /docs with Swagger UI, all of it from this origin.

The renderer comes as files of the package swagger-ui-py. It needs no inline script, no inline style and no eval, so the
page has a strict Content-Security-Policy; the edge must not replace it.
"""

import gzip
from collections.abc import Callable
from functools import lru_cache, partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from common.http_server import Call, Encoded, Route

CONTENT_SECURITY_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_CACHED = {"Cache-Control": "public, max-age=300", "Vary": "Accept-Encoding"}

_PAGE = b"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>CommDesk Pay API</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="/docs/swagger-ui.css">
</head>
<body>
<main id="reference"></main>
<script src="/docs/swagger-ui-bundle.js"></script>
<script src="/docs/start.js"></script>
</body>
</html>
"""
_START = b"""SwaggerUIBundle({
  url: "/openapi.json",
  dom_id: "#reference",
  deepLinking: true,
  validatorUrl: null,
  presets: [SwaggerUIBundle.presets.apis],
  layout: "BaseLayout",
});
"""
# What /docs is made of, and nothing else of the package.
_FILES = {
    "swagger-ui.css": "text/css; charset=utf-8",
    "swagger-ui-bundle.js": "text/javascript; charset=utf-8",
    "start.js": "text/javascript; charset=utf-8",
}


def routes(openapi: Callable[[], bytes]) -> list[Route[Any]]:
    """The rows for *openapi*, which gives the document as it is kept in the repository."""
    return [
        Route(
            "GET",
            "/openapi.json",
            partial(read_openapi, openapi),
            answer=dict[str, Any],
            operation_id="readOpenApi",
            envelope=False,
            public=True,
        ),
        Route("GET", "/docs", read_reference, answer=bytes, media_type="text/html", public=True, rate_limit="page"),
        *(
            Route(
                "GET",
                f"/docs/{name}",
                partial(read_reference_file, name),
                answer=bytes,
                media_type=media_type,
                public=True,
                rate_limit="page",
                documented=False,
            )
            for name, media_type in _FILES.items()
        ),
    ]


async def read_openapi(openapi: Callable[[], bytes], call: Call) -> Encoded:
    """This description of the API, as OpenAPI 3.1."""
    return _answer(call, openapi(), "application/json")


async def read_reference(call: Call) -> Encoded:
    """The API reference as a page."""
    answer = _answer(call, _PAGE, "text/html; charset=utf-8")
    return Encoded(
        answer.body,
        headers={**answer.headers, "Content-Security-Policy": CONTENT_SECURITY_POLICY},
        media_type=answer.media_type,
    )


async def read_reference_file(name: str, call: Call) -> Encoded:
    """A script or style of the reference page."""
    return _answer(call, _file(name), _FILES[name])


def _answer(call: Call, content: bytes, media_type: str) -> Encoded:
    if "gzip" in call.header("accept-encoding"):
        return Encoded(_compressed(content), headers={**_CACHED, "Content-Encoding": "gzip"}, media_type=media_type)
    return Encoded(content, headers=_CACHED, media_type=media_type)


@lru_cache(maxsize=8)
def _compressed(content: bytes) -> bytes:
    return gzip.compress(content, mtime=0)


@lru_cache(maxsize=8)
def _file(name: str) -> bytes:
    if name == "start.js":
        return _START
    # The package is a place for files here: importing it would load web frameworks' templates.
    package = find_spec("swagger_ui")
    assert package is not None, "a service that serves the reference needs swagger-ui-py"
    assert package.submodule_search_locations is not None
    return (Path(package.submodule_search_locations[0]) / "static" / name).read_bytes()
