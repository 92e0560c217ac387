"""Every setting: its default, its variable, what is allowed, and where its value comes from."""

from __future__ import annotations

import difflib
import logging
import math
import os
import re
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, Final, Protocol

from opentelemetry.instrumentation.memory import environment_variables as variables
from opentelemetry.instrumentation.memory.exceptions import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

_logger = logging.getLogger(__name__)


class Kind(Protocol):
    """What values a setting takes."""

    @property
    def allowed(self) -> str:
        """Return the allowed values in words, to follow "expected "."""
        ...

    def parse(self, raw: object) -> Any:
        """Return the value, or raise ValueError when it is not allowed."""
        ...


@dataclass(frozen=True)
class Number:
    """A finite number within a closed range."""

    unit: str
    minimum: float
    maximum: float

    @property
    def allowed(self) -> str:
        """Return the unit and the range."""
        return f"{self.unit} between {self.minimum:g} and {self.maximum:g}"

    def parse(self, raw: object) -> float:
        """Return the number that a text or a number stands for."""
        if isinstance(raw, bool) or not isinstance(raw, (str, int, float)):
            raise ValueError(raw)  # noqa: TRY004 - one error for "not allowed"
        value = float(raw)
        if not math.isfinite(value) or not self.minimum <= value <= self.maximum:
            raise ValueError(raw)
        return value


@dataclass(frozen=True)
class Whole:
    """A whole number within a closed range."""

    unit: str
    minimum: int
    maximum: int

    @property
    def allowed(self) -> str:
        """Return the unit and the range."""
        return f"a whole number of {self.unit} between {self.minimum} and {self.maximum}"

    def parse(self, raw: object) -> int:
        """Return the number that a text or an integer stands for."""
        if isinstance(raw, bool) or not isinstance(raw, (str, int)):
            raise ValueError(raw)  # noqa: TRY004 - one error for "not allowed"
        value = int(raw)
        if not self.minimum <= value <= self.maximum:
            raise ValueError(raw)
        return value


@dataclass(frozen=True)
class Size:
    """A number of bytes, as an integer or with a binary unit."""

    minimum: int
    # No machine has an exbibyte; beyond 2**63 an OTLP exporter loses the whole export.
    maximum: int = 2**60

    _unit_bytes = {"": 1, "k": 2**10, "m": 2**20, "g": 2**30}  # noqa: RUF012 - class constant

    @property
    def allowed(self) -> str:
        """Return the range, and how to write it."""
        return (
            f"bytes between {self.minimum} and {self.maximum}, such as 536870912 or 512MiB "
            "(KiB, MiB, GiB or Ki, Mi, Gi)"
        )

    def parse(self, raw: object) -> int:
        """Return the number of bytes."""
        if isinstance(raw, int) and not isinstance(raw, bool):
            value = raw
        else:
            # ASCII: otherwise a Kelvin sign is a K, and a dotless i an i.
            match = re.fullmatch(r"\s*(\d+)\s*(|[KMG]iB?)\s*", str(raw), re.IGNORECASE | re.ASCII)
            if match is None:
                raise ValueError(raw)
            value = int(match[1]) * self._unit_bytes[match[2][:1].lower()]
        if not self.minimum <= value <= self.maximum:
            raise ValueError(raw)
        return value


@dataclass(frozen=True)
class Flag:
    """On or off."""

    allowed: str = "true or false (or 1, 0)"
    _words = {"true": True, "1": True, "false": False, "0": False}  # noqa: RUF012 - class constant

    def parse(self, raw: object) -> bool:
        """Return whether the setting is on."""
        if isinstance(raw, bool):
            return raw
        try:
            return self._words[str(raw).strip().lower()]
        except KeyError:
            raise ValueError(raw) from None


@dataclass(frozen=True)
class Directory:
    """Where files are kept, from the root: a daemon changes its working directory."""

    allowed: str = "an absolute path, such as /var/lib/otel-memory"

    def parse(self, raw: object) -> str:
        """Return the path as text; whether it exists shows when it is used."""
        if not isinstance(raw, (str, os.PathLike)):
            raise ValueError(raw)  # noqa: TRY004 - one error for "not allowed"
        path = os.fspath(raw)
        if not isinstance(path, str) or not os.path.isabs(path.strip()) or "\0" in path:  # noqa: PTH117 - of text
            raise ValueError(raw)
        return path.strip()


@dataclass(frozen=True)
class Setting:
    """One row of the README's settings table."""

    variable: str
    kind: Kind
    meaning: str


def _setting(default: Any, variable: str, kind: Kind, meaning: str) -> Any:
    return field(default=default, metadata={"setting": Setting(variable, kind, meaning)})


