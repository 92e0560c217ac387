"""Reads the imports of the package, and fails where a door is used that is not there."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

NAMESPACE = "opentelemetry.instrumentation.memory"
FOLDER = Path(__file__).parents[1] / "src" / Path(*NAMESPACE.split("."))
FILES = sorted(FOLDER.rglob("*.py"))
MAXIMUM_LINES = 400

# Who may import what: rooms of this package, from the outside in. Nothing points back.
VALUES = {"model", "evidence", "exceptions", "version", "environment_variables"}
BELOW = {
    "model": set(),
    "evidence": {"model"},
    "exceptions": set(),
    "version": set(),
    "environment_variables": set(),
    "package": set(),
    "config": {"environment_variables", "exceptions"},
    "_probes": VALUES,
    "_sampling": VALUES | {"_probes", "config"},
    "_detection": VALUES,
    "_attribution": VALUES | {"config", "_probes", "_sampling"},
    "responders": VALUES | {"config"},
    "_baseline_store": VALUES | {"_detection"},
    "_judge": VALUES | {"_detection", "_baseline_store"},
    "_roles": set(),
    "_investigator": VALUES | {"config", "_attribution", "_sampling"},
    "_outlets": VALUES,
    "_request_growth": VALUES | {"_metrics"},
    "_surroundings": VALUES | {"config", "_outlets", "_judge", "_sampling"},
    "_casework": VALUES
    | {
        "config",
        "_outlets",
        "_surroundings",
        "_investigator",
        "_attribution",
        "_judge",
        "_sampling",
        "responders",
    },
    "_response": VALUES | {"_surroundings", "_casework", "_investigator", "responders"},
    "_process": VALUES | {"_investigator", "_response", "_judge", "_sampling", "responders"},
    "_runtime": VALUES
    | {
        "_outlets",
        "_roles",
        "_process",
        "_response",
        "_surroundings",
        "_investigator",
        "_judge",
        "_baseline_store",
        "config",
        "_probes",
        "_sampling",
        "_detection",
        "_attribution",
        "responders",
    },
    "_metrics": VALUES,
    "_events": VALUES,
    "_sdk_locks": set(),
    "testing": VALUES,
    "_instrumentor": VALUES
    | {
        "config",
        "package",
        "_outlets",
        "_request_growth",
        "_roles",
        "_runtime",
        "_metrics",
        "_events",
        "_sdk_locks",
    },
    "track": VALUES | {"_attribution"},
    "middleware": VALUES | {"_attribution"},
    "__init__": VALUES | {"config", "track", "middleware", "_instrumentor"},
    "cli": VALUES | {"_commands"},
    "__main__": {"cli"},
    # Commands stand outside of the instrumented process and may look into every room.
    "_commands": None,
}

# One door for each effect: the modules (or whole rooms) that may use it.
DOORS = {
    "opentelemetry": {
        "_instrumentor",
        "_request_growth",
        "_metrics",
        "_events",
        "_sdk_locks",
        "_attribution/routes",
        "_commands",
    },
    "psutil": {"_probes/portable", "_commands"},
    "ctypes": {
        "_probes/malloc",
        "_probes/arenas",
        "_probes/cpython",
        "responders/main_thread",
        "_commands",
    },
    "time": {"_sampling/clock", "_attribution/sites_memray_reader", "_commands"},
    "threading": {
        "_sampling/background",
        "_sampling/thread",
        "_sampling/sampler",
        "_process",
        "_sdk_locks",
        "_commands",
    },
    "tracemalloc": {"_attribution/sites_tracing"},
    "gc": {
        "_attribution/attributes",
        "_attribution/collections",
        "_probes/cpython",
        "_attribution/cycles",
        "_attribution/groups",
        "_attribution/listing",
        "_attribution/looking",
        "_attribution/paths",
        "_attribution/referrers",
        "_attribution/sizes",
        "_attribution/suspended",
        "_attribution/walk",
        "_commands",
    },
    "atexit": {"_runtime"},
    "signal": {"responders", "_commands"},
    "subprocess": {"responders", "_attribution/sites_memray", "_commands"},
    "socket": {"_commands"},
    "http": {"_commands"},
    "urllib": {"_commands"},
    "memray": {"_attribution/sites_memray", "_attribution/sites_memray_reader"},
    "asyncio": set(),
    "multiprocessing": set(),
}
ATTRIBUTE_DOORS = {
    "environ": {"config", "_commands"},
    "getenv": set(),
    "register_at_fork": {"_runtime", "_sdk_locks"},
    "fork": set(),
    "kill": {"responders", "_commands"},
    "system": set(),
    "nice": set(),
    "setpriority": set(),
}
DETECTION_MAY_IMPORT = {
    "__future__",
    "array",
    "bisect",
    "collections",
    "dataclasses",
    "math",
    "statistics",
    "typing",
    "enum",
    "json",
    "itertools",
}


def place(file: Path) -> str:
    """Return a file's module within the package, with slashes."""
    return file.relative_to(FOLDER).with_suffix("").as_posix()


