"""Merchants' accounts at a gateway: those of the settings, and those that control adds."""

from collections.abc import Iterable
from typing import Generic, TypeVar

import msgspec


class Account(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """What every gateway's accounts have."""

    @property
    def key(self) -> str:
        """The public half of its credentials."""
        raise NotImplementedError


A = TypeVar("A", bound=Account)


class Accounts(Generic[A]):
    """Accounts by their keys; those of the settings come back when all is forgotten."""

    def __init__(self, own: Iterable[A]) -> None:
        self._own = list(own)
        self._by_key: dict[str, A] = {}
        self.clear()

    @property
    def first(self) -> A:
        """The first account of the settings."""
        return self._by_key[self._own[0].key]

    def all(self) -> list[A]:
        return list(self._by_key.values())

    def find(self, key: str) -> A | None:
        """The account of a key, or None."""
        return self._by_key.get(key)

    def put(self, account: A) -> A:
        """Add an account; one with the same key keeps what it has and its account_id, and takes over the rest."""
        known = self._by_key.setdefault(account.key, account)
        for name in account.__struct_fields__:
            if name != "account_id":
                setattr(known, name, getattr(account, name))
        return known

    def clear(self) -> None:
        """Keep only the accounts of the settings, as those say."""
        self._by_key = {each.key: msgspec.structs.replace(each) for each in self._own}