_INTERVAL: Final = Number("seconds", 0.05, 3600)
_PREFIX: Final = "OTEL_PYTHON_MEMORY_"
_MIN: Final = "min_interval_seconds"
_MAX: Final = "max_interval_seconds"


@dataclass(frozen=True, kw_only=True)
class MemoryConfig:
    """The settings of one instrumented process.

    Raises:
        ConfigError: A value is outside its range; the message names setting, value and range.
    """

    min_interval_seconds: float = _setting(
        0.5,
        variables.OTEL_PYTHON_MEMORY_MIN_INTERVAL_SECONDS,
        _INTERVAL,
        "Shortest time between two samples: a busy or fast-changing process, or a limit is near.",
    )
    max_interval_seconds: float = _setting(
        10.0,
        variables.OTEL_PYTHON_MEMORY_MAX_INTERVAL_SECONDS,
        _INTERVAL,
        "Longest time between two samples: a quiet process.",
    )
    background_sampling: bool = _setting(
        True,  # noqa: FBT003
        variables.OTEL_PYTHON_MEMORY_BACKGROUND_SAMPLING,
        Flag(),
        "Sample in a thread between metric collections; if false, only collections take samples.",
    )
    budget_percent: float = _setting(
        0.03,
        variables.OTEL_PYTHON_MEMORY_BUDGET_PERCENT,
        Number("percent of one core", 0.001, 100),
        "CPU time that sampling may use; a source that becomes dear is read less often to keep it.",
    )
    limit_bytes: int | None = _setting(
        None,
        variables.OTEL_PYTHON_MEMORY_LIMIT_BYTES,
        Size(minimum=2**20),
        "A limit that the platform does not tell. The smallest of all limits counts.",
    )
    process_metrics: bool = _setting(
        True,  # noqa: FBT003
        variables.OTEL_PYTHON_MEMORY_PROCESS_METRICS,
        Flag(),
        "Report process.memory.usage and process.memory.virtual; false where system-metrics does.",
    )
    baseline_directory: str | None = _setting(
        None,
        variables.OTEL_PYTHON_MEMORY_BASELINE_DIRECTORY,
        Directory(),
        "Keeps what was normal for the next start; needs OTEL_SERVICE_NAME; none keeps no files.",
    )
    evidence: bool = _setting(
        True,  # noqa: FBT003
        variables.OTEL_PYTHON_MEMORY_EVIDENCE,
        Flag(),
        "While risk is raised, look for what leaks: container, type, code line, route.",
    )
    evidence_budget_percent: float = _setting(
        1.0,
        variables.OTEL_PYTHON_MEMORY_EVIDENCE_BUDGET_PERCENT,
        Number("percent of one core", 0.1, 100),
        "CPU time that an investigation may use; with less it takes longer.",
    )
    evidence_pause_seconds: float = _setting(
        0.05,
        variables.OTEL_PYTHON_MEMORY_EVIDENCE_PAUSE_SECONDS,
        Number("seconds", 0.01, 10),
        "Longest stop of the process to list its objects; a large heap needs more to be counted.",
    )
    evidence_frames: int = _setting(
        1,
        variables.OTEL_PYTHON_MEMORY_EVIDENCE_FRAMES,
        Whole("frames", 1, 25),
        "Lines of the call stack kept of an allocation; each one more costs the application time.",
    )
    request_watch_bytes: int | None = _setting(
        None,
        variables.OTEL_PYTHON_MEMORY_REQUEST_WATCH_BYTES,
        Size(minimum=1),
        "Record requests that keep at least this much and overlap no other; none watches none.",
    )
    snapshot_directory: str | None = _setting(
        None,
        variables.OTEL_PYTHON_MEMORY_SNAPSHOT_DIRECTORY,
        Directory(),
        "Where the evidence is written as files; none writes no files.",
    )
    snapshot_signal: bool = _setting(
        False,  # noqa: FBT003
        variables.OTEL_PYTHON_MEMORY_SNAPSHOT_SIGNAL,
        Flag(),
        "Investigate and write a snapshot on SIGUSR2; needs a snapshot directory.",
    )

    def __post_init__(self) -> None:
        for each in fields(self):
            raw = getattr(self, each.name)
            if raw is None and each.default is None:
                continue
            kind = each.metadata["setting"].kind
            object.__setattr__(self, each.name, _parse(each.name, raw, kind))
        if self.min_interval_seconds > self.max_interval_seconds:
            raise ConfigError(
                f"{_MIN}={self.min_interval_seconds:g} and {_MAX}={self.max_interval_seconds:g}: "
                "expected the first to be at most the second"
            )

    @classmethod
    def resolve(
        cls, options: Mapping[str, Any], environ: Mapping[str, str] | None = None
    ) -> MemoryConfig:
        """Return the settings in force: `options` first, then the environment, then defaults.

        A bad variable is logged once as a warning and its default is used. An option that is None
        counts as not given. Where one of the two intervals is given, the default of the other
        gives way to it.

        Raises:
            ConfigError: An option is unknown or has a value that is not allowed.
        """
        unknown = sorted(set(options) - set(settings()))
        if unknown:
            raise ConfigError(_unknown(unknown[0]))
        chosen = {name: value for name, value in options.items() if value is not None}
        inherited = _from_environment(os.environ if environ is None else environ, skip=chosen)
        try:
            return cls(**_reconciled({**inherited, **chosen}))
        except ConfigError as error:
            # Each variable is allowed by itself, so only the two intervals can disagree here.
            disputed = [name for name in inherited if name in {_MIN, _MAX}]
            kept = {name: value for name, value in inherited.items() if name not in disputed}
            config = cls(**_reconciled({**kept, **chosen}))
            ignored = ", ".join(settings()[name].variable for name in disputed)
            _logger.warning("%s; ignoring %s", error, ignored)
            return config


