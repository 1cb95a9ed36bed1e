"""The HTTP door."""

from __future__ import annotations

from collections.abc import Sequence

from starlette.requests import Request
from starlette.responses import Response

from common.http_server import Reply, Route, body, caller, query, reply, route
from common.http_server.replies import encode
from identity import wire
from identity.accounts import Accounts
from identity.domain import ADMIN


def routes(accounts: Accounts) -> Sequence[Route]:
    async def sign_up(request: Request) -> Response:
        return reply(await accounts.sign_up(await body(request, wire.SignUpBody)), 201)

    async def log_in(request: Request) -> Response:
        return reply(await accounts.log_in(await body(request, wire.LogInBody)))

    async def refresh(request: Request) -> Response:
        return reply(await accounts.refresh((await body(request, wire.RefreshBody)).refresh_token))

    async def log_out(request: Request) -> Response:
        everywhere = query(request, wire.LogOutQuery).everywhere
        return reply({"sessionsEnded": await accounts.log_out(caller(request), everywhere=everywhere)})

    async def profile(request: Request) -> Response:
        return reply(await accounts.profile(caller(request)))

    async def update(request: Request) -> Response:
        return reply(await accounts.update(caller(request), await body(request, wire.UpdateBody)))

    async def change_password(request: Request) -> Response:
        await accounts.change_password(caller(request), await body(request, wire.PasswordBody))
        return reply({})

    async def change_access(request: Request) -> Response:
        user_id = request.path_params["user_id"]
        return reply(await accounts.change_access(caller(request), user_id, await body(request, wire.AccessBody)))

    # The key set has the standard's shape rather than ours, and may be kept for as long as a rotation takes.
    key_set = encode(accounts.jwks)

    async def jwks(request: Request) -> Response:
        return Reply(key_set, headers={"Cache-Control": "public, max-age=300"})

    return (
        route("POST", "/api/v1/users/signup", sign_up, public=True, rate_limit="sign_in"),
        route("POST", "/api/v1/users/login", log_in, public=True, rate_limit="sign_in"),
        route("POST", "/api/v1/users/refresh", refresh, public=True, rate_limit="sign_in"),
        route("POST", "/api/v1/users/logout", log_out),
        route("GET", "/api/v1/users/profile", profile),
        route("PUT", "/api/v1/users/update", update),
        route("PUT", "/api/v1/users/password", change_password, rate_limit="sign_in"),
        route("PUT", "/api/v1/users/{user_id}/access", change_access, roles=(ADMIN,)),
        route("GET", "/.well-known/jwks.json", jwks, public=True),
    )
