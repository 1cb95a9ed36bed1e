"""API keys of merchants from the command line: make, list and end them. Merchants do the same over HTTP."""

import json
from datetime import timedelta
from typing import Annotated, Any

import typer
from rich.table import Table

from commdesk.identity.v1 import identity_pb2 as pb
from common.api_keys import Kind
from common.clock import SYSTEM_CLOCK
from common.events import from_micros, micros
from common.grpc_client import error_from
from ops.commands import AsJson, operator, print_table, with_fleet
from ops.fleet_client import TIMEOUT_SECONDS, FleetClient

# What one command shows at most; the API has pages.
LISTED_MAX = 200

key = typer.Typer(no_args_is_help=True, help="The API keys of merchants.")

MerchantId = Annotated[str, typer.Argument(help="mer_…: one environment of a merchant.")]


@key.command()
def create(
    merchant_id: MerchantId,
    name: Annotated[str, typer.Option(help="What the merchant calls it.")],
    kind: Annotated[Kind, typer.Option(help="A publishable key is shown in pages.")] = "secret",
    permission: Annotated[list[str] | None, typer.Option(help="Only this; may be repeated.")] = None,
    origin: Annotated[list[str] | None, typer.Option(help="Of pages that may use a publishable key.")] = None,
    network: Annotated[list[str] | None, typer.Option(help="From which a secret key may be used, as CIDR.")] = None,
    days: Annotated[int, typer.Option(min=0, help="Until it expires; 0: it does not.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Make an API key and print it: it is stored nowhere, and shown this once."""
    expires_at = SYSTEM_CLOCK.now() + timedelta(days=days) if days else None
    new = pb.NewApiKey(
        merchant_id=merchant_id,
        kind=kind,
        name=name,
        permissions=permission or [],
        origins=origin or [],
        networks=network or [],
        expires_unix_micros=micros(expires_at) if expires_at else 0,
    )

    async def work(fleet: FleetClient) -> pb.IssuedApiKey:
        request = pb.IssueApiKeysRequest(keys=[new], actor=operator())
        [result] = (await fleet.identity().IssueApiKeys(request, timeout=TIMEOUT_SECONDS)).results
        if result.HasField("error"):
            raise error_from(result.error)
        issued: pb.IssuedApiKey = result
        return issued

    issued = with_fleet(work)
    if as_json:
        typer.echo(json.dumps({"key": issued.text, **_plain(issued.key)}, indent=2))
        return
    typer.echo(issued.text)
    typer.echo(f"{issued.key.key.api_key_id}: keep the key now, it is shown this once", err=True)


@key.command("list")
def list_keys(merchant_id: MerchantId, as_json: AsJson = False) -> None:
    """The API keys of a merchant, the newest first, ended ones included."""

    async def work(fleet: FleetClient) -> list[pb.ListedApiKey]:
        request = pb.ListApiKeysRequest(merchant_id=merchant_id, limit=LISTED_MAX)
        return list((await fleet.identity().ListApiKeys(request, timeout=TIMEOUT_SECONDS)).keys)

    keys = with_fleet(work)
    if as_json:
        typer.echo(json.dumps([_plain(each) for each in keys], indent=2))
        return
    if not keys:
        typer.echo("the merchant has no API keys")
        return
    table = Table("id", "key", "name", "status", "may", "expires", "last used", box=None)
    for each in keys:
        plain = _plain(each)
        table.add_row(
            plain["apiKeyId"],
            f"{each.prefix}…{each.last_four}",
            each.name,
            each.status,
            ", ".join(each.key.permissions) if each.key.is_restricted else "all of its kind",
            plain["expiresAt"] or "",
            plain["lastUsedAt"] or "never",
        )
    print_table(table)


@key.command()
def revoke(
    api_key_id: Annotated[str, typer.Argument(help="apk_…")],
    reason: Annotated[str, typer.Option(help="Why; it stays in the audit log: no personal data.")],
) -> None:
    """End an API key at once: every service refuses it within five seconds."""

    async def work(fleet: FleetClient) -> pb.ListedApiKey:
        request = pb.RevokeApiKeysRequest(api_key_ids=[api_key_id], actor=operator(), reason=reason)
        [result] = (await fleet.identity().RevokeApiKeys(request, timeout=TIMEOUT_SECONDS)).results
        if result.HasField("error"):
            raise error_from(result.error)
        revoked: pb.ListedApiKey = result.key
        return revoked

    revoked = with_fleet(work)
    typer.echo(f"{revoked.key.api_key_id} ({revoked.prefix}…{revoked.last_four}, {revoked.name}) is {revoked.status}")


def _plain(listed: pb.ListedApiKey) -> dict[str, Any]:
    each = listed.key
    return {
        "apiKeyId": each.api_key_id,
        "merchantId": each.merchant_id,
        "kind": each.kind,
        "name": listed.name,
        "prefix": listed.prefix,
        "lastFour": listed.last_four,
        "status": listed.status,
        "permissions": list(each.permissions) if each.is_restricted else None,
        "origins": list(each.origins),
        "networks": list(each.networks),
        "apiVersion": each.api_version,
        "createdBy": listed.created_by,
        "createdAt": _time(listed.created_unix_micros),
        "expiresAt": _time(each.expires_unix_micros),
        "lastUsedAt": _time(listed.last_used_unix_micros),
    }


def _time(unix_micros: int) -> str | None:
    return from_micros(unix_micros).isoformat(timespec="seconds") if unix_micros else None
