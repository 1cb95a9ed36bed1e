"""The picture of a bench: what happened over time, and where the CPU went."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

LINES = {"created": "created", "webhook": "webhook stored", "credits": "credits granted", "complete": "complete"}


def draw(found: Mapping[str, Any], file: Path) -> None:
    """Write a PNG. Raises ImportError without matplotlib, which is a development tool here."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    figure, (over_time, by_process) = pyplot.subplots(1, 2, figsize=(13, 5), width_ratios=(3, 2))
    width = found["timeline"]["width_seconds"]
    for name, label in LINES.items():
        rates = found["timeline"]["per_second"][name]
        over_time.plot([width * (index + 0.5) for index in range(len(rates))], rates, label=label)
    over_time.set(xlabel="seconds", ylabel="payments a second", ylim=(0, None), title="Throughput over time")
    over_time.legend()
    over_time.grid(alpha=0.3)

    names = list(found["cpu_ms_per_payment"])[::-1]
    bars = by_process.barh(names, [found["cpu_ms_per_payment"][name] for name in names])
    by_process.margins(x=0.12)
    by_process.bar_label(bars, fmt="%.2f", padding=3, fontsize=8)
    total = found["cpu_ms_per_payment_total"]
    by_process.set(xlabel="CPU-ms a payment", title=f"Where the CPU goes ({total:.2f} ms a payment)")
    figure.suptitle(f"{found['payments_per_s']:.0f} complete payments/s, {found['plan']['model']}")
    figure.tight_layout()
    figure.savefig(file, dpi=110)
    pyplot.close(figure)
