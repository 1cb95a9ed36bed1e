"""Lock, decide, save, announce."""

from payment.use_cases.cancelling import Cancellation
from payment.use_cases.creating import Answer, Creation
from payment.use_cases.deciding import Inquiry, Policy
from payment.use_cases.keeping import CallLog, Tariff
from payment.use_cases.syncing import Sweep, Verification

__all__ = ["Answer", "CallLog", "Cancellation", "Creation", "Inquiry", "Policy", "Sweep", "Tariff", "Verification"]
