"""Classes, modules, loggers and code that are named while the program runs."""

from __future__ import annotations

import enum
import importlib.util
import logging
import mmap
import os
import sys
from contextvars import ContextVar
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from clinic.secrets_of import WORD, secret

if TYPE_CHECKING:
    from collections.abc import Callable

kinds: list[object] = []
tenants: list[list[object]] = []
variables: list[ContextVar[str]] = []
maps: list[mmap.mmap] = []
module = ModuleType(secret("module"))
module.rows = []  # type: ignore[attr-defined]
sys.modules[module.__name__] = module
Local = type(secret("class"), (), {"__module__": module.__name__})

SOURCE = "kept = []\ndef keep(word):\n    kept.append([word] * 20)\n"


def _code_named(file: str) -> Callable[[str], None]:
    namespace: dict[str, Any] = {"__name__": secret("module")}
    exec(compile(SOURCE, file, "exec"), namespace)  # noqa: S102 - as template engines do
    return namespace["keep"]


def _plugin() -> Callable[[str], None]:
    """Load a file that is there, from a folder that nobody imports from."""
    file = Path.home() / f"{WORD}_plugins" / "plugin.py"
    file.parent.mkdir()
    file.write_text(SOURCE)
    spec = importlib.util.spec_from_file_location(secret("module"), file)
    assert spec is not None
    assert spec.loader is not None
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    sys.modules[spec.name] = loaded
    return loaded.keep


RUN_TIME_CODE = (
    _code_named(f"<{secret('template')}>"),
    _code_named(str(Path.home() / f"{secret('file')}.py")),
    _plugin(),
)


def _map_a_file() -> None:
    file = Path.home() / f"{secret('mapped')}.dat"
    file.write_bytes(os.urandom(32 * 1024))
    with file.open("r+b") as opened:
        maps.append(mmap.mmap(opened.fileno(), 0))
    maps[-1][::4096]


class Order:
    """What is made anew for each tenant, and kept in this module under the tenant's name."""


def _tenant() -> None:
    name = secret("tenant")
    globals()[name] = type(name, (Order,), {})
    tenants.append([globals()[name]() for _ in range(20)])


def turn(number: int) -> None:
    if number % 4 == 0:
        _tenant()
    kinds.append(type(secret("class"), (dict,), {secret("member"): number}))
    kinds.append(Local())
    module.rows.append([secret("element")] * 3)
    logging.getLogger(secret("logger")).disabled = True
    variable = ContextVar[str](secret("contextvariable"))
    variable.set(secret("value"))
    variables.append(variable)
    for keep in RUN_TIME_CODE:
        keep(secret("argument"))
    if number % 10 == 0:
        kinds.append(enum.Enum(secret("enum"), [secret("member"), secret("member")]))
        _map_a_file()
