"""Routing from the command line: the rules, changing them, and why a payment went where it is."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from google.protobuf.json_format import MessageToDict, ParseDict, ParseError
from rich.table import Table

from commdesk.payment.v1 import routing_pb2 as pb
from ops.commands import AsJson, operator, print_table, with_fleet
from ops.fleet_client import FleetClient

TIMEOUT_SECONDS = 10

routing = typer.Typer(no_args_is_help=True, help="Which gateway account takes a payment.")


@routing.command("list")
def list_rules(as_json: AsJson = False) -> None:
    """The rules in force, in the order in which they are tried. `--json` is what `route set` takes."""

    async def work(fleet: FleetClient) -> pb.GetRoutingRulesResponse:
        answer: pb.GetRoutingRulesResponse = await fleet.routing().GetRoutingRules(
            pb.GetRoutingRulesRequest(), timeout=TIMEOUT_SECONDS
        )
        return answer

    rules = with_fleet(work).rules
    if as_json:
        print(json.dumps(MessageToDict(rules, always_print_fields_with_no_presence=True), indent=2))
        return
    table = Table("priority", "merchant", "method", "currency", "amount", "share", "account", box=None)
    for rule in rules.rules:
        amount = f"{rule.amount_min}–{rule.amount_max or ''}" if rule.amount_min or rule.amount_max else "any"
        table.add_row(
            str(rule.priority),
            rule.merchant_id or "any",
            rule.method or "any",
            rule.currency or "any",
            amount,
            f"{rule.share_percent} %",
            rule.gateway_account_id or f"best success rate, {rule.exploration_percent} % explored",
        )
    typer.echo(f"version {rules.version}")
    print_table(table)


@routing.command("set")
def set_rules(
    file: Annotated[Path, typer.Argument(help="All rules and the version that they replace, as `route list --json`.")],
    reason: Annotated[str, typer.Option(help="Why; kept permanently in the audit log: no personal data.")],
) -> None:
    """Put all rules of the next version in force."""
    try:
        rules = ParseDict(json.loads(file.read_text()), pb.RoutingRules())
    except (OSError, ValueError, ParseError) as error:
        typer.echo(f"{file}: {error}", err=True)
        raise typer.Exit(2) from None
    request = pb.SetRoutingRulesRequest(rules=rules, actor=operator(), reason=reason)

    async def work(fleet: FleetClient) -> pb.SetRoutingRulesResponse:
        answer: pb.SetRoutingRulesResponse = await fleet.routing().SetRoutingRules(request, timeout=TIMEOUT_SECONDS)
        return answer

    rules = with_fleet(work).rules
    typer.echo(f"version {rules.version} with {len(rules.rules)} rules is in force")


@routing.command("explain")
def explain(
    payment: Annotated[str, typer.Argument(help="pay_…; empty: a payment as the options say.")] = "",
    merchant: Annotated[str, typer.Option(help="mer_…")] = "",
    method: Annotated[str, typer.Option(help="upi, card, netbanking …")] = "",
    amount: Annotated[int, typer.Option(min=1, help="In minor units, such as paise.")] = 50_000,
    currency: Annotated[str, typer.Option(help="ISO 4217.")] = "INR",
    as_json: AsJson = False,
) -> None:
    """Why a payment went where it is, or where one would go now: each account with its reason."""
    request = pb.ExplainRouteRequest(
        payment_id=payment, merchant_id=merchant, method=method, amount=amount, currency=currency
    )

    async def work(fleet: FleetClient) -> pb.ExplainRouteResponse:
        answer: pb.ExplainRouteResponse = await fleet.routing().ExplainRoute(request, timeout=TIMEOUT_SECONDS)
        return answer

    answer = with_fleet(work)
    if as_json:
        print(json.dumps(MessageToDict(answer, always_print_fields_with_no_presence=True), indent=2))
        return
    if not answer.decisions:
        typer.echo(f"{answer.gateway_account_id}: there was no other account")
    for decision in answer.decisions:
        typer.echo(f"{decision.gateway_account_id}: {_why(decision)}")
        for account, why in sorted(decision.others.items()):
            typer.echo(f"  not {account}: {why}")


def _why(decision: Any) -> str:
    rule = f", rule {decision.priority}" if decision.priority >= 0 else ""
    return f"{decision.reason} (rules {decision.rules_version}{rule})"
