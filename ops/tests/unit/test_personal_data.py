"""`commdesk person erase`: in which order services erase, and what is said when one does not."""

from collections.abc import Mapping
from typing import cast

import grpc.aio
import pytest
from msgspec import Struct

from commdesk.common.v1 import personal_data_pb2 as pb
from ops.fleet_client import FleetClient
from ops.personal_data import ErasureUnfinished, erased_by_service

ASHA = pb.Person(user_id="usr_1", email="asha@example.com", orders=["order_1"])
UNAVAILABLE = grpc.aio.AioRpcError(grpc.StatusCode.UNAVAILABLE, grpc.aio.Metadata(), grpc.aio.Metadata(), "away")


class Fleet(Struct):
    """Services that erase a row each, and a list of those that did; *away* fails."""

    erased: list[str]
    away: str = ""
    services: tuple[str, ...] = ("payment", "notifier", "identity", "ledger")

    def personal_data(self, service: str) -> "Service":
        return Service(self, service)


class Service(Struct):
    fleet: Fleet
    name: str

    async def ResolvePerson(self, request: pb.ResolvePersonRequest, timeout: float) -> pb.ResolvePersonResponse:
        return pb.ResolvePersonResponse(person=ASHA)

    async def ErasePerson(self, request: pb.ErasePersonRequest, timeout: float) -> pb.ErasePersonResponse:
        assert request.person == ASHA
        if self.name == self.fleet.away:
            raise UNAVAILABLE
        self.fleet.erased.append(self.name)
        return pb.ErasePersonResponse(rows={"table": 1})


async def erase(fleet: Fleet) -> Mapping[str, Mapping[str, int]]:
    return await erased_by_service(cast(FleetClient, fleet), "usr_1", "operator:test", "asked to")


async def test_who_may_refuse_is_asked_first() -> None:
    fleet = Fleet([])
    assert await erase(fleet) == {service: {"table": 1} for service in fleet.services}
    assert fleet.erased == ["identity", "payment", "notifier", "ledger"]


async def test_a_refusal_leaves_everything_as_it_is() -> None:
    fleet = Fleet([], away="identity")
    with pytest.raises(grpc.aio.AioRpcError):
        await erase(fleet)
    assert fleet.erased == []


async def test_an_erasure_that_stops_half_way_says_how_to_go_on() -> None:
    with pytest.raises(ErasureUnfinished, match=r"notifier: .* again for usr_1 and for asha@example\.com"):
        await erase(Fleet([], away="notifier"))
