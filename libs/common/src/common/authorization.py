"""Check at identity, before an act of staff that moves money or rights, that the caller may still do it.

An access token may be older than a change of rights, and revocations take a moment to arrive. Identity also decides
whether the session and the token say that their user has proved recently, and with a second factor, who they are. The
call comes before the act's transaction and fails closed: without a response in time nothing is done.
"""

from typing import Final

from commdesk.identity.v1 import identity_pb2 as pb
from commdesk.identity.v1.identity_pb2_grpc import IdentityServiceStub
from common import grpc_client
from common.errors import RightsOutdated, SecondFactorMissing, StepUpRequired
from common.grpc_client import CalleeUnavailable
from common.permissions import TABLE
from common.tokens import Caller

TIMEOUT_SECONDS = 1.0
# What identity answers to an act; routes of such acts list ACT_ERRORS.
REFUSALS: Final = (RightsOutdated, StepUpRequired, SecondFactorMissing)
ACT_ERRORS: Final = (*REFUSALS, CalleeUnavailable)

_REFUSALS_BY_CODE: Final = {each.code: each for each in REFUSALS}


class Authorizer:
    """Calls identity through *stub*."""

    def __init__(self, stub: IdentityServiceStub) -> None:
        self._stub = stub

    async def require(self, caller: Caller, permission: str) -> None:
        """Return when *caller* is active, their session is open, it and the token suffice, *permission* is theirs.

        A caller by API key has no session, and nothing to prove anew: the key is valid still, and has *permission*.

        Raises RightsOutdated, StepUpRequired or SecondFactorMissing; CalleeUnavailable without an answer in time.
        """
        act = pb.Act(
            user_id=caller.user_id,
            merchant_id=caller.merchant_id,
            session_id=caller.session_id,
            # For an identity of an older release, which knows no permissions and refuses an act without roles.
            roles=sorted(TABLE.permissions[permission].platform),
            authenticated_unix_seconds=caller.authenticated_at_seconds,
            methods=sorted(caller.methods),
            api_key_id=caller.api_key_id,
            permission=permission,
        )
        with grpc_client.verdicts():
            response = await self._stub.Authorize(pb.AuthorizeRequest(acts=[act]), timeout=TIMEOUT_SECONDS)
        [result] = response.results
        if result.HasField("error"):
            # A refusal that is not known here is one all the same.
            raise _REFUSALS_BY_CODE.get(result.error.code, RightsOutdated)(result.error.message)
