"""Which settings are in force, and where each of them comes from."""

from __future__ import annotations

import logging
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from opentelemetry.instrumentation.memory import config
from opentelemetry.instrumentation.memory._commands.doctor.report import SettingReport

if TYPE_CHECKING:
    from collections.abc import Mapping

CONFIG_FILE_VARIABLE: Final = "OTEL_CONFIG_FILE"


class _Messages(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.texts.append(record.getMessage())


def settings_in_force(
    environ: Mapping[str, str],
) -> tuple[config.MemoryConfig, tuple[SettingReport, ...], tuple[str, ...]]:
    """Return the settings, a report of each, and what is wrong with those that were given."""
    problems = []
    file = f"{CONFIG_FILE_VARIABLE}={environ.get(CONFIG_FILE_VARIABLE)}"
    try:
        given = _declarative_options(environ)
    except ImportError:
        problems.append(
            f"{file}: reading it needs pip install 'opentelemetry-sdk[file-configuration]'"
        )
        given = {}
    except Exception as error:  # noqa: BLE001 - whatever a file may hold, doctor goes on
        problems.append(f"{file}: {error}")
        given = {}
    logger = logging.getLogger(config.__name__)
    messages = _Messages()
    was_propagating, logger.propagate = logger.propagate, False
    logger.addHandler(messages)
    try:
        options = config.allowed_options(given, file)
        in_force = config.MemoryConfig.resolve(options, environ)
    finally:
        logger.removeHandler(messages)
        logger.propagate = was_propagating
    reports = tuple(
        SettingReport(
            name,
            getattr(in_force, name),
            _origin(name, setting, getattr(in_force, name), options, environ),
            setting.variable,
        )
        for name, setting in config.settings().items()
    )
    problems += dict.fromkeys(messages.texts)
    unwritable = in_force.baseline_directory and _why_unwritable(Path(in_force.baseline_directory))
    if unwritable:
        problems.append(f"baseline_directory={in_force.baseline_directory}: {unwritable}")
    return in_force, reports, tuple(problems)


def _why_unwritable(directory: Path) -> str | None:
    """Return why no file can be kept there, or None; what is tried is undone at once."""
    existing = directory
    try:
        existing = next(each for each in (directory, *directory.parents) if each.exists())
        # Permission bits do not tell: root may write anywhere, but nobody into /proc.
        with tempfile.TemporaryDirectory(prefix=".otel-memory-", dir=existing):
            return None
    except OSError as error:
        return f"cannot be written, {error.strerror or error}: {existing}"


def _origin(
    name: str,
    setting: config.Setting,
    value: object,
    options: Mapping[str, Any],
    environ: Mapping[str, str],
) -> str:
    if name in options:
        return environ[CONFIG_FILE_VARIABLE]
    try:
        is_from_variable = setting.kind.parse(environ[setting.variable]) == value
    except (KeyError, ValueError, OverflowError):
        is_from_variable = False
    return setting.variable if is_from_variable else "default"


def _declarative_options(environ: Mapping[str, str]) -> dict[str, Any]:
    path = environ.get(CONFIG_FILE_VARIABLE)
    if not path:
        return {}
    # Comes with opentelemetry-sdk[file-configuration], which few have.
    from opentelemetry.configuration.file import load_config_file  # noqa: PLC0415

    instrumentation = load_config_file(path).instrumentation_development
    libraries = (instrumentation and instrumentation.python) or {}
    options = dict(libraries.get("memory") or {})
    options.pop("enabled", None)
    return options
