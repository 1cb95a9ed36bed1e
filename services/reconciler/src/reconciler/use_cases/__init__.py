"""Run a reconciliation; keep billing figures."""

from reconciler.use_cases.billing import keep_billing, summarise
from reconciler.use_cases.runs import Reconciliation, totals

__all__ = ["Reconciliation", "keep_billing", "summarise", "totals"]
