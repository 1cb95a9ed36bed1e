"""The gRPC endpoints over a real channel, with real service tokens."""

from collections.abc import Callable

import grpc
import pytest

from commdesk.common.v1.common_pb2 import Money
from commdesk.fraud.v1 import fraud_pb2 as pb
from commdesk.fraud.v1.fraud_pb2_grpc import FraudServiceStub
from common import grpc_client, ids
from common.errors import InvalidArgument
from common.testing import Served

StubAs = Callable[[str], FraudServiceStub]


@pytest.fixture
def stub_as(fraud: Served) -> StubAs:
    """FraudService as another service calls it."""
    return lambda caller: FraudServiceStub(fraud.channel(caller))  # type: ignore[no-untyped-call]


def _subject(**changes: object) -> pb.Subject:
    fields = {
        "payment_id": ids.encode("pay", ids.new()),
        "merchant_id": "mer_1",
        "user_id": "usr_1",
        "ip": "1.2.3.4",
        "amount": Money(minor=50_000, currency="INR"),
    }
    return pb.Subject(**(fields | changes))  # type: ignore[arg-type]


async def test_scores_come_back_in_order(stub_as: StubAs) -> None:
    stub = stub_as("payment")
    subjects = [_subject(user_id="usr_1") for _ in range(11)] + [_subject(user_id="usr_2", device_id="device-b")]
    answer = await stub.Score(pb.ScoreRequest(subjects=subjects), timeout=2)
    decisions = [score.decision for score in answer.scores]
    assert decisions == [pb.DECISION_ALLOW] * 10 + [pb.DECISION_REVIEW, pb.DECISION_ALLOW]
    assert list(answer.scores[10].reasons) == ["user_creates_1m"]


async def test_tries_of_one_request_count_once(stub_as: StubAs) -> None:
    long = "k" * 255
    stub = stub_as("payment")
    for keys in (["key-1"] * 15, [long + str(number) for number in range(15)]):
        subjects = [_subject(request_key=key) for key in keys]
        answer = await stub.Score(pb.ScoreRequest(subjects=subjects), timeout=2)
        assert {score.decision for score in answer.scores} == {pb.DECISION_ALLOW}


async def test_events_are_listed_by_whatever_is_known(stub_as: StubAs) -> None:
    subjects = [_subject() for _ in range(12)]
    stub = stub_as("payment")
    await stub.Score(pb.ScoreRequest(subjects=subjects), timeout=2)
    stub = stub_as("operator")
    for reference, number in (("usr_1", 2), ("1.2.3.4", 2), (subjects[11].payment_id, 1), ("usr_9", 0), ("", 2)):
        answer = await stub.ListFraudEvents(pb.ListFraudEventsRequest(reference=reference), timeout=2)
        assert len(answer.events) == number, reference
    limited = await stub.ListFraudEvents(pb.ListFraudEventsRequest(reference="usr_1", limit=1), timeout=2)
    assert [event.payment_id for event in limited.events] == [subjects[11].payment_id]
    assert limited.events[0].decision == pb.DECISION_REVIEW


async def test_who_may_ask_and_what_is_refused(stub_as: StubAs) -> None:
    stub = stub_as("wallet")
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await stub.Score(pb.ScoreRequest(subjects=[_subject()]), timeout=2)
    assert refused.value.code() is grpc.StatusCode.PERMISSION_DENIED
    stub = stub_as("payment")
    for subjects in ([_subject(payment_id="pay_nonsense")], [_subject() for _ in range(501)]):
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await stub.Score(pb.ScoreRequest(subjects=subjects), timeout=2)
        assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert isinstance(grpc_client.errors_from(refused.value), InvalidArgument)
    assert len((await stub.Score(pb.ScoreRequest(), timeout=2)).scores) == 0


@pytest.mark.parametrize("limit", [-1, 501])
async def test_a_list_is_bounded(stub_as: StubAs, limit: int) -> None:
    stub = stub_as("operator")
    with pytest.raises(grpc.aio.AioRpcError, match="at most 500") as refused:
        await stub.ListFraudEvents(pb.ListFraudEventsRequest(limit=limit), timeout=2)
    error = grpc_client.errors_from(refused.value)
    assert (error.code, error.fields) == ("limit_exceeded", {"limit": "0 to 500"})
