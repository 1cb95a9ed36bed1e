"""Every webhook path of every gateway × every forgery: refused, and nothing of it is stored or announced.

A new gateway is in here with a row in SIGNED, which has to hold them all.
"""

import json
from collections.abc import Awaitable, Callable, Iterator, Mapping
from datetime import timedelta
from typing import Any

import pytest
from msgspec import Struct

from common.clock import FakeClock
from common.database import Database
from common.testing import Served, published
from gateways import GatewayAccount
from gateways.cashfree import testing as cashfree
from gateways.razorpay import testing as razorpay
from gateways.registry import ADAPTERS

Replica = Callable[..., Awaitable[Served]]
SECRETS = ("the-secret-of-this-account-now", "the-secret-of-this-account-before")
OTHERS_SECRET = "the-secret-of-another-account"
# (body, headers) as the gateway sends them: (when, secret, order id).
SIGNED: Mapping[str, Callable[..., tuple[bytes, dict[str, str]]]] = {
    "cashfree": lambda at, secret, order_id="ord_1": (
        body := cashfree.payment_body(payment_id=order_id, order_id=order_id),
        cashfree.signed_headers(body, at, secret),
    ),
    # It signs no time.
    "razorpay": lambda at, secret, order_id="ord_1": (
        body := razorpay.payment_body(order_id=f"order_{order_id.replace('_', '')}"),
        razorpay.signed_headers(body, secret),
    ),
}
# The header of the signature and those that it covers, by gateway.
SIGNATURES = {"cashfree": ("x-webhook-signature", "x-webhook-timestamp"), "razorpay": ("x-razorpay-signature",)}


_BODY = cashfree.payment_body()
SPELLINGS = {
    "as documented": _BODY,
    "indented": json.dumps(json.loads(_BODY), indent=2).encode(),
    "with spaces": json.dumps(json.loads(_BODY)).encode(),
    "sorted": json.dumps(json.loads(_BODY), sort_keys=True).encode(),
    "with line breaks of Windows": json.dumps(json.loads(_BODY), indent=1).replace("\n", "\r\n").encode(),
    "a line break behind": _BODY + b"\n",
    "spaces around": b"  " + _BODY + b"\t",
    "170.00": _BODY.replace(b"170.0", b"170.00"),
    "170": _BODY.replace(b"170.0", b"170"),
    "1.7e2": _BODY.replace(b"170.0", b"1.7e2"),
    "escaped slashes": _BODY.replace(b'"ord_1"', b'"ord\\/1"'),
    "escaped letters": _BODY.replace(b'"ord_1"', b'"\\u006frd_1"'),
    "UTF-8": _BODY.replace(b'"order_tags":null', '"order_tags":{"note":"ज़ोया ☕"}'.encode()),
    "escaped surrogates": _BODY.replace(b'"order_tags":null', b'"order_tags":{"note":"\\ud83d\\ude00"}'),
    "a field twice": _BODY[:-1] + b',"extra":1,"extra":2}',
}


class Forgery(Struct, frozen=True):
    name: str
    body: bytes
    headers: Any


def accounts() -> list[GatewayAccount]:
    """Two of each gateway; the last is the one with the short path."""
    return [
        GatewayAccount(id=f"gwa_{which}_{name}", gateway=name, webhook_secrets=secrets)
        for name in ADAPTERS
        for which, secrets in (("other", (OTHERS_SECRET,)), ("one", SECRETS))
    ]


