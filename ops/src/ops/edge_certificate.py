"""The certificate of the edge's TLS entry point on the local stack, by the stack's own certificate authority."""

from pathlib import Path

from msgspec import Struct

from ops import internal_tls
from ops.ports import Layout
from ops.private_files import private_folder

NAME = "edge"
# The names and addresses under which the stack is reached on this machine. Browsers resolve *.localhost by themselves.
NAMES = ("localhost", "pay.localhost", "127.0.0.1", "::1")


class Files(Struct, frozen=True):
    """*authority* is what clients trust."""

    authority: Path
    certificate: Path
    key: Path


def files(layout: Layout) -> Files:
    folder = internal_tls.folder(layout)
    return Files(internal_tls.authority_file(layout), folder / f"{NAME}.pem", folder / f"{NAME}.key")


def issue(layout: Layout) -> Files:
    """Make the certificate unless it is there. To have a new one, delete the folder."""
    made = files(layout)
    if not made.certificate.exists():
        private_folder(internal_tls.folder(layout))
        internal_tls.write(internal_tls.authority(layout).issue_cert(*NAMES), internal_tls.folder(layout), NAME)
    return made
