"""Asks a public feed whether published weaknesses are known of the locked libraries; `make audit`.

Exit code 1 when one is known. Where no feed can be reached, nothing is checked: that is said, and is no failure.
"""

import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import requests

from ops.compile_lock import HEADERS
from ops.ports import ROOT

# The database of open source vulnerabilities (osv.dev); OSV_URL names a mirror.
FEED_URL = "https://api.osv.dev/v1/query"
REACH_SECONDS = 10
# For all packages of one lock.
AUDIT_SECONDS = 600


def is_reachable(feed_url: str) -> bool:
    """Whether anything answers there, by the same client as the audit's."""
    try:
        requests.get(feed_url, timeout=REACH_SECONDS)
    except requests.RequestException:
        return False
    return True


def audit(feed_url: str, lock: Path) -> bool:
    """Whether nothing is known of any package of *lock*; prints what is."""
    command = [
        str(Path(sysconfig.get_path("scripts")) / "pip-audit"),
        *("--requirement", str(lock), "--require-hashes", "--disable-pip"),
        *("--vulnerability-service", "osv", "--osv-url", feed_url, "--progress-spinner", "off"),
    ]
    return subprocess.run(command, timeout=AUDIT_SECONDS, check=False).returncode == 0


def main() -> None:
    feed_url = os.environ.get("OSV_URL") or FEED_URL
    if not is_reachable(feed_url):
        print(
            f"NOT AUDITED: {feed_url} cannot be reached; known weaknesses of libraries would not show", file=sys.stderr
        )
        return
    # All of it, so that one finding does not hide others.
    passed = [audit(feed_url, ROOT / lock) for lock in HEADERS]
    sys.exit(0 if all(passed) else 1)


if __name__ == "__main__":
    main()