def settings() -> dict[str, Setting]:
    """Return every setting by its field name."""
    return {each.name: each.metadata["setting"] for each in fields(MemoryConfig)}


def allowed_options(options: Mapping[str, Any], origin: str) -> dict[str, Any]:
    """Return the options that are allowed; each other one is logged once as a warning.

    Args:
        options: What a file says, for which nobody could catch an error.
        origin: What to call that file.
    """
    allowed: dict[str, Any] = {}
    for name, raw in options.items():
        if name not in settings():
            problem = _unknown(name, raw)
            _logger.warning("%s: %s; ignoring it", origin, problem)
        elif raw is not None:
            try:
                allowed[name] = _parse(name, raw, settings()[name].kind)
            except ConfigError as error:
                _logger.warning("%s: %s; using its variable or the default", origin, error)
    try:
        MemoryConfig.resolve(allowed, {})
    except ConfigError as error:
        # Each is allowed by itself, so it is the two intervals.
        _logger.warning("%s: %s; using their variables or the defaults", origin, error)
        return {name: value for name, value in allowed.items() if name not in {_MIN, _MAX}}
    return allowed


def service_identity(environ: Mapping[str, str] | None = None) -> tuple[str, str, str]:
    """Return the service's name, version and instance id as the environment gives them.

    Each is empty when it is not given.
    """
    environ = os.environ if environ is None else environ
    pairs = environ.get("OTEL_RESOURCE_ATTRIBUTES", "").split(",")
    attributes = {
        name.strip(): value.strip()
        for name, separator, value in (pair.partition("=") for pair in pairs)
        if separator
    }
    name = environ.get("OTEL_SERVICE_NAME", "").strip() or attributes.get("service.name", "")
    version = attributes.get("service.version", "")
    return name, version, attributes.get("service.instance.id", "")


def _reconciled(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the same with the interval that is not given, where its default is in the way."""
    name, other, nearer = (_MIN, _MAX, max) if _MIN in given else (_MAX, _MIN, min)
    if name not in given or other in given:
        return dict(given)
    interval = _parse(name, given[name], _INTERVAL)
    return {**given, other: nearer(interval, getattr(MemoryConfig, other))}


def _unknown(name: str, raw: object = None) -> str:
    close = difflib.get_close_matches(name, settings(), n=1)
    hint = f"; did you mean {close[0]}?" if close else ""
    written = name if raw is None else f"{name}={raw!r}"
    return f"{written}: unknown setting, expected one of {', '.join(settings())}{hint}"


def _warn_of_unknown_variables(environ: Mapping[str, str]) -> None:
    known = [setting.variable for setting in settings().values()]
    for name in sorted(environ):
        if name.startswith(_PREFIX) and name not in known and environ[name].strip():
            close = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {close[0]}?" if close else f"expected one of {', '.join(known)}"
            _logger.warning("%s=%r: unknown variable, %s", name, environ[name], hint)


def _from_environment(environ: Mapping[str, str], skip: Mapping[str, Any]) -> dict[str, Any]:
    _warn_of_unknown_variables(environ)
    found = {}
    for name, setting in settings().items():
        raw = environ.get(setting.variable, "")
        if name in skip or not raw.strip():
            continue
        try:
            found[name] = _parse(setting.variable, raw, setting.kind)
        except ConfigError as error:
            _logger.warning("%s; using the default", error)
    return found


def _parse(name: str, raw: object, kind: Kind) -> Any:
    try:
        return kind.parse(raw)
    except (ValueError, OverflowError):
        raise ConfigError(f"{name}={raw!r}: expected {kind.allowed}") from None
