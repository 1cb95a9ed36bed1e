"""HTTP endpoints: typed rows, one shape of answer. `app` says what stands between a request and its endpoint."""

from common.errors import RequestInvalid
from common.http_server.application import app
from common.http_server.configuration import Authenticator, Check, Door, InFlight, ServerConfig
from common.http_server.error_responses import (
    HTTP_STATUS,
    BodyTooLarge,
    InvalidRequest,
    MethodNotAllowed,
    RouteNotFound,
    UnsupportedMediaType,
    error_reply,
    status_of,
)
from common.http_server.requests import Body, Query, body, query, raw_body
from common.http_server.responses import Reply, encode, enveloped, reply
from common.http_server.routing import Call, Empty, Encoded, Route, caller, route
from common.http_server.server import HttpServer, serve_http

__all__ = [
    "HTTP_STATUS",
    "Authenticator",
    "Body",
    "BodyTooLarge",
    "Call",
    "Check",
    "Door",
    "Empty",
    "Encoded",
    "HttpServer",
    "InFlight",
    "InvalidRequest",
    "MethodNotAllowed",
    "Query",
    "Reply",
    "RequestInvalid",
    "Route",
    "RouteNotFound",
    "ServerConfig",
    "UnsupportedMediaType",
    "app",
    "body",
    "caller",
    "encode",
    "enveloped",
    "error_reply",
    "query",
    "raw_body",
    "reply",
    "route",
    "serve_http",
    "status_of",
]
