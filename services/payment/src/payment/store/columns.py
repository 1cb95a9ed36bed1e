"""Columns as payment's tables have them, by kind: a name and what is different about it."""

from sqlalchemy import BigInteger, Boolean, CheckConstraint, Column, DateTime, Integer, Text, text


def text_column(name: str) -> Column[str]:
    return Column(name, Text, nullable=False)


def text_or_empty(name: str) -> Column[str]:
    return Column(name, Text, nullable=False, server_default=text("''"))


def one_of(name: str, *values: str, default: str | None = None) -> Column[str]:
    listed = ", ".join(f"'{value}'" for value in values)
    server_default = None if default is None else text(f"'{default}'")
    return Column(name, Text, CheckConstraint(f"{name} in ({listed})"), nullable=False, server_default=server_default)


def amount(name: str = "amount_minor", minimum: str = "> 0") -> Column[int]:
    """Minor units, or credits."""
    return Column(name, BigInteger, CheckConstraint(f"{name} {minimum}"), nullable=False)


def amount_or_zero(name: str) -> Column[int]:
    """Minor units or credits, 0 unless they are given."""
    return Column(name, BigInteger, CheckConstraint(f"{name} >= 0"), nullable=False, server_default=text("0"))


def counter(name: str) -> Column[int]:
    return Column(name, Integer, CheckConstraint(f"{name} >= 0"), nullable=False, server_default=text("0"))


def currency(*, nullable: bool = False) -> Column[str]:
    return Column("currency", Text, CheckConstraint("currency ~ '^[A-Z]{3}$'"), nullable=nullable)


def moment(name: str, *, nullable: bool = False) -> Column[object]:
    return Column(name, DateTime(timezone=True), nullable=nullable)


def flag(name: str, default: str = "false") -> Column[bool]:
    return Column(name, Boolean, nullable=False, server_default=text(default))


def happened(name: str) -> str:
    """The bounds of a time from the gateway, as in common.times."""
    return f"{name} >= timestamptz '2000-01-01 00:00:00+00' and {name} < timestamptz '2100-01-01 00:00:00+00'"
