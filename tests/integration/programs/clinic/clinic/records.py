"""Containers that grow under secret keys, attributes and arguments."""

from __future__ import annotations

import os
import queue
import sys
from functools import cache

from clinic.secrets_of import secret

by_patient: dict[str, dict[str, str]] = {}
notes: list[dict[str, str]] = []
failures: list[Exception] = []
queues: dict[str, queue.Queue[str]] = {secret("queue"): queue.Queue() for _ in range(2)}


class Chart:
    """Has a secret class attribute, and instances with secret attributes."""


chart = Chart()
CLASS_ATTRIBUTE, MODULE_ATTRIBUTE = secret("classattribute"), secret("moduleattribute")
setattr(Chart, CLASS_ATTRIBUTE, [])
setattr(sys.modules[__name__], MODULE_ATTRIBUTE, {})


@cache
def looked_up(patient: str, *, ward: str) -> list[str]:
    return [patient, ward, secret("result")]


def note(**words: str) -> None:
    notes.append(words)


def fail(patient: str) -> None:
    diagnosis = [secret("local"), patient]
    try:
        raise ValueError(f"{patient} has {diagnosis}")  # noqa: TRY301 - with its own frame
    except ValueError as error:
        failures.append(error)


def turn(number: int) -> None:
    for _ in range(6):
        by_patient[secret("key")] = {secret("field"): secret("value")}
        setattr(chart, secret("attribute"), secret("value"))
        getattr(Chart, CLASS_ATTRIBUTE).append((secret("element"), number))
        getattr(sys.modules[__name__], MODULE_ATTRIBUTE)[secret("key")] = [number]
        note(**{secret("keyword"): secret("value")})
        looked_up(secret("argument"), ward=secret("argument"))
        for each in queues.values():
            each.put(secret("entry"))
    fail(secret("message"))
    os.environ[secret("variable")] = secret("value")
