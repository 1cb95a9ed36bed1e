import pytest

from common.permissions import TABLE, load

ROWS = """
[roles.platform]
USER = "u"
STAFF = "s"
[roles.merchant]
OWNER = "o"
VIEWER = "v"
[roles.keys]
secret = "k"
[aliases]
OPERATOR = "STAFF"
[permissions."things.read"]
description = "Read."
platform = ["*"]
merchant = ["*"]
keys = ["secret"]
[permissions."things.write"]
description = "Write."
platform = ["STAFF"]
merchant = ["OWNER"]
"""


def test_roles_have_what_the_rows_say():
    table = load(ROWS)
    both = {"things.read", "things.write"}
    assert table.of_platform_roles({"STAFF", "USER"}) == table.of_platform_roles({"OPERATOR"}) == both
    assert table.of_platform_roles({"USER"}) == {"things.read"}
    assert table.of_member({"VIEWER"}) == {"things.read"}
    assert table.of_member({"VIEWER", "OWNER"}) == both
    # A role that the account has made adds what it holds, if any merchant role has it.
    assert table.of_member({"VIEWER"}, {"things.write", "things.fly"}) == both
    assert (table.of_key_kind("secret"), table.of_key_kind("other")) == ({"things.read"}, set())


def test_whoever_is_signed_in_is_a_user_and_a_member_without_a_role_nothing():
    """An existing issuer's tokens need no role that we know; a membership's roles are all of ours."""
    table = load(ROWS)
    assert table.of_platform_roles([]) == table.of_platform_roles({"OWNER", "staff"}) == {"things.read"}
    assert table.of_member([]) == table.of_member({"STAFF", "OPERATOR"}) == set()


@pytest.mark.parametrize(
    ("was", "wrong"),
    [
        ('platform = ["STAFF"]', 'platform = ["OWNER"]'),
        ('merchant = ["OWNER"]', 'merchant = ["STAFF"]'),
        ('keys = ["secret"]', 'keys = ["public"]'),
        ('OPERATOR = "STAFF"', 'OPERATOR = "OWNER"'),
        ('description = "Write."', 'description = "Write."\nroles = ["USER"]'),
    ],
)
def test_a_row_that_is_wrong_is_refused(was: str, wrong: str):
    with pytest.raises(ValueError):
        load(ROWS.replace(was, wrong))


def test_the_table_is_named_alike_throughout():
    assert all(
        name.count(".") == 1 and name == name.lower() and row.description for name, row in TABLE.permissions.items()
    )
    # Administrators of the platform have all that any role of it has, owners all that any role of a merchant has.
    assert TABLE.of_platform_roles({"ADMIN"}) == TABLE.of_platform_roles(TABLE.platform_roles)
    assert TABLE.of_member({"OWNER"}) == TABLE.of_member(TABLE.merchant_roles)
