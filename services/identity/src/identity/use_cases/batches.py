"""Batches of one."""

from collections.abc import Sequence
from typing import TypeVar

from common.errors import DomainError

R = TypeVar("R")


def only(results: Sequence[R | DomainError]) -> R:
    """The result of a batch of one. Raises its DomainError."""
    [result] = results
    if isinstance(result, DomainError):
        raise result
    return result
