"""A wallet bench's result for people; the tables' drawing is shared with the other benches."""

from collections.abc import Mapping
from typing import Any

from loadtests.report import Sheet

BEGIN, END = "<!-- wallet-numbers:begin -->", "<!-- wallet-numbers:end -->"


def sheets(found: Mapping[str, Any]) -> list[Sheet]:
    """The tables of bench-wallet.json."""
    return [_rates(found), _throughput(found), _processes(found), _disk(found)]


def _rates(found: Mapping[str, Any]) -> Sheet:
    runs = found["runs"]
    words = {
        "transactions": ("transactions", "{:,}"),
        "wallets": ("wallets", "{:,}"),
        "zipf": ("Zipf exponent of the wallets' shares", "{:g}"),
        "transactions_per_s": ("transactions a second, first sent to last journal booked", "{:,.0f}"),
        "first_per_s": ("the same in the first slice", "{:,.0f}"),
        "last_per_s": ("the same in the last slice", "{:,.0f}"),
        "last_to_first": ("last to first", "{:.0%}"),
        "cpu_us_per_transaction_total": ("CPU-µs a transaction, everything together", "{:,.1f}"),
        "machine_busy_share": ("CPU in use", "{:.0%}"),
        "others_busy_share": ("CPU used by other processes", "{:.0%}"),
    }
    rows = [(word, *(form.format(done[key]) for done in runs.values())) for key, (word, form) in words.items()]
    checks = found["invariants"]["checks"]
    rows.append(
        (f"invariants violated, of {checks} and the deliveries", str(len(found["invariants"]["violations"])), "")
    )
    return Sheet("Wallet transactions", ("", *runs), [row[: len(runs) + 1] for row in rows])


def _throughput(found: Mapping[str, Any]) -> Sheet:
    rows = [(f"{number}", f"{rate:,.0f}") for number, rate in enumerate(found["rates"], 1)]
    return Sheet(f"Throughput of the spread run, slices of {found['slice']:,}", ("slice", "a second"), rows)


def _processes(found: Mapping[str, Any]) -> Sheet:
    total = found["cpu_us_per_transaction_total"]
    hot = found["runs"].get("hot", {}).get("cpu_us_per_transaction", {})
    rows = [
        (
            name,
            f"{cpu:.2f}",
            f"{cpu / total:.0%}",
            f"{hot[name]:.2f}" if name in hot else "",
            f"{found['rss_peak_bytes'][name] / 2**20:,.0f}" if name in found["rss_peak_bytes"] else "",
        )
        for name, cpu in found["cpu_us_per_transaction"].items()
        if cpu >= 0.005
    ]
    return Sheet("By process", ("process", "CPU-µs, spread", "share", "CPU-µs, hot", "peak RSS, MiB"), rows)


def _disk(found: Mapping[str, Any]) -> Sheet:
    rows = [
        (word, f"{found['disk_bytes_per_transaction'][key]:,.0f}")
        for key, word in (("tables", "tables"), ("indexes", "indexes"), ("wal", "WAL"))
    ]
    return Sheet("Disk a transaction, wallet and ledger", ("", "bytes"), rows)


def introduction(found: Mapping[str, Any]) -> str:
    """One sentence before the tables: what was measured when, and on what."""
    rig = found["rig"]
    return (
        f"Measured {found['measured_at'][:10]} on {rig['cores']} cores ({rig['cpu']}), {rig['memory_gib']} GiB,"
        f" {rig['system']}, Python {rig['python']}: wallet, ledger, engines and load generator together."
        f" One transaction in ten is a grant; {found['plan']['grpc_share']:.0%} of the spends came by gRPC, the"
        " others by the broker."
    )