def forgeries(gateway: str, clock: FakeClock) -> Iterator[Forgery]:
    """Webhooks for the account whose secrets are SECRETS."""
    now = clock.now()
    body, good = SIGNED[gateway](now, SECRETS[0])
    other_body, other = SIGNED[gateway](now, SECRETS[0], order_id="ord_2")
    signature, *covered = SIGNATURES[gateway]

    def without(*names: str) -> dict[str, str]:
        return {name: value for name, value in good.items() if name not in names}

    yield Forgery("unsigned", body, without(signature, *covered))
    for name in (signature, *covered):
        yield Forgery(f"without {name}", body, without(name))
        yield Forgery(f"empty {name}", body, good | {name: ""})
        yield Forgery(f"twice {name}", body, [*good.items(), (name, other[name] + "1")])
        yield Forgery(f"{name} as a list", body, good | {name: f"{good[name]}, {good[name]}"})
    for name in covered:
        _, later = SIGNED[gateway](now + timedelta(seconds=1), SECRETS[0])
        yield Forgery(f"{name} of another moment", body, good | {name: later[name]})
        yield Forgery(f"{name} with a sign", body, good | {name: "+" + good[name]})
        yield Forgery(f"{name} in other digits", body, good | {name: good[name].replace("1", "\u0661")})
    yield Forgery("another webhook's signature", body, other)
    yield Forgery("another webhook's body", other_body, good)
    yield Forgery("another account's secret", *SIGNED[gateway](now, OTHERS_SECRET))
    yield Forgery("no secret", *SIGNED[gateway](now, ""))
    yield Forgery("the account's id for a secret", *SIGNED[gateway](now, f"gwa_one_{gateway}"))
    bodies = {
        "a space behind": body + b" ",
        "a line break before": b"\n" + body,
        "a byte order mark before": b"\xef\xbb\xbf" + body,
        "an amount changed": body.replace(b"170.0", b"17.00"),
        "an amount written otherwise": body.replace(b"170.0", b"170.00"),
        "paise changed": body.replace(b"17000", b"1700"),
        "paise written otherwise": body.replace(b"17000", b"17000.0"),
        "a field added": body[:-1] + b',"a":1}',
        "a field said again": body[:-1] + b',"type":"PAYMENT_FAILED_WEBHOOK"}',
        "spelled otherwise": body.replace(b"SUCCESS", b"SUC\\u0043ESS").replace(b"captured", b"\\u0063aptured"),
        "without its end": body[:-1],
        "nothing": b"",
    }
    # The others are of another gateway's body.
    for name, changed in ((name, changed) for name, changed in bodies.items() if changed != body):
        yield Forgery(f"body: {name}", changed, good)
    signatures = {
        "cut short": good[signature][:-4],
        "in lower case": good[signature].lower(),
        "in upper case": good[signature].upper(),
        "with a character changed": ("A" if good[signature][0] != "A" else "B") + good[signature][1:],
        "all zeros": "A" * 43 + "=",
        "very long": "A" * 5_000,
        "padded": good[signature] + "=",
        "quoted": f'"{good[signature]}"',
    }
    for name, value in ((name, value) for name, value in signatures.items() if value != good[signature]):
        yield Forgery(f"signature: {name}", body, good | {signature: value})
    if covered:
        yield Forgery("from the past", *SIGNED[gateway](now - timedelta(days=2), SECRETS[0]))
        yield Forgery("from the future", *SIGNED[gateway](now + timedelta(hours=1), SECRETS[0]))


def paths(gateway: str) -> list[str]:
    return [f"/api/v1/webhooks/{gateway}/gwa_one_{gateway}", f"/api/v1/webhooks/{gateway}"]


def test_every_gateway_is_here() -> None:
    assert SIGNED.keys() == SIGNATURES.keys() == ADAPTERS.keys()


@pytest.mark.parametrize("gateway", ADAPTERS)
async def test_no_path_takes_a_forgery(gateway: str, db: Database, clock: FakeClock, replica: Replica) -> None:
    ingest = await replica(*accounts())
    taken = []
    for path in paths(gateway):
        for forgery in forgeries(gateway, clock):
            answer = await _post(ingest, path, forgery.body, forgery.headers)
            if answer.status_code not in (400, 401):
                taken.append((path, forgery.name, answer.status_code))
    assert not taken, taken
    assert await _stored(db) == 0
    assert await published(db) == []


@pytest.mark.parametrize("gateway", ADAPTERS)
async def test_genuine_ones_are_taken_once_under_each_secret(
    gateway: str, db: Database, clock: FakeClock, replica: Replica
) -> None:
    """During a rotation; and what comes again, or with headers that nobody signed, has no second effect."""
    ingest = await replica(*accounts())
    for number, secret in enumerate(SECRETS):
        body, headers = SIGNED[gateway](clock.now(), secret, order_id=f"ord_{number}")
        for repeated in range(3):
            for path in paths(gateway):
                answer = await _post(ingest, path, body, headers | {"x-webhook-attempt": str(repeated + 1)})
                assert answer.status_code == 200, (path, answer.text)
    assert await _stored(db) == len(await published(db)) == len(SECRETS)


@pytest.mark.parametrize("body", SPELLINGS.values(), ids=SPELLINGS)
async def test_a_body_is_verified_as_it_is_written(body: bytes, clock: FakeClock, replica: Replica) -> None:
    """A reader that decodes and encodes them before it checks the signature refuses some of these."""
    ingest = await replica(*accounts())
    answer = await _post(ingest, paths("cashfree")[0], body, cashfree.signed_headers(body, clock.now(), SECRETS[0]))
    assert answer.status_code == 200, answer.text


async def _post(ingest: Served, path: str, body: bytes, headers: Any) -> Any:
    items = headers.items() if isinstance(headers, dict) else headers
    encoded = [(name.encode(), value.encode()) for name, value in items]
    return await ingest.http.post(path, content=body, headers=encoded)


async def _stored(db: Database) -> int:
    async with db.begin() as tx:
        return int((await tx.execute("select count(*) from webhook_logs")).scalar_one())
