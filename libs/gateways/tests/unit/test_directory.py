"""Gateways of many accounts: opened when they are used, few at a time, anew when the account changed."""

import msgspec

from gateways import GatewayAccount
from gateways.directory import CLIENTS_MAX, CLOSED_AFTER_SECONDS, GatewayDirectory


def account(number: int) -> GatewayAccount:
    return GatewayAccount(
        id=f"gwa_{number}", gateway="cashfree", base_url="http://127.0.0.1:9", key_id="TEST", key_secret="first"
    )


async def test_only_so_many_are_open_and_the_longest_unused_makes_room() -> None:
    directory = GatewayDirectory({}, lambda call: None)
    directory.set_accounts(account(number) for number in range(CLIENTS_MAX + 5))
    first = directory["gwa_0"]
    for number in range(1, CLIENTS_MAX):
        assert directory[f"gwa_{number}"].account == account(number)
    assert directory["gwa_0"] is first
    second = directory["gwa_1"]
    for number in range(CLIENTS_MAX, CLIENTS_MAX + 5):
        assert directory[f"gwa_{number}"].account == account(number)
    # Used a moment ago and long ago.
    assert directory["gwa_0"] is first
    assert directory["gwa_2"] is not None and len(directory._open) == CLIENTS_MAX
    assert directory["gwa_1"] is second or len(directory._retired) > 0
    await directory.close()
    assert (len(directory._open), len(directory._retired)) == (0, 0)


async def test_an_account_that_changed_is_opened_anew_and_one_that_is_gone_is_not_found() -> None:
    directory = GatewayDirectory({}, lambda call: None)
    directory.set_accounts([account(1), account(2)])
    before, other = directory["gwa_1"], directory["gwa_2"]
    directory.set_accounts([msgspec.structs.replace(account(1), key_secret="second"), account(2)])
    after = directory["gwa_1"]
    assert after is not before and after.account.key_secret == "second"
    assert directory["gwa_2"] is other
    directory.set_accounts([])
    assert directory.get("gwa_1") is None and list(directory) == []
    await directory.close()


async def test_a_client_is_closed_once_its_calls_have_ended() -> None:
    directory = GatewayDirectory({}, lambda call: None)
    directory.set_accounts([account(1)])
    assert directory["gwa_1"] is not None
    directory.set_accounts([])
    [(retired, _)] = directory._retired
    await directory.close_retired(now=retired + CLOSED_AFTER_SECONDS - 1)
    assert len(directory._retired) == 1
    await directory.close_retired(now=retired + CLOSED_AFTER_SECONDS)
    assert directory._retired == []


async def test_the_platforms_accounts_win_over_what_merchants_have() -> None:
    platform = GatewayDirectory({}, lambda call: None)
    platform.set_accounts([account(1)])
    directory = GatewayDirectory({"gwa_1": platform["gwa_1"]}, lambda call: None)
    directory.set_accounts([msgspec.structs.replace(account(1), key_secret="stolen"), account(2)])
    assert directory["gwa_1"].account.key_secret == "first"
    assert sorted(directory) == ["gwa_1", "gwa_2"]
    await platform.close()
    await directory.close()
