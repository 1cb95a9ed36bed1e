"""A storm's result for people: the tables on the terminal and in docs/log/numbers.md, and the picture."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from loadtests.report import Sheet

BEGIN, END = "<!-- webhook-numbers:begin -->", "<!-- webhook-numbers:end -->"


LINES = {
    "accepted": "accepted",
    "shed": "rejected (503)",
    "redelivered": "accepted on redelivery",
    "processed": "processed",
}


def sheets(found: Mapping[str, Any]) -> list[Sheet]:
    """The tables of bench-webhooks.json."""
    return [_acceptance(found), _verification(found), _processes(found)]


def _acceptance(found: Mapping[str, Any]) -> Sheet:
    plan, ms = found["plan"], found["accept_ms"]
    rows = [
        ("webhooks offered a second (open loop)", f"{plan['offered_per_s']:,}"),
        ("webhooks stored and answered 200 a second", f"{found['accepted_per_s']:,.0f}"),
        (
            "time to answer 200 from when it was due, p50 / p95 / p99, ms",
            f"{ms['p50']:,.0f} / {ms['p95']:,.0f} / {ms['p99']:,.0f}",
        ),
        ("the same as measured in webhook-ingest, behind Traefik, ms", _inside(found)),
        ("rejected with 503 and Retry-After", f"{found['shed']:,} of {plan['deliveries']:,}"),
        ("time to reject, p99, ms", f"{found['shed_ms']['p99']:,.0f}" if found["shed"] else "-"),
        (
            "seconds from the start until all rejected ones were accepted on redelivery",
            f"{found['all_accepted_after_s']:,.0f}",
        ),
        ("processed during the storm", f"{found['processed_during']:,}"),
        ("seconds from the end of the storm until all were processed", f"{found['drained_after_s']:,.0f}"),
        ("webhooks a flush in webhook-ingest / a batch in payment", _batches(found)),
        ("WAL / data files a webhook, kB", _kilobytes(found)),
        ("CPU in use", f"{found['machine_busy_share']:.0%}"),
        ("CPU used by other processes", f"{found['others_busy_share']:.0%}"),
    ]
    return Sheet(f"A storm of {plan['seconds']} s over {plan['connections']} connections", ("", "figure"), rows)


def _inside(found: Mapping[str, Any]) -> str:
    return " / ".join(f"{found['inside_ms'][percentile]:,.0f}" for percentile in ("p50", "p95", "p99"))


def _batches(found: Mapping[str, Any]) -> str:
    return f"{found['items_per_flush']:.0f} / {found['events_per_batch']['webhook.processing']:.0f}"


def _kilobytes(found: Mapping[str, Any]) -> str:
    return f"{found['wal_bytes_per_webhook'] / 1000:.1f} / {found['disk_bytes_per_webhook'] / 1000:.1f}"


def _verification(found: Mapping[str, Any]) -> Sheet:
    proof = found["proof"]
    rows = [
        ("deliveries, all answered 200 in the end", f"{proof['answered_200']:,} of {proof['deliveries']:,}"),
        ("of these answered as duplicates", f"{proof['answered_duplicate']:,}"),
        (
            "different events sent, ids answered, rows stored",
            _all_of(proof, "events_sent", "ids_answered", "ids_stored"),
        ),
        ("of these processed to SUCCESS", f"{proof['ids_processed']:,}"),
        ("waited until their order existed", f"{proof['waited_for_their_order']:,}"),
        ("orders, paid and granted once", f"{proof['orders_paid_and_granted']:,} of {proof['orders']:,}"),
        (f"invariants violated, of {found['invariants']['checks']} and the deliveries", _violated(found)),
    ]
    return Sheet("Nothing lost, nothing twice", ("", "figure"), rows)


def _all_of(proof: Mapping[str, Any], *names: str) -> str:
    return " / ".join(f"{proof[name]:,}" for name in names)


def _violated(found: Mapping[str, Any]) -> str:
    return str(len(found["invariants"]["violations"]))


def _processes(found: Mapping[str, Any]) -> Sheet:
    rows = [
        (
            name,
            f"{cpu:.3f}",
            f"{found['cpu_ms_per_webhook'][name]:.3f}",
            f"{found['rss_peak_bytes'].get(name, 0) / 2**20:,.0f}",
        )
        for name, cpu in found["cpu_ms_per_accepted"].items()
    ]
    totals = (f"{found['cpu_ms_per_accepted_total']:.3f}", f"{found['cpu_ms_per_webhook_total']:.3f}")
    rows.append(("all", *totals, f"{sum(found['rss_peak_bytes'].values()) / 2**20:,.0f}"))
    columns = (
        "process",
        "CPU-ms an accepted webhook, during the storm",
        "CPU-ms a webhook, storm and processing",
        "peak RSS, MiB",
    )
    return Sheet("By process", columns, rows)


def introduction(found: Mapping[str, Any]) -> str:
    """One sentence before the tables: the machine and the storm."""
    rig, plan = found["rig"], found["plan"]
    return (
        f"Measured {found['measured_at'][:10]} on {rig['cores']} cores ({rig['cpu']}), {rig['memory_gib']} GiB,"
        f" {rig['system']}, Python {rig['python']}: engines, edge, fleet, sandbox and load generator together."
        f" {plan['orders']:,} orders with {plan['attempts_of_each']} attempts each, {plan['hidden_orders']} orders that"
        f" the gateway did not show at first, {plan['repeats_percent']} % repeats."
    )


def draw(found: Mapping[str, Any], file: Path) -> None:
    """Write a PNG. Raises ImportError without matplotlib, which is a development tool here."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(9, 5))
    width = found["timeline"]["width_seconds"]
    for name, label in LINES.items():
        rates = found["timeline"]["per_second"][name]
        axes.plot([width * (index + 0.5) for index in range(len(rates))], rates, label=label)
    axes.axvline(found["plan"]["seconds"], color="grey", linestyle="--", linewidth=1)
    axes.set(xlabel="seconds", ylabel="webhooks a second", ylim=(0, None))
    axes.set_title(
        f"{found['accepted_per_s']:,.0f}/s accepted of {found['plan']['offered_per_s']:,}/s offered,"
        f" p99 {found['accept_p99_ms']:.0f} ms"
    )
    axes.legend()
    axes.grid(alpha=0.3)
    figure.tight_layout()
    figure.savefig(file, dpi=110)
    pyplot.close(figure)
