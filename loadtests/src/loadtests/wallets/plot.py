"""The picture of a wallet bench: throughput from first to last, and where the CPU went."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any


def draw(found: Mapping[str, Any], file: Path) -> None:
    """Write a PNG. Raises ImportError without matplotlib, which is a development tool here."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    figure, (throughput, by_process) = pyplot.subplots(1, 2, figsize=(13, 5), width_ratios=(3, 2))
    for name, done in found["runs"].items():
        booked = [done["slice"] * (number + 0.5) / 1e6 for number in range(len(done["rates"]))]
        throughput.plot(booked, done["rates"], marker="o", label=f"{name}, {done['wallets']:,} wallets")
    throughput.set(xlabel="million transactions booked", ylabel="transactions a second", ylim=(0, None))
    throughput.set_title("From the first to the last")
    throughput.legend()
    throughput.grid(alpha=0.3)

    spent = {name: cpu for name, cpu in found["cpu_us_per_transaction"].items() if cpu >= 0.05}
    names = list(spent)[::-1]
    bars = by_process.barh(names, [spent[name] for name in names])
    by_process.margins(x=0.12)
    by_process.bar_label(bars, fmt="%.1f", padding=3, fontsize=8)
    total = found["cpu_us_per_transaction_total"]
    by_process.set(xlabel="CPU-µs a transaction", title=f"Where the CPU goes ({total:.0f} µs a transaction)")
    figure.suptitle(f"{found['transactions_per_s']:,.0f} wallet transactions/s, each booked in the ledger")
    figure.tight_layout()
    figure.savefig(file, dpi=110)
    pyplot.close(figure)
