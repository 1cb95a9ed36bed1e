"""Every use case that changes something leaves a record of who did what: a line of the audit log, or its journal.

For a movement of credits or money the journal, with actor and cause, is that record, and there is no second event. What
leaves neither is listed here with the reason. Use cases and records are found in the source: a function of `use_cases`
that writes must reach, by references, `audit(…)` or an event that the ledger books.
"""

import ast
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest

from common.services import SERVICES
from common.topology import CONTRACT
from ledger.domain.journals import TEMPLATES
from ops.ports import ROOT

# Messages whose journal is the record.
BOOKED = {event.type.rpartition(".")[2] for event in CONTRACT.events.values() if event.key in TEMPLATES}
# What builds a line of the audit log.
AUDITS = {"audit", "audited", "AuditRecorded"}
WRITES = {"commands", "outbox"}
# The ledger's own: a journal, or the records that the others announced.
POSTS = {("commands", "post"), ("commands", "add_audit")}

# By service and use case, why it leaves none of its own.
_PART = "a part of use cases that record the whole"
_DERIVED = "says again, or counts, what is recorded where it happened"
_ATTEMPT = "counts attempts; what they come to is recorded"
_OVER = "deletes or clears what is over"
_BOOK = "what its book saves, the book announces: an event with a journal, or an audit record"
WITHOUT_RECORD: dict[str, dict[str, str]] = {
    "payment": {
        "decisions.save_decisions": _PART,
        "dispute_checks.DisputeChecks.run": _BOOK,
        "dispute_checks.DisputeChecks.warn": "notes that its alert was raised",
        "dispute_checks.apply_disputes": _BOOK,
        "overdue_holds.OverdueHolds.run": "notes that its alert was raised",
        "gateway_orders.GatewayOrders.make": "payment.create is recorded with the order that it makes",
        "refund_checks.RefundChecks.run": _BOOK,
        "refund_checks.record_checks": _BOOK,
        "settled_payments.tell": _PART,
        "settlement_imports.save_rows": "rows of a settlement, whose journal is its record",
        "webhooks.announce_retries": _DERIVED,
        "webhooks.announce_dead": _DERIVED,
    },
    "ledger": {"blocks.anchor_blocks": "writes outside what a block says"},
    "webhook-ingest": {
        "use_cases.store_new_webhooks": "the raw webhook, kept as it came, is the record",
        "use_cases.store_webhooks": "the raw webhook, kept as it came, is the record",
        "use_cases.follow_reports": _DERIVED,
        "use_cases.Refusals.announce": _ATTEMPT,
    },
    "notifier": {
        "alert_digests.AlertDigests.absorb_alerts": _DERIVED,
        "alert_digests.AlertDigests.close_windows": _DERIVED,
        "mail_queue.MailQueue.queue_successes": _DERIVED,
        "mail_queue.MailQueue.queue_failures": _DERIVED,
        "mail_queue.MailQueue.queue_refunds": _DERIVED,
        "mail_queue.MailQueue.queue_account_mails": _DERIVED,
        "mail_queue.MailQueue.queue_mails": _DERIVED,
        "mail_queue.MailQueue.record_outcomes": _DERIVED,
    },
    "reconciler": {
        "billing.record_billing_events": _DERIVED,
        "delivery_check.DeliveryCheck.run": "announces again what was announced",
        # The run that a person starts and the case that a person has judged again are recorded by their callers.
        "matching.Matching.rejudge": _PART,
        "matching.Matching.run": _PART,
    },
    "fraud": {
        "fraud_events.clear_origins": _OVER,
        "payment_activity.count_activities": _DERIVED,
        "payment_activity.keep_partitions": _OVER,
        "scores.score_subjects": "a score decides nothing; payment records what it does with it",
    },
    "identity": {
        "account_mails.count_requests": _ATTEMPT,
        "account_mails.announce": _PART,
        "logins.lock_attempts": _ATTEMPT,
        "members.revoke_tokens": _PART,
        "revocations.announce": _PART,
        "revocations.save_ended": _PART,
        "revocations.end_sessions": _PART,
        "sessions.delete_expired": _OVER,
        "sign_ups.count_sign_ups": _ATTEMPT,
    },
}


class Function:
    """A function or method of a service: what it refers to."""

    def __init__(self, module: "Module", name: str, node: ast.AST) -> None:
        self.module, self.name, self.node = module, name, node

    @property
    def title(self) -> str:
        return f"{self.module.stem}.{self.name}"

    @property
    def is_public(self) -> bool:
        return not any(part.startswith("_") for part in self.name.split("."))

    def names(self) -> Iterator[tuple[str, str]]:
        """Each reference as (owner, name); the owner is "" for a bare name."""
        for node in ast.walk(self.node):
            if isinstance(node, ast.Attribute):
                owner = node.value
                yield (owner.id if isinstance(owner, ast.Name) else "?", node.attr)
            elif isinstance(node, ast.Name):
                yield ("", node.id)


