"""What an operator does with a running fleet: pay, show a timeline, close dead letters."""

import asyncio
import getpass
import json
import os
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, TypeVar

import grpc.aio
import msgspec
import typer
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import DecodeError
from rich.console import Console
from rich.table import Table

from commdesk.common.v1 import delivery_pb2
from common.errors import DomainError
from common.grpc_client import errors_from
from common.services import SERVICES
from common.topology import CONTRACT, message_type
from ops import configuration_check, fleet_client, journey, reference, timeline
from ops import demo as demonstration
from ops import doctor as examination
from ops.fleet_client import FleetClient
from ops.ports import Layout
from ops.proof import NotProven

T = TypeVar("T")

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
Reason = Annotated[str, typer.Option(help="Why; it is kept with the dead letter.")]
Everything = Annotated[bool, typer.Option("--all", help="All that the filters match, not single ids.")]
QueueFilter = Annotated[str, typer.Option("--queue", help="Only of this queue.")]
CodeFilter = Annotated[str, typer.Option("--code", help="Only with this error code.")]
Ids = Annotated[list[str] | None, typer.Argument(help="dlq_… ids, as `dlq list` shows them.")]

dlq = typer.Typer(no_args_is_help=True, help="Dead letters: read, replay, discard.")


def register(app: typer.Typer) -> None:
    """Add these commands to the operator's command line."""
    app.command()(pay)
    app.command()(show)
    app.command()(demo)
    app.command()(doctor)
    app.command()(openapi)
    app.add_typer(dlq, name="dlq")


def with_fleet(work: Callable[[FleetClient], Awaitable[T]]) -> T:
    """Run *work* with a client of the running stack; what goes wrong is one line and exit code 1."""

    async def connected() -> T:
        async with fleet_client.connect(Layout.from_environment()) as fleet:
            return await work(fleet)

    try:
        return asyncio.run(connected())
    except (
        fleet_client.NotUp,
        journey.StepFailed,
        NotProven,
        DomainError,
        TimeoutError,
        OSError,
    ) as error:
        problem = str(error)
    except grpc.aio.AioRpcError as error:
        problem = str(errors_from(error))
    typer.echo(f"error: {problem}", err=True)
    raise typer.Exit(1)


def openapi(
    against: Annotated[str, typer.Option(help="Only compare with this Git revision: exit code 1 for a breach.")] = "",
) -> None:
    """Write docs/reference anew from the code, or find what would break a client of the API."""
    if not against:
        for path in reference.write():
            typer.echo(f"wrote {path}")
        return
    problems = reference.breaking_changes(against)
    for problem in problems:
        typer.echo(problem, err=True)
    if problems:
        raise typer.Exit(1)


def pay(
    pack: Annotated[str, typer.Argument(help="The pack to buy.")] = "pack_500",
    method: Annotated[str, typer.Option(help="upi, card, netbanking or wallet.")] = "upi",
    outcome: Annotated[str, typer.Option(help="success, failure, user_dropped, or auto to draw it.")] = "success",
    as_json: AsJson = False,
) -> None:
    """Sign up a member, buy a pack and pay for it at the sandbox."""

    async def work(fleet: FleetClient) -> dict[str, Any]:
        member = await journey.sign_up(fleet)
        created = await journey.create(fleet, member, pack_id=pack)
        paid = await journey.pay(fleet, created["orderId"], method=method, outcome=outcome)
        if outcome == "success":
            payment = await journey.until_success(fleet, member, created["paymentId"])
        else:
            payment = await journey.status(fleet, member, created["paymentId"])
        return {"userId": member.user_id, **payment, "gateway": paid}

    payment = with_fleet(work)
    if as_json:
        typer.echo(json.dumps(payment, indent=2))
        return
    typer.echo(f"{payment['paymentId']}  {payment['orderId']}  {payment['status']}  of {payment['userId']}")
    typer.echo(f"its timeline: commdesk show {payment['paymentId']}")


