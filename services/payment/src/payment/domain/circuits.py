"""A circuit breaker: after some failures in a row an account's operation is left alone for a while. Pure.

Any call that is made meanwhile counts: payments that wait for their gateway go on asking it, so that as a rule none of
them has to be the trial. Only when no call was made for as long as a circuit stays open does one new payment try.
"""

import msgspec


class CircuitSettings(msgspec.Struct, frozen=True):
    # Failures in a row, timeouts among them, that open the circuit.
    failures: int = 5
    # How long nobody is sent to an open circuit after its last failure, in seconds.
    open_seconds: float = 30.0


class Circuit(msgspec.Struct, frozen=True):
    """Times are seconds of a monotonic clock."""

    failures: int = 0
    is_open: bool = False
    # When the next trial is due, while it is open.
    trial_at: float = 0.0

    def admits(self, now: float) -> bool:
        """Whether a new payment may be sent: the circuit is closed, or a trial is due."""
        return not self.is_open or now >= self.trial_at


CLOSED = Circuit()


def failed(circuit: Circuit, settings: CircuitSettings, now: float) -> Circuit:
    failures = circuit.failures + 1
    if circuit.is_open or failures >= settings.failures:
        return Circuit(failures, True, now + settings.open_seconds)
    return Circuit(failures)


def opened_elsewhere(circuit: Circuit, settings: CircuitSettings, now: float) -> Circuit:
    """Another replica found it failing."""
    return circuit if circuit.is_open else Circuit(settings.failures, True, now + settings.open_seconds)


def tried(circuit: Circuit, settings: CircuitSettings, now: float) -> Circuit:
    """A new payment is sent as the trial: nobody else is until its result, or until the next trial is due."""
    return Circuit(circuit.failures, True, now + settings.open_seconds) if circuit.is_open else circuit
