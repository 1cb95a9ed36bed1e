"""Where the generated reference lies in the repository, and what it was in an earlier revision."""

import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from common import api_reference, openapi, openapi_changes, permission_reference
from ops import contract_reference, metrics_reference
from ops.ports import ROOT

# Packaged with the service that serves it; docs/reference/openapi.json is a link to it.
OPENAPI = "services/identity/src/identity/openapi.json"


def pages() -> Mapping[str, bytes]:
    """The generated files by their path in the repository."""
    from ops import dashboards  # its library is for development alone

    document = api_reference.document()
    return {
        OPENAPI: openapi.encoded(document),
        "docs/reference/api.md": api_reference.api_page(document).encode(),
        "docs/reference/errors.md": api_reference.errors_page(api_reference.errors()).encode(),
        "docs/reference/events.md": contract_reference.events_page().encode(),
        "docs/reference/metrics.md": metrics_reference.metrics_page().encode(),
        "docs/reference/permissions.md": permission_reference.page(api_reference.service_routes()).encode(),
        "docs/reference/settings.md": contract_reference.settings_page().encode(),
        **{f"monitoring/dashboards/{name}": content for name, content in dashboards.files().items()},
    }


def write(root: Path = ROOT) -> list[str]:
    """Write them; returns the paths."""
    files = pages()
    for path, content in files.items():
        (root / path).write_bytes(content)
    return [*files]


def breaking_changes(revision: str, root: Path = ROOT) -> list[str]:
    """What the document takes away from clients of *revision*; nothing where that had none.

    Raises CalledProcessError when there is no such revision.
    """
    git = ["git", "-C", str(root)]
    subprocess.run(
        [*git, "rev-parse", "--quiet", "--verify", f"{revision}^{{commit}}"], check=True, capture_output=True
    )
    shown = subprocess.run([*git, "show", f"{revision}:{OPENAPI}"], check=False, capture_output=True)
    if shown.returncode != 0:
        return []
    before: dict[str, Any] = msgspec.json.decode(shown.stdout)
    return openapi_changes.breaking_changes(before, api_reference.document())
