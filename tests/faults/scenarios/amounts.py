"""M35 to M37: amounts that are none, or not ours to take."""

import json
import secrets

from ops import virtual_users
from tests.faults.environment import Environment
from tests.faults.scenario import scenario

CREATE = "/api/v1/payments/create"

# As they would stand in the JSON of a request. Amounts are whole paise: 1e2 is a float to JSON.
FLOATS = (
    *("0.1", "1.005", "1999.0", "1e2", "1E+2", "NaN", "-0.0", "Infinity", "0x64"),
    *('"100"', '"१००"', '"٣"', '"1,000"', "[100]", "true"),
)
DIGITS = ({"currency": "JPY"}, {"currency": "KWD"}, {"currency": "inr"}, {"currency": "XXX"}, {"currency": ""})
LIMITS = ("0", "-1", "-50000", "9223372036854775807", "9223372036854775808", str(2**53 + 1), "1" + "0" * 40)


async def _refused(environment: Environment, body: str) -> None:
    """Expect 400 and no payment for a create call with these bytes."""
    [member] = virtual_users.members(environment.fleet, 1)
    answer = await environment.fleet.edge(
        "POST", CREATE, raw=body.encode(), token=member.token, headers={"Idempotency-Key": secrets.token_hex(12)}
    )
    environment.expect(answer.status == 400, f"400 for {body} (was {answer.status})")
    async with environment.db() as db:
        made = await db.fetchval("select count(*) from payment.payments where user_id = $1", member.user_id)
    environment.expect(made == 0, f"no payment for {body}")


@scenario("M35-float-traps", must="400, and no payment", random=False)
async def _(environment: Environment) -> None:
    """Create calls with 0.1, 1.005, 1e2, NaN, -0, digits of other scripts, texts and lists for an amount."""
    for amount in FLOATS:
        await _refused(environment, f'{{"amount": {amount}}}')


@scenario("M36-exponents", must="400 for a currency that is not sold in, and no payment", random=False)
async def _(environment: Environment) -> None:
    """Create calls in currencies with no, three or unknown decimals."""
    for currency in DIGITS:
        await _refused(environment, json.dumps({"amount": 50_000, **currency}))


@scenario("M37-limits", must="400 for that request alone: its neighbours in the batch go through", random=False)
async def _(environment: Environment) -> None:
    """Create calls for nothing, for less, for more than 2⁵³ and 2⁶³ paise, in the middle of others."""
    for amount in LIMITS:
        await _refused(environment, f'{{"amount": {amount}}}')
