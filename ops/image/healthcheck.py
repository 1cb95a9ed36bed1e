"""The image's health check: whether the process in this container does its work.

HEALTH_URL says where; without it, the readiness of a service at its HTTP_PORT.
"""

import os
import sys
import urllib.error
import urllib.request

DEFAULT_PORT = "8000"
# Below the time that the image gives the whole check.
TIMEOUT_SECONDS = 4


def main() -> int:
    port = os.environ.get("HTTP_PORT") or os.environ.get("PORT") or DEFAULT_PORT
    url = os.environ.get("HEALTH_URL") or f"http://127.0.0.1:{port}/health/ready"
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT_SECONDS) as answer:
            return 0 if answer.status == 200 else 1
    except (OSError, ValueError) as error:
        print(f"{url}: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
