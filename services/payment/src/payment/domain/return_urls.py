"""Where a checkout may send the customer afterwards: pages of the merchant's own, never wherever a request says."""

import ipaddress
import re
from collections.abc import Collection
from urllib.parse import urlsplit

from msgspec import Struct

LENGTH_MAX = 250
# Of a URL as RFC 3986 writes it, and the braces of a gateway's placeholder ({order_id}).
_CHARACTERS = re.compile(r"[A-Za-z0-9._~:/?#\[\]@!$&'()*+,;=%{}-]+")
_LOCAL_HOSTS = frozenset({"localhost", "127.0.0.1"})
# A host whose last label is a number is an IPv4 address to a browser, however it is written.
_ENDS_IN_NUMBER = re.compile(r"(?:^|\.)(?:[0-9]+|0x[0-9a-f]*)\.?$", re.IGNORECASE)
_HOST = re.compile(r"(?:\*\.)?(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z][a-z0-9-]{0,61}[a-z0-9]")


class ReturnUrlPolicy(Struct, frozen=True):
    """*hosts* are the merchant's; `*.example.com` stands for every host under example.com. None stands for all.

    *allows_local*: http on this machine too, for development.
    """

    hosts: Collection[str] = ()
    allows_local: bool = False

    def problem(self, url: str) -> str:
        """Why *url* is refused, "" when it is not."""
        if len(url) > LENGTH_MAX or not _CHARACTERS.fullmatch(url):
            return f"must be a web address of at most {LENGTH_MAX} characters"
        try:
            parts = urlsplit(url)
            host, port = (parts.hostname or "").lower(), parts.port
        except ValueError:
            return "must be a web address"
        if "@" in parts.netloc or port == 0:
            return "must name a host, without user or password"
        if self.allows_local and host in _LOCAL_HOSTS and parts.scheme in ("http", "https"):
            return ""
        if parts.scheme != "https":
            return "must be https"
        if _is_address(host) or not is_host(host):
            return "must name a host by its full name"
        if self.hosts and not any(_covers(allowed, host) for allowed in self.hosts):
            return "must be on one of the hosts that the merchant has named"
        return ""


def is_host(text: str) -> bool:
    """Whether *text* is the full name of a host, or stands for those under one (`*.example.com`)."""
    return len(text) <= 253 and _HOST.fullmatch(text) is not None


def _covers(allowed: str, host: str) -> bool:
    return host.endswith(allowed[1:]) if allowed.startswith("*.") else host == allowed


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return _ENDS_IN_NUMBER.search(host) is not None
    return True
