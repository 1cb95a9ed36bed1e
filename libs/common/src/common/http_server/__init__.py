"""The HTTP door: routes in, one shape of answer out. See `app` for what stands between a request and its endpoint."""

from common.http_server.application import app
from common.http_server.bodies import Body, body, query, raw_body
from common.http_server.door import Door, InFlight, Route, caller, route
from common.http_server.refusals import (
    HTTP_STATUS,
    BodyTooLarge,
    InvalidRequest,
    MethodNotAllowed,
    RouteNotFound,
    UnsupportedMediaType,
    error_reply,
    status_of,
)
from common.http_server.replies import Reply, reply
from common.http_server.serving import HttpServer, serve_http

__all__ = [
    "HTTP_STATUS",
    "Body",
    "BodyTooLarge",
    "Door",
    "HttpServer",
    "InFlight",
    "InvalidRequest",
    "MethodNotAllowed",
    "Reply",
    "Route",
    "RouteNotFound",
    "UnsupportedMediaType",
    "app",
    "body",
    "caller",
    "error_reply",
    "query",
    "raw_body",
    "reply",
    "route",
    "serve_http",
    "status_of",
]
