"""The gRPC endpoint."""

from commdesk.identity.v1 import identity_pb2 as pb
from commdesk.identity.v1.identity_pb2_grpc import IdentityServiceServicer
from common.database import Database
from common.grpc_server import CallContext
from identity.use_cases import users
from identity.wire import requests, views


class IdentityServicer(IdentityServiceServicer):
    """See protos/commdesk/identity/v1/identity.proto."""

    def __init__(self, db: Database) -> None:
        self._db = db

    async def GetUsers(self, request: pb.GetUsersRequest, context: CallContext) -> pb.GetUsersResponse:
        listed = await users.list_users(self._db, requests.user_ids(request.user_ids))
        return pb.GetUsersResponse(users=[views.user_message(user) for user in listed])
