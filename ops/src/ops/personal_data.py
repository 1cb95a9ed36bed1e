"""Keys and persons: seal everything with the current key, say which keys are needed; show and erase a person, remove
their lost second factor.
"""

import json
from collections.abc import Mapping
from typing import Annotated, Any

import grpc.aio
import typer
from rich.table import Table

from commdesk.common.v1 import personal_data_pb2 as pb
from commdesk.identity.v1.identity_pb2 import RemoveSecondFactorsRequest
from common.errors import Unavailable
from common.grpc_client import error_from, errors_from
from ops.commands import AsJson, operator, print_table, with_fleet
from ops.fleet_client import COUNT_SECONDS, FleetClient

# One batch takes milliseconds; a service that is busy, seconds.
BATCH_SECONDS = 30.0
PERSON_SECONDS = 60.0


class ErasureUnfinished(Unavailable):
    """Some services have erased a person, and one has not."""


keys = typer.Typer(no_args_is_help=True, help="The keys that seal personal data.")
person = typer.Typer(no_args_is_help=True, help="What the fleet holds of a person.")

Reference = Annotated[str, typer.Argument(help="A user id (usr_…) or an e-mail address.")]


def register(app: typer.Typer) -> None:
    """Add these commands to the operator's command line."""
    app.add_typer(keys, name="keys")
    app.add_typer(person, name="person")


# ── Keys ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@keys.command()
def rotate(as_json: AsJson = False) -> None:
    """Seal every row of every mutable table with the first of ENCRYPTION_KEYS, while the fleet serves.

    May be stopped and started again: it goes on where it was.
    """
    resealed = with_fleet(resealed_by_service)
    if as_json:
        typer.echo(json.dumps(resealed, indent=2))
        return
    table = Table("service", "table", "rows", "sealed anew", "key", box=None)
    for service, tables in resealed.items():
        for each in tables:
            table.add_row(service, each["table"], f"{each['rows']:,}", f"{each['changed']:,}", each["key"])
    print_table(table)
    typer.echo("an older key may go when `commdesk keys list` finds nothing that needs it, at least a day from now")


@keys.command("list")
def list_keys(as_json: AsJson = False) -> None:
    """Which keys are still needed, column by column. Reads every row. Exit code 1 when something is not sealed."""
    uses = with_fleet(key_uses)
    if as_json:
        typer.echo(json.dumps(uses, indent=2))
    else:
        table = Table("service", "table", "column", "key", "values", box=None)
        for use in uses:
            key = use["key"] or "(not sealed)"
            table.add_row(use["service"], use["table"], use["column"], key, f"{use['count']:,}")
        print_table(table)
    raise typer.Exit(0 if all(use["key"] for use in uses) else 1)


async def resealed_by_service(fleet: FleetClient) -> dict[str, list[dict[str, Any]]]:
    """Begin a pass with the current key in every service, and work on it to its end."""
    resealed = {}
    for service in fleet.services:
        stub = fleet.personal_data(service)
        answer = await stub.Reseal(pb.ResealRequest(restart=True), timeout=BATCH_SECONDS)
        while not all(table.completed for table in answer.tables):
            answer = await stub.Reseal(pb.ResealRequest(), timeout=BATCH_SECONDS)
        resealed[service] = [
            {"table": table.name, "rows": table.rows_seen, "changed": table.rows_changed, "key": answer.key_id}
            for table in answer.tables
        ]
    return resealed


async def key_uses(fleet: FleetClient) -> list[dict[str, Any]]:
    """How many values of which column are sealed with which key; no key for those that are not sealed."""
    uses = []
    for service in fleet.services:
        answer = await fleet.personal_data(service).ListKeyUses(pb.ListKeyUsesRequest(), timeout=COUNT_SECONDS)
        uses += [
            {"service": service, "table": use.table, "column": use.column, "key": use.key_id, "count": use.count}
            for use in answer.uses
        ]
    return uses


# ── Persons ──────────────────────────────────────────────────────────────────────────────────────────────────────