class Module:
    def __init__(self, path: Path, package: str) -> None:
        self.path, self.package, self.stem = path, package, path.stem
        tree = ast.parse(path.read_text())
        self.functions: dict[str, Function] = {}
        # Local name → (module's last part, name in it; "" for the module itself).
        self.imports: dict[str, tuple[str, str]] = {}
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and node.module:
                for alias in node.names:
                    self.imports[alias.asname or alias.name] = (node.module, alias.name)
        for node in tree.body:
            if isinstance(node, (ast.AsyncFunctionDef, ast.FunctionDef)):
                self.functions[node.name] = Function(self, node.name, node)
            elif isinstance(node, (ast.Assign, ast.AnnAssign)):
                # A table of events or of functions: what refers to it refers to what stands in it.
                targets = node.targets if isinstance(node, ast.Assign) else [node.target]
                for target in targets:
                    if isinstance(target, ast.Name):
                        self.functions[target.id] = Function(self, target.id, node)
            elif isinstance(node, ast.ClassDef):
                for member in node.body:
                    if isinstance(member, (ast.AsyncFunctionDef, ast.FunctionDef)):
                        name = f"{node.name}.{member.name}"
                        self.functions[name] = Function(self, name, member)


class Source:
    """The modules of one service."""

    def __init__(self, name: str) -> None:
        package = SERVICES[name].package
        root = ROOT / "services" / name / "src" / package
        self.modules = {
            ".".join(path.relative_to(root.parent).with_suffix("").parts): Module(path, package)
            for path in sorted(root.rglob("*.py"))
            if "migrations" not in path.parts
        }
        self.methods: dict[str, list[Function]] = {}
        for module in self.modules.values():
            for name, function in module.functions.items():
                if "." in name:
                    self.methods.setdefault(name.rpartition(".")[2], []).append(function)

    def use_cases(self) -> Iterator[Function]:
        """The public functions of `use_cases` that write, themselves or by others of the service."""
        for dotted, module in self.modules.items():
            if dotted.split(".")[1] == "use_cases":
                for function in module.functions.values():
                    is_code = isinstance(function.node, (ast.AsyncFunctionDef, ast.FunctionDef))
                    if is_code and function.is_public and self._reaches(function, self._writes, set()):
                        yield function

    def is_recorded(self, function: Function) -> bool:
        return self._reaches(function, self._records, set())

    def _writes(self, function: Function) -> bool:
        return any(
            (owner in WRITES and (owner != "outbox" or name.startswith("append"))) or name in ("write", "copy")
            for owner, name in function.names()
            if owner
        )

    def _records(self, function: Function) -> bool:
        return any(name in BOOKED or name in AUDITS or (owner, name) in POSTS for owner, name in function.names())

    def _reaches(self, function: Function, found: Callable[[Function], bool], seen: set[int]) -> bool:
        if id(function) in seen:
            return False
        seen.add(id(function))
        return found(function) or any(self._reaches(other, found, seen) for other in self._referred(function))

    def _referred(self, function: Function) -> Iterator[Function]:
        module = function.module
        for owner, name in function.names():
            if owner == "":
                yield from self._named(module, name)
            elif owner == "self":
                own = module.functions.get(f"{function.name.partition('.')[0]}.{name}")
                if own is not None:
                    yield own
            elif owner in module.imports:
                dotted = ".".join(part for part in module.imports[owner] if part)
                target = self.modules.get(dotted)
                if target is not None and name in target.functions:
                    yield target.functions[name]
            elif len(self.methods.get(name, ())) == 1:
                # A method of a collaborator: by its name, where one class alone has it.
                yield self.methods[name][0]

    def _named(self, module: Module, name: str) -> Iterator[Function]:
        if name in module.functions:
            yield module.functions[name]
        elif name in module.imports:
            dotted, original = module.imports[name]
            target = self.modules.get(dotted)
            if target is not None and original in target.functions:
                yield target.functions[original]


@cache
def source(name: str) -> Source:
    return Source(name)


@pytest.mark.parametrize("service", SERVICES)
def test_every_use_case_that_changes_something_leaves_a_record(service: str) -> None:
    without = {each.title for each in source(service).use_cases() if not source(service).is_recorded(each)}
    listed = WITHOUT_RECORD.get(service, {}).keys()
    assert sorted(without - listed) == [], "announce an audit record (common.events.audit), or list it with its reason"
    assert sorted(listed - without) == [], "these leave a record by now, or are gone: take them off the list"


def test_use_cases_and_records_are_found() -> None:
    """The scan sees what is known: a change that it no longer sees would pass silently."""
    found = {service: {each.title: each for each in source(service).use_cases()} for service in SERVICES}
    assert {"controls.close_period", "controls.freeze_account", "adjustments.decide_journals"} <= found["ledger"].keys()
    assert {"review_queue.decide_review", "cancellations.request_cancel"} <= found["payment"].keys()
    assert {"access.change_access", "sign_ups.sign_up_users"} <= found["identity"].keys()
    assert source("ledger").is_recorded(found["ledger"]["controls.close_period"])


def test_a_use_case_without_a_record_is_noticed() -> None:
    """Without the line that announces it, closing a period is on no list."""
    changed = Source("ledger")
    module = changed.modules["ledger.use_cases.controls"]
    text = module.path.read_text()
    line = "        await outbox.append(tx, [announcements.period_closed(last, period)])\n"
    assert line in text
    tree = ast.parse(text.replace(line, ""))
    for node in tree.body:
        if isinstance(node, ast.AsyncFunctionDef):
            module.functions[node.name] = Function(module, node.name, node)
    assert not changed.is_recorded(module.functions["close_period"])
