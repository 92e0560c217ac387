"""What each worker under test does first: hold memory of its own, and say who it is."""

from __future__ import annotations

import json
import os
from itertools import count
from pathlib import Path

from opentelemetry.metrics import get_meter_provider

MIB = 2**20
_held = []


def hold_and_register() -> None:
    """Hold 40 MiB more than the worker before, and write who this is into `WORKERS_FOLDER`."""
    folder = Path(os.environ["WORKERS_FOLDER"])
    number = _claim_number(folder)
    size = 40 * MIB * (number + 1)
    _held.append(bytearray(b"x") * size)
    identity = {
        "pid": os.getpid(),
        "instance": instance_id(),
        "held_bytes": size,
    }
    unfinished = folder / f"{number}.part"
    unfinished.write_text(json.dumps(identity))
    unfinished.rename(folder / f"{number}.json")


def instance_id() -> str:
    """Return what the SDK calls this process."""
    resource = get_meter_provider()._sdk_config.resource  # the API does not tell it
    return str(resource.attributes["service.instance.id"])


def _claim_number(folder: Path) -> int:
    for number in count():
        try:
            (folder / f"{number}.claim").touch(exist_ok=False)
        except FileExistsError:
            continue
        return number
    raise AssertionError