def room(module: str) -> str:
    return module.split("/", maxsplit=1)[0]


def imports(file: Path) -> Iterator[str]:
    """Yield the full name of everything that a file imports, also for type checking only."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{place(file)}: relative import"
            for alias in node.names:
                yield f"{node.module}.{alias.name}"


def own_rooms(file: Path) -> set[str]:
    """Return the rooms of this package that a file imports from."""
    inside = [
        name.removeprefix(f"{NAMESPACE}.")
        for name in imports(file)
        if name.startswith(f"{NAMESPACE}.")
    ]
    known = set(BELOW)
    return {name.split(".")[0] if name.split(".")[0] in known else "__init__" for name in inside}


def may(module: str, allowed: set[str]) -> bool:
    return module in allowed or room(module) in allowed


@pytest.mark.parametrize("file", FILES, ids=place)
def test_nothing_points_back(file: Path) -> None:
    own = room(place(file))
    assert own in BELOW, f"{own}: a new room; say here what it may import"
    allowed = BELOW[own]
    if allowed is not None:
        assert own_rooms(file) <= allowed | {own}


@pytest.mark.parametrize("file", FILES, ids=place)
def test_each_effect_has_one_door(file: Path) -> None:
    module = place(file)
    for name in imports(file):
        if name.startswith(NAMESPACE):
            continue
        top = name.split(".")[0]
        assert may(module, DOORS.get(top, {module})), f"{module} imports {name}"


@pytest.mark.parametrize("file", FILES, ids=place)
def test_each_effect_of_os_has_one_door(file: Path) -> None:
    module = place(file)
    for node in ast.walk(ast.parse(file.read_text())):
        match node:
            case ast.Attribute(value=ast.Name(id="os"), attr=effect):
                allowed = ATTRIBUTE_DOORS.get(effect, {module})
                assert may(module, allowed), f"{module}: os.{effect}"


@pytest.mark.parametrize("file", FILES, ids=place)
def test_file_is_short(file: Path) -> None:
    assert len(file.read_text().splitlines()) < MAXIMUM_LINES


def test_detection_uses_numbers_only() -> None:
    for file in FILES:
        if room(place(file)) == "_detection":
            foreign = {
                name.split(".")[0] for name in imports(file) if not name.startswith(NAMESPACE)
            }
            assert foreign <= DETECTION_MAY_IMPORT, place(file)


def test_sdk_is_never_imported_by_the_instrumentation() -> None:
    for file in FILES:
        if room(place(file)) != "_commands":
            assert not [name for name in imports(file) if name.startswith("opentelemetry.sdk")]


def test_nothing_stands_above_the_package() -> None:
    for folder in (FOLDER.parent, FOLDER.parent.parent):
        assert not (folder / "__init__.py").exists()


def test_there_is_something_to_read() -> None:
    assert len(FILES) > 20
