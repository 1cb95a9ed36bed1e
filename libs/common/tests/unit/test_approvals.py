from datetime import UTC, datetime, timedelta

import pytest

from common import approvals, ids
from common.approvals import Approval, ApprovalByProposer, ApprovalClosed, ApprovalStatus, Verdict

NOW = datetime(2026, 11, 28, 9, 0, tzinfo=UTC)
LATER = NOW + timedelta(hours=24)


def proposed() -> Approval:
    return Approval(
        id=ids.new(),
        merchant_id="mer_1",
        kind="refund",
        subject=ids.new(),
        detail={"amount": 50_000},
        proposed_by="usr_maker",
        reason="asked twice",
        proposed_at=NOW,
        expires_at=LATER,
    )


@pytest.mark.parametrize(
    ("verdict", "status"), [(Verdict.APPROVE, ApprovalStatus.APPROVED), (Verdict.REJECT, ApprovalStatus.REJECTED)]
)
def test_another_person_decides_once(verdict: Verdict, status: ApprovalStatus) -> None:
    decided = approvals.decided(proposed(), verdict, "usr_checker", "seen", NOW)
    assert (decided.status, decided.decided_by, decided.decided_at) == (status, "usr_checker", NOW)
    assert approvals.decided(decided, verdict, "usr_checker", "again", LATER) == decided
    other = next(each for each in Verdict if each is not verdict)
    for change, decider in ((other, "usr_checker"), (verdict, "usr_third")):
        with pytest.raises(ApprovalClosed):
            approvals.decided(decided, change, decider, "", LATER)


@pytest.mark.parametrize("verdict", Verdict)
def test_the_proposer_decides_nothing(verdict: Verdict) -> None:
    with pytest.raises(ApprovalByProposer):
        approvals.decided(proposed(), verdict, "usr_maker", "myself", NOW)


@pytest.mark.parametrize("verdict", Verdict)
def test_an_expired_proposal_is_closed(verdict: Verdict) -> None:
    just_in_time = LATER - timedelta(microseconds=1)
    assert approvals.decided(proposed(), verdict, "usr_checker", "", just_in_time).decided_at == just_in_time
    with pytest.raises(ApprovalClosed):
        approvals.decided(proposed(), verdict, "usr_checker", "", LATER)
    assert proposed().at(LATER).status is ApprovalStatus.EXPIRED


def test_the_audit_log_says_who_did_what() -> None:
    line = approvals.audited(proposed(), service="payment", at=NOW)
    assert (line.action, line.actor_id, line.before_json) == ("approval.propose", "usr_maker", "")
    decided = approvals.decided(proposed(), Verdict.REJECT, "usr_checker", "not ours", NOW)
    line = approvals.audited(decided, service="payment", at=NOW)
    assert (line.action, line.actor_id) == ("approval.reject", "usr_checker")
    assert '"reason":"not ours"' in line.after_json
    expired = approvals.audited(proposed().at(LATER), service="payment", at=LATER)
    assert (expired.action, expired.actor_id) == ("approval.expire", "service:payment")
