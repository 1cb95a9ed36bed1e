"""The gRPC door."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from commdesk.identity.v1 import identity_pb2 as pb
from commdesk.identity.v1.identity_pb2_grpc import IdentityServiceServicer
from common import ids
from common.database import Database
from common.errors import InvalidArgument
from identity import use_cases, wire

USERS_MAX = 500


class TooManyUsers(InvalidArgument):
    """More users than one call takes."""

    fix = f"Ask for at most {USERS_MAX} users at a time."


class IdentityServicer(IdentityServiceServicer):
    def __init__(self, db: Database) -> None:
        self._db = db

    async def GetUsers(self, request: pb.GetUsersRequest, context: Any) -> pb.GetUsersResponse:
        if len(request.user_ids) > USERS_MAX:
            raise TooManyUsers
        found = await use_cases.users_by_id(self._db, _known_here(request.user_ids))
        return pb.GetUsersResponse(users=[wire.user_message(user) for user in found.values()])


def _known_here(user_ids: Any) -> set[UUID]:
    """Other issuers' users have ids of other shapes; they are as absent here as any unknown one."""
    found = set()
    for user_id in user_ids:
        try:
            found.add(ids.decode("usr", user_id))
        except ids.InvalidId:
            continue
    return found
