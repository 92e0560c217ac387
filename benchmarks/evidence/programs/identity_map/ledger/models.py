from __future__ import annotations

from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Base(DeclarativeBase):
    pass


class Account(Base):
    __tablename__ = "account"
    number: Mapped[int] = mapped_column(primary_key=True)
    balance_cents: Mapped[int] = mapped_column(default=0)


class Trace(Base):
    """What was looked at, by whom: for the auditors."""

    __tablename__ = "trace"
    number: Mapped[int] = mapped_column(primary_key=True)
    account: Mapped[int]
    clerk: Mapped[str]
