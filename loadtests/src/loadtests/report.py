"""A bench's result for people: tables on the terminal and in docs/log/numbers.md. Both say the same rows."""

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Struct
from rich.console import Console
from rich.table import Table

BEGIN, END = "<!-- numbers:begin -->", "<!-- numbers:end -->"


class Sheet(Struct, frozen=True):
    """One table: the first column holds words, the others figures."""

    title: str
    columns: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]


def sheets(found: Mapping[str, Any]) -> list[Sheet]:
    """The tables of bench.json."""
    return [_capacity(found), _latency(found), _processes(found), _storage(found), _batches(found), _baselines(found)]


def _capacity(found: Mapping[str, Any]) -> Sheet:
    violations = found["invariants"]["violations"]
    rows = [
        ("complete payments a second, first create to last completion", f"{found['payments_per_s']:,.0f}"),
        ("the same in the steady middle", f"{found['steady_payments_per_s']:,.0f}"),
        ("payments accepted a second", f"{found['accepted_per_s']:,.0f}"),
        ("CPU-ms a payment, everything together", f"{found['cpu_ms_per_payment_total']:.2f}"),
        ("payments, complete of all", f"{found['completed']:,} of {found['payments']:,}"),
        ("payments not scored in time", f"{found['fraud_silent']:,.0f}"),
        ("seconds from the last completion until nothing is pending", f"{found['quiet_after_seconds']:.1f}"),
        (f"invariants violated, of {found['invariants']['checks']} and the deliveries", f"{len(violations)}"),
        ("CPU in use", f"{found['machine_busy_share']:.0%}"),
        ("CPU used by other processes", f"{found['others_busy_share']:.0%}"),
    ]
    plan = found["plan"]
    return Sheet(f"Capacity ({plan['model']}; median of {plan['rounds']} rounds)", ("", "figure"), rows)


def _latency(found: Mapping[str, Any]) -> Sheet:
    named = {
        "create, as the client sees it": "create_ms",
        "webhook, as the gateway sees it": "webhook_ms",
        "webhook → credits granted": "webhook_to_credit_ms",
        "webhook → complete": "webhook_to_complete_ms",
    }
    rows = [
        (name, *(f"{found[key][percentile]:,.0f}" for percentile in ("p50", "p95", "p99")))
        for name, key in named.items()
    ]
    return Sheet("Latency at that load, ms", ("", "p50", "p95", "p99"), rows)


def _processes(found: Mapping[str, Any]) -> Sheet:
    total = found["cpu_ms_per_payment_total"]
    rows = [
        (name, f"{cpu:.3f}", f"{cpu / total:.0%}", f"{found['rss_peak_bytes'].get(name, 0) / 2**20:,.0f}")
        for name, cpu in found["cpu_ms_per_payment"].items()
    ]
    rows.append(("all", f"{total:.3f}", "100%", f"{sum(found['rss_peak_bytes'].values()) / 2**20:,.0f}"))
    return Sheet("By process", ("process", "CPU-ms a payment", "share", "peak RSS, MiB"), rows)


def _storage(found: Mapping[str, Any]) -> Sheet:
    rows = [
        ("WAL, kB", f"{found['wal_bytes_per_payment'] / 1000:.1f}"),
        ("data files, kB", f"{found['disk_bytes_per_payment'] / 1000:.1f}"),
        ("rows written", f"{found['rows_per_payment']:.1f}"),
    ]
    largest = list(found["rows_per_payment_by_table"].items())[:12]
    rows += [(f"rows: {table}", f"{count:.2f}") for table, count in largest]
    return Sheet("Storage a payment", ("", "figure"), rows)


def _batches(found: Mapping[str, Any]) -> Sheet:
    rows = [(f"queue {name}", f"{mean:.1f}") for name, mean in found["events_per_batch"].items()]
    rows += [(f"endpoint {name}", f"{mean:.1f}") for name, mean in found["items_per_flush"].items()]
    return Sheet("Mean size of a batch", ("", "items"), rows)


def _baselines(found: Mapping[str, Any]) -> Sheet:
    rows = [
        (
            name,
            f"{baseline['per_s']:,.0f}",
            " + ".join(f"{who} {cpu:.4f}" for who, cpu in baseline["cpu_ms"].items()),
            f"{baseline['times_ours']:,.0f}×",
        )
        for name, baseline in found["floors"].items()
    ]
    return Sheet(
        "Baselines: the bare building blocks, in the same run",
        ("", "a second", "CPU-ms each", "times our payments/s"),
        rows,
    )


def show(found: Mapping[str, Any], console: Console) -> None:
    """The tables on a terminal, and whatever is wrong."""
    show_sheets(sheets(found), found["problems"], console)


def show_sheets(shown: Sequence[Sheet], problems: Sequence[str], console: Console) -> None:
    for sheet in shown:
        table = Table(title=sheet.title, title_justify="left", box=None, padding=(0, 2, 0, 0))
        for index, column in enumerate(sheet.columns):
            table.add_column(column, justify="left" if index == 0 else "right")
        for row in sheet.rows:
            table.add_row(*row)
        console.print(table)
        console.print()
    for problem in problems:
        console.print(f"FAILED  {problem}", style="bold red", markup=False)


def markdown(found: Mapping[str, Any]) -> str:
    """The tables for docs/log/numbers.md, with the machine they belong to."""
    rig, plan = found["rig"], found["plan"]
    parts = [
        f"Measured {found['measured_at'][:10]} on {rig['cores']} cores ({rig['cpu']}), {rig['memory_gib']} GiB,"
        f" {rig['system']}, Python {rig['python']}: engines, edge, fleet, sandbox and load generator together."
        f" {plan['payments']:,} payments a round after {plan['warm_up']:,} of warm-up, {plan['members']:,} members."
    ]
    return "\n\n".join([*parts, *markdown_sheets(sheets(found), found["problems"])])


def markdown_sheets(shown: Sequence[Sheet], problems: Sequence[str]) -> list[str]:
    """The parts of that page: what went wrong, then table after table."""
    parts = []
    if problems:
        parts.append("\n".join(["This run **failed**:", "", *(f"- {problem}" for problem in problems)]))
    for sheet in shown:
        lines = [f"**{sheet.title}**", "", _row(sheet.columns), _row(("---", *["---:"] * (len(sheet.columns) - 1)))]
        parts.append("\n".join([*lines, *(_row(row) for row in sheet.rows)]))
    return parts


def with_numbers(page: str, found: Mapping[str, Any]) -> str:
    """*page* with the part between the markers replaced. Raises ValueError without both markers, in order."""
    return between(page, BEGIN, END, markdown(found))


def between(page: str, begin: str, end: str, text: str) -> str:
    """*page* with *text* between the two markers. Raises ValueError without both of them, in order."""
    before, found_begin, rest = page.partition(begin)
    _, found_end, after = rest.partition(end)
    if not found_begin or not found_end:
        raise ValueError(f"the page has no {begin} … {end}")
    return f"{before}{begin}\n{text}\n{end}{after}"


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
