"""Until all services have moved to `common.http_server`."""

from common.http_server.responses import Reply, encode, reply

__all__ = ["Reply", "encode", "reply"]
