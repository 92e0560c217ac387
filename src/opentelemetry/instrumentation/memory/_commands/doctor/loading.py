"""Whether `opentelemetry-instrument` would load the instrumentor, and what runs it."""

from __future__ import annotations

import os
import platform
import sys
import sysconfig
from importlib.metadata import PackageNotFoundError, entry_points, version
from pathlib import Path
from typing import TYPE_CHECKING, Final

from opentelemetry.instrumentation.memory._commands.doctor.report import LoadingReport
from opentelemetry.instrumentation.memory.version import __version__

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_NAME: Final = "memory"
_DISTRIBUTIONS: Final = (
    "opentelemetry-api",
    "opentelemetry-sdk",
    "opentelemetry-instrumentation",
    "opentelemetry-distro",
    "psutil",
)


def loading(environ: Mapping[str, str]) -> LoadingReport:
    """Return whether the instrumentor would be loaded by `opentelemetry-instrument` here."""
    obstacles = tuple(_obstacles(environ))
    return LoadingReport(not obstacles, (*obstacles, *_remarks(environ)))


def _obstacles(environ: Mapping[str, str]) -> Iterator[str]:
    if not any(entry_points(group="opentelemetry_instrumentor", name=_NAME)):
        yield (
            f"no entry point {_NAME!r} in the group opentelemetry_instrumentor: "
            "install the package into this Python with pip"
        )
    variable = "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS"
    disabled = {name.strip() for name in environ.get(variable, "").split(",")}
    if disabled & {_NAME, "*"}:
        yield f"{variable}={environ[variable]} switches it off"
    if environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        yield "OTEL_SDK_DISABLED=true: it is loaded, starts no thread and reports nothing"


def _remarks(environ: Mapping[str, str]) -> Iterator[str]:
    folders = (Path(sys.executable).parent, Path(sysconfig.get_path("scripts")))
    if not any((folder / "opentelemetry-instrument").is_file() for folder in folders):
        yield f"the program opentelemetry-instrument is not in {folders[0]}"
    if not any(entry_points(group="opentelemetry_configurator")):
        yield (
            "nothing sets up the SDK: pip install opentelemetry-distro, "
            "or set a meter provider in the application"
        )
    exporter = environ.get("OTEL_METRICS_EXPORTER", "").strip()
    if exporter.lower() == "none":
        yield "OTEL_METRICS_EXPORTER=none: no metric leaves the process"


def versions(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the versions of everything that decides which sources there are."""
    return {
        "opentelemetry-instrumentation-memory": __version__,
        "Python": f"{platform.python_implementation()} {platform.python_version()}, {_threading()}",
        "PYTHONMALLOC": environ.get("PYTHONMALLOC") or "not set",
        "C library": _c_library(),
        "kernel": f"{platform.system()} {platform.release()} {platform.machine()}",
        **{name: _version(name) for name in _DISTRIBUTIONS},
    }


def _version(distribution: str) -> str:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return "not installed"


def _threading() -> str:
    return "free-threaded" if sysconfig.get_config_var("Py_GIL_DISABLED") else "with the GIL"


def _c_library() -> str:
    try:
        name = os.confstr("CS_GNU_LIBC_VERSION")
    except (AttributeError, ValueError, OSError):
        name = None
    return name or " ".join(platform.libc_ver()).strip() or "unknown"
