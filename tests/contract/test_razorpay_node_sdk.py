"""The official Node SDK of Razorpay drives the sandbox; `make install` puts it into .venv/node."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

KEY_ID, KEY_SECRET, WEBHOOK_SECRET = "rzp_test_Contract000002", "contract_key_secret", "contract_webhook_secret"
PROGRAM = Path(__file__).parent / "node" / "journey.js"


def _node(sandbox: Any, task: str, given: str = "") -> Any:
    environment = os.environ | {
        "SANDBOX_URL": sandbox.url,
        "KEY_ID": KEY_ID,
        "KEY_SECRET": KEY_SECRET,
        "NODE_PATH": str(Path(sys.prefix) / "node" / "node_modules"),
    }
    program = [str(Path(sys.prefix) / "bin" / "node"), str(PROGRAM), task]
    done = subprocess.run(
        program, env=environment, input=given, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_a_payment_goes_from_order_to_settlement(sandbox: Any, inbox: Any) -> None:
    sandbox.control("/razorpay/control/reset", {})
    account = {"key_id": KEY_ID, "key_secret": KEY_SECRET, "webhook_secret": WEBHOOK_SECRET, "webhook_url": inbox.url}
    sandbox.control("/razorpay/control/accounts", account)
    seen = _node(sandbox, "journey")
    assert seen["found"] == [seen["order_id"]]
    assert (seen["order"], seen["captured"], seen["payments"], seen["proven"]) == (
        "paid",
        "captured",
        ["captured"],
        True,
    )
    assert (seen["refund"], seen["dispute"]) == (20_000, "lost")
    assert (seen["settlement"], seen["rows"]) == (50_000 - 1_121 - 30_000, ["payment", "refund", "adjustment"])
    assert seen["refusal"] == [400, "The id provided does not exist"]
    webhooks = [[headers["x-razorpay-signature"], body] for headers, body in inbox.wait_for(8)]
    altered = [[signature, body.replace("order_", "order-")] for signature, body in webhooks]
    given = {"webhooks": webhooks + altered, "secret": WEBHOOK_SECRET}
    orders = [True] * len(webhooks) + ["order_" not in body for _, body in webhooks]
    assert _node(sandbox, "webhooks", json.dumps(given)) == orders