def show(
    reference: Annotated[str, typer.Argument(help="A payment, order, invoice, wallet or user id.")],
    as_json: AsJson = False,
) -> None:
    """The timeline of a payment: request, gateway calls, webhooks, events, journals, mails."""
    shown = with_fleet(lambda fleet: timeline.gathered(fleet, reference))
    if as_json:
        typer.echo(json.dumps(shown, indent=2))
        return
    if not shown["entries"]:
        typer.echo(f"no service knows {reference}", err=True)
        raise typer.Exit(1)
    table = Table("time (UTC)", "ms", "service", "what", "", box=None, pad_edge=False)
    for entry in shown["entries"]:
        fields = "  ".join(f"{name}={value}" for name, value in entry["fields"].items() if value)
        table.add_row(
            entry["time"][11:26],
            f"{entry['after_ms']:.0f}",
            entry["service"],
            f"{entry['kind']}: {entry['summary']}",
            fields,
        )
    print_table(table)
    for service in shown["silent"]:
        typer.echo(f"({service} did not answer: its part is missing)", err=True)


def demo() -> None:
    """Run one payment through the whole fleet and print the proof."""
    with_fleet(lambda fleet: demonstration.run(fleet, Layout.from_environment()))


def doctor(
    service: Annotated[str, typer.Argument(help="With --config: this service; without it, all.")] = "",
    fix: Annotated[bool, typer.Option("--fix", help="Declare missing queues and bindings.")] = False,
    config: Annotated[
        bool, typer.Option("--config", help="Check the configuration alone; nothing has to run.")
    ] = False,
    environment_file: Annotated[
        Path | None,
        typer.Option(help="With --config: a file of NAME=value, or a folder of <service>.env and common.env."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Name what is wrong and the fix: engine down, migration or binding missing, wrong key, clock skew; or with
    --config everything that keeps services from serving with an environment.
    """
    if config:
        _check_configuration(service, environment_file, as_json=as_json)
        return
    if service or environment_file:
        typer.echo("a service and --environment-file go with --config", err=True)
        raise typer.Exit(2)
    findings = with_fleet(lambda fleet: examination.examine(fleet, fix=fix))
    if as_json:
        typer.echo(json.dumps([msgspec.structs.asdict(finding) for finding in findings], indent=2))
    else:
        for finding in findings:
            sign = "ok" if finding.ok else "!!"
            typer.echo(f"  {sign}  {finding.what}{': ' + finding.detail if finding.detail else ''}")
            if not finding.ok:
                typer.echo(f"      → {finding.fix}")
    raise typer.Exit(0 if all(finding.ok for finding in findings) else 1)


def _check_configuration(service: str, environment_file: Path | None, *, as_json: bool) -> None:
    if service and service not in SERVICES:
        typer.echo(f"there is no service {service}", err=True)
        raise typer.Exit(2)
    names = [service] if service else [*SERVICES]
    try:
        environments = configuration_check.environments(environment_file, names, os.environ)
    except configuration_check.EnvironmentUnreadable as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from None
    problems = configuration_check.problems(environments)
    if as_json:
        typer.echo(json.dumps(msgspec.to_builtins(problems), indent=2))
    elif not problems:
        typer.echo(f"  ok  {', '.join(names)}")
    for problem in [] if as_json else problems:
        concerned = "every service" if len(problem.services) == len(names) > 1 else ", ".join(problem.services)
        typer.echo(f"  !!  {f'{problem.variable}: ' if problem.variable else ''}{problem.problem}  ({concerned})")
    raise typer.Exit(1 if problems else 0)


@dlq.command("list")
def list_dead_letters(
    queue: QueueFilter = "",
    code: CodeFilter = "",
    status: Annotated[str, typer.Option(help="OPEN, REPLAYED or DISCARDED.")] = "OPEN",
    limit: Annotated[int, typer.Option(min=1, max=500)] = 100,
    as_json: AsJson = False,
) -> None:
    """Dead letters of all services, oldest first."""
    letters = with_fleet(lambda fleet: _find(fleet, queue=queue, code=code, status=status, limit=limit))
    if as_json:
        typer.echo(json.dumps([_letter(service, letter) for service, letter in letters], indent=2))
        return
    if not letters:
        typer.echo("no dead letters")
        return
    table = Table("id", "queue", "type", "reason", "tries", "dead since (UTC)", "status", box=None)
    for service, letter in letters:
        shown = _letter(service, letter)
        reason = f"{letter.error_code} ({letter.error_class})"
        table.add_row(
            letter.id,
            letter.queue,
            letter.type.rpartition(".")[2],
            reason,
            str(letter.attempts),
            shown["dead"],
            letter.status,
        )
    print_table(table)


@dlq.command("show")
def show_dead_letter(dead_letter_id: Annotated[str, typer.Argument()], as_json: AsJson = False) -> None:
    """One dead letter with its event."""
    letters = with_fleet(lambda fleet: _find(fleet, ids=[dead_letter_id]))
    if not letters:
        typer.echo(f"no dead letter {dead_letter_id}", err=True)
        raise typer.Exit(1)
    shown = _letter(*letters[0])
    if as_json:
        typer.echo(json.dumps(shown, indent=2))
        return
    for name, value in shown.items():
        typer.echo(f"{name:14} {json.dumps(value, indent=2) if isinstance(value, dict) else value}")


@dlq.command()
def replay(
    reason: Reason, ids: Ids = None, everything: Everything = False, queue: QueueFilter = "", code: CodeFilter = ""
) -> None:
    """Send dead letters to their queue again; their effects stay single."""
    _close("replay", reason, ids, everything, queue, code)


@dlq.command()
def discard(
    reason: Reason, ids: Ids = None, everything: Everything = False, queue: QueueFilter = "", code: CodeFilter = ""
) -> None:
    """Close dead letters without effect."""
    _close("discard", reason, ids, everything, queue, code)


async def _find(
    fleet: FleetClient,
    *,
    queue: str = "",
    code: str = "",
    status: str = "OPEN",
    limit: int = 500,
    ids: list[str] | None = None,
) -> list[tuple[str, delivery_pb2.DeadLetter]]:
    owners = {each.owner for each in CONTRACT.queues if queue in ("", each.name)}
    statuses = ("OPEN", "REPLAYED", "DISCARDED") if ids else (status.upper(),)
    letters = []
    for service in (service for service in fleet.services if service in owners):
        for letter_status in statuses:
            request = delivery_pb2.ListDeadLettersRequest(
                queue=queue, error_code=code, status=letter_status, limit=limit, ids=ids or []
            )
            answer = await fleet.delivery(service).ListDeadLetters(request, timeout=10)
            letters += [(service, letter) for letter in answer.dead_letters]
    return sorted(letters, key=lambda pair: pair[1].dead_unix_micros)


def _close(verb: str, reason: str, ids: list[str] | None, everything: bool, queue: str, code: str) -> None:
    if bool(ids) == everything:
        typer.echo("name the ids, or use --all with filters", err=True)
        raise typer.Exit(2)
    actor = operator()

    async def work(fleet: FleetClient) -> int:
        closed = 0
        letters = await _find(fleet, queue=queue, code=code, ids=ids)
        for service in sorted({service for service, _ in letters}):
            mine = [letter.id for owner, letter in letters if owner == service and letter.status == "OPEN"]
            stub = fleet.delivery(service)
            if verb == "replay":
                request = delivery_pb2.ReplayDeadLettersRequest(ids=mine, actor=actor, reason=reason)
                closed += (await stub.ReplayDeadLetters(request, timeout=10)).replayed
            else:
                discarding = delivery_pb2.DiscardDeadLettersRequest(ids=mine, actor=actor, reason=reason)
                closed += (await stub.DiscardDeadLetters(discarding, timeout=10)).discarded
        return closed

    closed = with_fleet(work)
    typer.echo(f"{closed} {verb}ed" if verb == "discard" else f"{closed} replayed")
    raise typer.Exit(0 if closed else 1)


def _letter(service: str, letter: delivery_pb2.DeadLetter) -> dict[str, Any]:
    return {
        "id": letter.id,
        "service": service,
        "queue": letter.queue,
        "type": letter.type,
        "error_code": letter.error_code,
        "error_class": letter.error_class,
        "attempts": letter.attempts,
        "first_failed": _moment(letter.first_failed_unix_micros),
        "dead": _moment(letter.dead_unix_micros),
        "status": letter.status,
        "actor": letter.actor,
        "reason": letter.reason,
        "event": _event(letter),
    }


def _event(letter: delivery_pb2.DeadLetter) -> dict[str, Any] | str:
    try:
        message = message_type(letter.type).FromString(letter.event)
    except (KeyError, DecodeError):
        return letter.event.hex()
    return MessageToDict(message, preserving_proto_field_name=True)


def operator() -> str:
    """Who gives the commands, as the audit log names them."""
    return f"operator:{getpass.getuser()}"


def print_table(table: Table) -> None:
    """A table as wide as the terminal; without one, wide enough for programs and files."""
    console = Console()
    (console if console.is_terminal else Console(width=220)).print(table)


def _moment(unix_micros: int) -> str:
    return datetime.fromtimestamp(unix_micros / 1_000_000, UTC).isoformat(timespec="milliseconds")
