import re

import httpx
import openapi_spec_validator
import pytest

from common import openapi, reference_page
from common.http_server import ServerConfig, app
from common.reference_page import CONTENT_SECURITY_POLICY

DOCUMENT = b'{"openapi": "3.1.0"}'
ROUTES = reference_page.routes(lambda: DOCUMENT)


@pytest.fixture
def http() -> httpx.AsyncClient:
    application = app(ROUTES, ServerConfig("identity"))
    return httpx.AsyncClient(transport=httpx.ASGITransport(application), base_url="http://identity")


async def test_the_document_is_served_as_it_is(http: httpx.AsyncClient):
    response = await http.get("/openapi.json")
    assert (response.status_code, response.content) == (200, DOCUMENT)
    assert response.headers["content-type"] == "application/json"
    assert response.headers["content-encoding"] == "gzip"
    plain = await http.get("/openapi.json", headers={"Accept-Encoding": "identity"})
    assert (plain.content, plain.headers.get("content-encoding")) == (DOCUMENT, None)
    assert plain.headers["vary"] == "Accept-Encoding"


async def test_the_page_needs_nothing_from_elsewhere(http: httpx.AsyncClient):
    page = await http.get("/docs")
    assert page.headers["content-security-policy"] == CONTENT_SECURITY_POLICY
    assert page.headers["content-type"].startswith("text/html")
    assert "unsafe" not in CONTENT_SECURITY_POLICY
    # No script or style inside the page, and every file that it names is there.
    assert re.findall(r"<script(?! src=)|<style|\sstyle=|\son\w+=", page.text) == []
    files = re.findall(r'(?:src|href)="(/[^"]+)"', page.text)
    assert len(files) == 3
    for file in files:
        response = await http.get(file)
        assert response.status_code == 200
        assert response.headers["content-type"].startswith(("text/css", "text/javascript"))
    assert b"/openapi.json" in (await http.get("/docs/start.js")).content


@pytest.mark.parametrize("name", ["swagger-editor.js", "..%2f__init__.py", "%2e%2e", "index.html"])
async def test_nothing_else_of_the_package_is_served(http: httpx.AsyncClient, name: str):
    assert (await http.get(f"/docs/{name}")).status_code == 404


async def test_the_renderer_understands_openapi_3_1(http: httpx.AsyncClient):
    assert b"isOAS31" in (await http.get("/docs/swagger-ui-bundle.js")).content


def test_its_rows_are_described_too():
    document = openapi.document({"identity": ROUTES})
    openapi_spec_validator.validate(document)
    assert {*document["paths"]} == {"/docs", "/openapi.json"}
