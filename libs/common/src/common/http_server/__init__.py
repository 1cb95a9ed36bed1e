"""HTTP endpoints: typed rows, one shape of answer. `app` says what stands between a request and its endpoint."""

from common.http_server.application import app
from common.http_server.configuration import Authenticator, Check, InFlight, ServerConfig
from common.http_server.error_responses import (
    HTTP_STATUS,
    BodyTooLarge,
    MethodNotAllowed,
    RouteNotFound,
    UnsupportedMediaType,
    error_response,
    status_of,
)
from common.http_server.requests import Body, Query
from common.http_server.responses import encode, enveloped
from common.http_server.routing import Call, Empty, Encoded, Route
from common.http_server.server import HttpServer, serve_http

__all__ = [
    "HTTP_STATUS",
    "Authenticator",
    "Body",
    "BodyTooLarge",
    "Call",
    "Check",
    "Empty",
    "Encoded",
    "HttpServer",
    "InFlight",
    "MethodNotAllowed",
    "Query",
    "Route",
    "RouteNotFound",
    "ServerConfig",
    "UnsupportedMediaType",
    "app",
    "encode",
    "enveloped",
    "error_response",
    "serve_http",
    "status_of",
]
