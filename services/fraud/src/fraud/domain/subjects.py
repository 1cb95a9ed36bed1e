"""Who pays: what a payment is counted and listed under."""

from collections.abc import Mapping
from enum import StrEnum
from functools import lru_cache
from types import MappingProxyType
from uuid import UUID

from msgspec import Struct

from common.client_addresses import client_network
from common.keys import digest
from common.money import Money


class Dimension(StrEnum):
    """What payments are counted by."""

    USER = "USER"
    IP = "IP"
    DEVICE = "DEVICE"
    # One user paying one amount: a double click, or a card being tried.
    USER_AMOUNT = "USER_AMOUNT"
    # The attempts of one payment's order. A payment that is about to be made has none: no score looks at it.
    ORDER = "ORDER"


class Subject(Struct, frozen=True):
    """A payment about to be made. Empty strings stand for "not known"."""

    payment_id: UUID
    merchant_id: str
    user_id: str
    ip: str
    device_id: str
    amount: Money
    # The same for every try of one request, though each try has a payment id of its own.
    request_key: str


class Source(Struct, frozen=True):
    """A user at an address or on a device."""

    user_key: UUID
    dimension: Dimension
    source_key: UUID


@lru_cache(maxsize=16_384)
def key_of(dimension: Dimension, merchant_id: str, *values: str) -> UUID:
    """The key that values are counted under: 16 bytes of a digest, so that counters hold no personal data.

    Of an IPv6 address its /64 network counts: a customer usually has all of it.
    """
    if dimension is Dimension.IP:
        values = tuple(map(client_network, values))
    return UUID(bytes=digest(dimension, merchant_id, *values)[:16])


# A payment is scored, counted in flight and counted by each of its events within seconds.
@lru_cache(maxsize=4_096)
def keys_of(merchant_id: str, user_id: str, ip: str, device_id: str, amount: Money | None) -> Mapping[Dimension, UUID]:
    """The keys under which a payment is counted; what is not known has none."""
    values = {Dimension.USER: user_id, Dimension.IP: ip, Dimension.DEVICE: device_id}
    counted = {dimension: key_of(dimension, merchant_id, value) for dimension, value in values.items() if value}
    if user_id and amount is not None:
        of_amount = (user_id, str(amount.minor), amount.currency)
        counted[Dimension.USER_AMOUNT] = key_of(Dimension.USER_AMOUNT, merchant_id, *of_amount)
    return MappingProxyType(counted)


def subject_keys(subject: Subject) -> Mapping[Dimension, UUID]:
    return keys_of(subject.merchant_id, subject.user_id, subject.ip, subject.device_id, subject.amount)


def attempt_keys(subject: Subject) -> Mapping[Dimension, UUID]:
    """The keys under which a failed attempt of a payment is counted: a payment has one order."""
    keys = keys_of(subject.merchant_id, subject.user_id, subject.ip, subject.device_id, None)
    return {**keys, Dimension.ORDER: key_of(Dimension.ORDER, subject.merchant_id, str(subject.payment_id))}


def sources_of(keys: Mapping[Dimension, UUID]) -> list[Source]:
    """The address and the device that the user of *keys* comes with."""
    user_key = keys.get(Dimension.USER)
    if user_key is None:
        return []
    return [Source(user_key, each, keys[each]) for each in (Dimension.IP, Dimension.DEVICE) if each in keys]
