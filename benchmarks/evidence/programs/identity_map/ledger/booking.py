from __future__ import annotations

import random

from ledger.db import audit, new_session
from ledger.models import Account, Trace


def book(account: int, cents: int) -> None:
    with new_session.begin() as session:
        row = session.get(Account, account)
        if row is None:
            session.add(Account(number=account, balance_cents=cents))
        else:
            row.balance_cents += cents


def trace(account: int) -> None:
    clerk = f"clerk-{random.randrange(50)}"  # culprit
    audit.add(Trace(account=account, clerk=clerk))  # culprit
