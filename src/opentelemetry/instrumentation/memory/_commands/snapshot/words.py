"""The values of a document in words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from opentelemetry.instrumentation.memory._commands.analyze.figures import duration, rate, size
from opentelemetry.instrumentation.memory._commands.analyze.problems import printable
from opentelemetry.instrumentation.memory._commands.snapshot.layout import Cell

if TYPE_CHECKING:
    from collections.abc import Mapping

NOTHING: Final = "-"
SHOWN_CHARACTERS: Final = 200
_WHY: Final = {
    "confirmed": "the leak was confirmed",
    "fragmentation": "free memory that allocators keep has grown",
    "near_limit": "the memory limit was near",
    "signal": "SIGUSR2 asked for it",
    "api": "the application asked for it",
}
STYLES: Final = {"confirmed": "bold red", "suspected": "yellow", "recovered": "cyan"}


def text(value: str | None) -> str:
    """Return a text of a document, safe to print."""
    return NOTHING if value is None else printable(value, SHOWN_CHARACTERS)


def size_or_nothing(value: float | None) -> str:
    """Return bytes, or a dash where they are unknown."""
    return NOTHING if value is None else size(value)


def signed_size(value: float | None) -> str:
    """Return a change in bytes with its sign."""
    return NOTHING if value is None else f"{'+' if value >= 0 else '-'}{size(abs(value))}"


def count(value: int) -> str:
    """Return a count with its thousands apart."""
    return f"{value:,}".replace(",", " ")


def signed_count(value: int) -> str:
    """Return a change of a count with its sign."""
    return f"{'+' if value >= 0 else '-'}{count(abs(value))}"


def origin(document: Mapping[str, Any]) -> str:
    """Return whose memory it is."""
    service, process = document["service"], document["process"]
    name = " ".join(text(each) for each in (service["name"], service["version"]) if each)
    process_id = f"process {process['pid']}"
    return f"{name}, {process_id}" if name else process_id


def moment(document: Mapping[str, Any]) -> str:
    """Return when it was written, to the second."""
    return text(document["written_at"]).replace("T", " ")[:19] + "Z"


def circumstances(document: Mapping[str, Any]) -> str:
    """Return why it was written, and by what."""
    process, package = document["process"], document["package"]
    up_seconds = process["uptime_seconds"]
    parts = [f"written because {_WHY[document['reason']]}"]
    if up_seconds is not None:
        parts.append(f"up for {duration(up_seconds)}")
    parts.append(f"{text(process['runtime_name'])} {text(process['runtime_version'])}")
    parts.append(f"{text(package['name'])} {text(package['version'])}")
    return "; ".join(parts)


def verdict(document: Mapping[str, Any]) -> list[list[Cell]]:
    """Return what the detector thinks, in two lines."""
    judged = document["verdict"]
    if judged is None:
        return [[Cell("none: there was no sample yet")]]
    state = judged["state"]
    risk = NOTHING if judged["risk"] is None else f"{judged['risk']:.2f}"
    parts = [f"{state.replace('_', ' ')}, risk {risk}"]
    parts += [
        f"{each['segment']} grows by {rate(each['bytes_per_second'])}" for each in judged["growth"]
    ]
    if judged["time_to_exhaustion_seconds"] is not None:
        parts.append(f"the limit is reached in {duration(judged['time_to_exhaustion_seconds'])}")
    return [[Cell("; ".join(parts), STYLES.get(state, ""))], [Cell(text(judged["reason"]))]]


def ratio(value: float | None) -> str:
    """Return a share in percent."""
    return NOTHING if value is None else f"{value * 100:.0f} %"
