"""Who may give which roles in an account: over all merchant roles, and with roles of the account's own."""

from itertools import product
from uuid import UUID

import pytest

from common.context import Context
from common.errors import DomainError
from common.permissions import TABLE
from identity.domain import memberships
from identity.domain.memberships import CustomRole, MemberChange, Membership, changed_member, grant_refusal
from services.identity.tests.conftest import NOW

ACCOUNT = "acc_1"
ONE, OTHER = UUID(int=1), UUID(int=2)
DESK = CustomRole("rol_01J0000000000000000000000A", ACCOUNT, "Desk", frozenset({"refunds.create"}), NOW, NOW)
CUSTOM = {DESK.role_id: DESK}


def member(user_id: UUID, *roles: str) -> Membership:
    return Membership(ACCOUNT, user_id, frozenset(roles), NOW, NOW)


def refused(result: DomainError | None) -> str:
    return result.code if result is not None else ""


@pytest.mark.parametrize(("own", "given"), [*product(TABLE.merchant_roles, repeat=2)])
def test_nobody_gives_what_they_do_not_have(own: str, given: str) -> None:
    result = grant_refusal(member(ONE, own), (), {given}, CUSTOM)
    has_all = TABLE.of_member({given}) <= TABLE.of_member({own})
    may = has_all and (given != "OWNER" or own == "OWNER")
    assert refused(result) == ("" if may else "role_not_grantable")


@pytest.mark.parametrize("own", TABLE.merchant_roles)
def test_an_owner_is_changed_by_owners_alone(own: str) -> None:
    for after in ({"VIEWER"}, {"OWNER", "VIEWER"}, frozenset()):
        assert (refused(grant_refusal(member(ONE, own), {"OWNER"}, after, CUSTOM)) == "") is (own == "OWNER")


def test_roles_of_the_accounts_own_count_as_what_they_hold() -> None:
    assert memberships.permissions_of({DESK.role_id}, CUSTOM) == {"refunds.create"}
    assert memberships.permissions_of({DESK.role_id}, {}) == frozenset()
    assert refused(grant_refusal(member(ONE, "SUPPORT"), (), {DESK.role_id}, CUSTOM)) == ""
    assert refused(grant_refusal(member(ONE, "VIEWER"), (), {DESK.role_id}, CUSTOM)) == "role_not_grantable"
    assert refused(grant_refusal(member(ONE, "OWNER"), (), {DESK.role_id}, {})) == "role_unknown"


def test_an_operator_may_but_the_last_owner_stays() -> None:
    def change(roles: frozenset[str] | None, actor_id: UUID | None = None) -> MemberChange:
        return MemberChange(ACCOUNT, ONE, roles, actor_id, "operator:test", Context())

    owner = member(ONE, "OWNER")
    viewer = frozenset({"VIEWER"})
    for roles in (None, viewer):
        assert refused(changed_member(change(roles), None, owner, {ONE}, CUSTOM)) == "owner_is_last"
        assert refused(changed_member(change(roles), None, owner, {ONE, OTHER}, CUSTOM)) == ""
    assert refused(changed_member(change(viewer, OTHER), None, owner, {ONE, OTHER}, CUSTOM)) == "rights_outdated"
    assert refused(changed_member(change(viewer), None, None, {OTHER}, CUSTOM)) == "member_not_found"
