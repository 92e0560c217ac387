"""Every setting of `opentelemetry-memory watch`: flag, variable, default, range."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

VARIABLE_PREFIX: Final = "MEMORY_WATCH_"
OFF: Final = "off"


class Address(NamedTuple):
    """Where to listen."""

    host: str
    port: int

    @property
    def is_loopback(self) -> bool:
        """Return whether only this machine can reach it."""
        return self.host in {"localhost", "::1"} or self.host.startswith("127.")

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


_GRPC: Final = Address("127.0.0.1", 4327)
_HTTP: Final = Address("127.0.0.1", 4328)


@dataclass(frozen=True, slots=True)
class WatchSettings:
    """How to watch; `SETTINGS` says what each means."""

    grpc: Address | None = _GRPC
    http: Address | None = _HTTP
    state_directory: str | None = None
    save_interval_seconds: float = 300.0
    max_series: int = 20_000
    idle_seconds: float = 3600.0
    max_future_seconds: float = 300.0
    max_age_seconds: float = 3600.0
    settle_seconds: float = 2.0
    max_request_bytes: int = 16 * 2**20
    max_waiting_requests: int = 32
    judge_all: bool = False
    token_file: str | None = None
    tls_certificate: str | None = None
    tls_key: str | None = None
    tls_client_ca: str | None = None

    def mistake(self) -> str | None:
        """Return what is wrong with the settings as a whole."""
        if self.grpc is None and self.http is None:
            return "--grpc and --http are both off: nothing could arrive"
        if (self.tls_certificate is None) != (self.tls_key is None):
            return "--tls-certificate and --tls-key need each other"
        if self.tls_client_ca is not None and self.tls_certificate is None:
            return "--tls-client-ca needs --tls-certificate and --tls-key"
        return None


def _address(text: str) -> Address | None:
    if text.lower() == OFF:
        return None
    match = re.fullmatch(r"(?:\[([0-9a-fA-F:]+)\]|([^:\s]+)):(\d{1,5})", text)
    if match is None or not int(match[3]) <= 65535:  # noqa: PLR2004 - the largest port
        raise ValueError(f"{text!r}: expected HOST:PORT, such as 127.0.0.1:4327, or {OFF}")
    return Address(match[1] or match[2], int(match[3]))


def _number(least: float, most: float, unit: str) -> Callable[[str], float]:
    def parse(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not least <= value <= most:
            raise ValueError(f"{text!r}: expected {unit} between {least:g} and {most:g}")
        return value

    return parse


def _count(least: int, most: int, unit: str) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not text.isdecimal() or not least <= int(text) <= most:
            raise ValueError(f"{text!r}: expected {unit} between {least} and {most}")
        return int(text)

    return parse


def _truth(text: str) -> bool:
    known = {"true": True, "1": True, "false": False, "0": False}
    if text.lower() not in known:
        raise ValueError(f"{text!r}: expected true or false (or 1, 0)")
    return known[text.lower()]


def _path(text: str) -> str:
    if not text:
        raise ValueError("expected a path")
    return text


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting: how to read it, and what it means."""

    name: str
    metavar: str
    parse: Callable[[str], Any]
    meaning: str

    @property
    def flag(self) -> str:
        """Return its flag."""
        return f"--{self.name.replace('_', '-')}"

    @property
    def variable(self) -> str:
        """Return its environment variable."""
        return f"{VARIABLE_PREFIX}{self.name.upper()}"

    @property
    def default(self) -> Any:
        """Return its default."""
        return next(each.default for each in fields(WatchSettings) if each.name == self.name)

    @property
    def default_text(self) -> str:
        """Return its default as one would write it."""
        if self.default is None:
            return "none"
        if isinstance(self.default, bool):
            return str(self.default).lower()
        return f"{self.default:g}" if isinstance(self.default, float) else str(self.default)


_YEAR: Final = 366 * 86_400.0
_A_CENTURY: Final = 100 * _YEAR

SETTINGS: Final = (
    Setting("grpc", "HOST:PORT", _address, "where OTLP over gRPC is received, or off"),
    Setting("http", "HOST:PORT", _address, "where OTLP over HTTP is received, or off"),
    Setting(
        "state_directory",
        "PATH",
        _path,
        "where the state is kept, of one instance; none: every start begins anew",
    ),
    Setting(
        "save_interval_seconds",
        "SECONDS",
        _number(1, 86_400, "seconds"),
        "how often all of the state is written",
    ),
    Setting(
        "max_series",
        "N",
        _count(1, 10_000_000, "a number of processes"),
        "the most processes; more are refused, and counted",
    ),
    Setting(
        "idle_seconds",
        "SECONDS",
        _number(1, _YEAR, "seconds"),
        "a process that sent nothing for so long is forgotten",
    ),
    Setting(
        "max_future_seconds",
        "SECONDS",
        _number(0, _A_CENTURY, "seconds"),
        "points later than now by more are rejected",
    ),
    Setting(
        "max_age_seconds",
        "SECONDS",
        _number(1, _A_CENTURY, "seconds"),
        "points older than this are rejected",
    ),
    Setting(
        "settle_seconds",
        "SECONDS",
        _number(0.01, 3600, "seconds"),
        "how long to wait for the rest of a moment that looks incomplete",
    ),
    Setting(
        "max_request_bytes", "BYTES", _count(1024, 2**30, "bytes"), "the largest request, unpacked"
    ),
    Setting(
        "max_waiting_requests",
        "N",
        _count(1, 1024, "a number of requests"),
        "requests that may wait; more are told to come back later",
    ),
    Setting("judge_all", "BOOL", _truth, "also judge processes that judge themselves"),
    Setting("token_file", "PATH", _path, "a file with the bearer token that senders must show"),
    Setting("tls_certificate", "PATH", _path, "certificate chain (PEM): listen with TLS"),
    Setting("tls_key", "PATH", _path, "its private key (PEM)"),
    Setting(
        "tls_client_ca",
        "PATH",
        _path,
        "authorities (PEM) that a sender's certificate must be signed by",
    ),
)
"""All settings, in the order of the documentation."""


def from_environment(environment: Mapping[str, str]) -> dict[str, Any]:
    """Return the settings that variables set.

    Raises:
        ValueError: One of them is not allowed; the message names it.
    """
    found = {}
    for setting in SETTINGS:
        text = environment.get(setting.variable, "")
        if not text:
            continue
        try:
            found[setting.name] = setting.parse(text)
        except ValueError as error:
            raise ValueError(f"{setting.variable}={error}") from None
    return found