@person.command()
def export(reference: Reference) -> None:
    """Everything that the fleet holds of a person, as JSON."""
    typer.echo(json.dumps(with_fleet(lambda fleet: exported(fleet, reference)), indent=2, ensure_ascii=False))


@person.command()
def erase(
    reference: Reference,
    reason: Annotated[str, typer.Option(help="Why; it stays in the audit log.")],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Destroy what the law lets go of a person. Invoices, payments and the books stay; they know a user id."""
    if not yes:
        typer.confirm(f"Erase {reference}? Nothing brings it back.", abort=True)
    actor = operator()
    erased = with_fleet(lambda fleet: erased_by_service(fleet, reference, actor, reason))
    for service, rows in erased.items():
        for table, count in rows.items():
            typer.echo(f"{service:16} {table:20} {count}")
    typer.echo("backups made before now still hold it, until they are deleted")


@person.command("remove-second-factor")
def remove_second_factor(
    reference: Reference,
    reason: Annotated[str, typer.Option(help="Why, and how you know who asks; it stays in the audit log.")],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Remove the second factor of a person who has lost device and recovery codes, and end their sessions."""
    if not yes:
        typer.confirm(f"Remove the second factor of {reference}? Their password alone logs in then.", abort=True)
    actor = operator()
    user_id = with_fleet(lambda fleet: factor_removed(fleet, reference, actor, reason))
    typer.echo(f"{user_id} has no second factor now, and is logged out everywhere")


async def factor_removed(fleet: FleetClient, reference: str, actor: str, reason: str) -> str:
    """The id of the user whose factor was removed. Raises DomainError."""
    user_id = (await resolved(fleet, reference)).user_id
    request = RemoveSecondFactorsRequest(user_ids=[user_id], actor=actor, reason=reason)
    answer = await fleet.identity().RemoveSecondFactors(request, timeout=PERSON_SECONDS)
    [result] = answer.results
    if result.HasField("error"):
        raise error_from(result.error)
    return user_id


async def resolved(fleet: FleetClient, reference: str) -> pb.Person:
    """Whom *reference* names, by all that the services know of who that is."""
    found = pb.Person(user_id=reference) if reference.startswith("usr_") else pb.Person(email=reference)
    # identity knows the user, payment the orders.
    for service in sorted(fleet.services, key=lambda name: name != "identity"):
        request = pb.ResolvePersonRequest(person=found)
        found = (await fleet.personal_data(service).ResolvePerson(request, timeout=PERSON_SECONDS)).person
    return found


async def exported(fleet: FleetClient, reference: str) -> dict[str, Any]:
    """By service and table."""
    who = await resolved(fleet, reference)
    records = {}
    for service in fleet.services:
        request = pb.ExportPersonRequest(person=who)
        answer = await fleet.personal_data(service).ExportPerson(request, timeout=PERSON_SECONDS)
        records[service] = json.loads(answer.records_json)
    return {"userId": who.user_id, "email": who.email, **{name: held for name, held in records.items() if held}}


async def erased_by_service(
    fleet: FleetClient, reference: str, actor: str, reason: str
) -> Mapping[str, Mapping[str, int]]:
    """How many rows of each table. identity comes first: it may refuse. Raises ErasureUnfinished."""
    who = await resolved(fleet, reference)
    erased: dict[str, Mapping[str, int]] = {}
    for service in sorted(fleet.services, key=lambda name: name != "identity"):
        request = pb.ErasePersonRequest(person=who, actor=actor, reason=reason)
        try:
            answer = await fleet.personal_data(service).ErasePerson(request, timeout=PERSON_SECONDS)
        except grpc.aio.AioRpcError as error:
            if service == "identity":
                raise
            # identity knows the user by the id alone now, and others know an address alone.
            references = " and for ".join(filter(None, (who.user_id, who.email)))
            raise ErasureUnfinished(f"{service}: {errors_from(error)}. Run it again for {references}") from error
        if answer.rows:
            erased[service] = dict(answer.rows)
    return erased
