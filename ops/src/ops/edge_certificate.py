"""The certificate of the edge's TLS entry point on the local stack, by the stack's own certificate authority."""

from ops import internal_tls
from ops.internal_tls import Certificate
from ops.ports import Layout

NAME = "edge"
# The names and addresses under which the stack is reached on this machine. Browsers resolve *.localhost by themselves.
NAMES = ("localhost", "pay.localhost", "127.0.0.1", "::1")


def files(layout: Layout) -> Certificate:
    return internal_tls.files(layout, NAME)


def issue(layout: Layout) -> Certificate:
    """Make the certificate unless it is there. To have a new one, delete the folder."""
    internal_tls.ensure(layout, files(layout), NAMES)
    return files(layout)
