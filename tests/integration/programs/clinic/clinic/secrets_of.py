"""Words that are known at run time alone: no source file of this program contains one."""

from __future__ import annotations

import os
from itertools import count

WORD = os.environ["CLINIC_SECRET"]
_numbers = count()


def secret(kind: str) -> str:
    """Return a new identifier that begins and ends with the secret."""
    number, letters = next(_numbers), ""
    while number:
        number, digit = divmod(number, 26)
        letters += chr(97 + digit)
    return f"{WORD}_{kind}_{letters}_{WORD}"
