"""Asks Prometheus what Grafana would ask for a dashboard, with variables filled in as it does."""

from __future__ import annotations

import json
import re
import urllib.parse
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tests.tools import get_json

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

ALL = "All"
_LABEL_VALUES = re.compile(r"label_values\((?P<selector>.+), *(?P<label>\w+)\)")
_VARIABLE = re.compile(r"\$\{(\w+)\}|\$(\w+)")

Series = dict[str, Any]
Choice = str | list[str]


@dataclass(frozen=True)
class Span:
    """What is looked at: Unix seconds, and how many points a panel has room for.

    Attributes:
        begin: Of the time range.
        end: Of the time range; tables and figures are of this moment.
        interval_seconds: What the data source is told to be the time between two values.
        points: `maxDataPoints` of a panel.
    """

    begin: float
    end: float
    interval_seconds: int = 1
    points: int = 150

    @property
    def seconds(self) -> float:
        """Return its length."""
        return self.end - self.begin

    @property
    def step_seconds(self) -> int:
        """Return `$__interval`."""
        return max(round(self.seconds / self.points), self.interval_seconds)

    def variables(self) -> dict[str, str]:
        """Return what Grafana brings itself, by the rules of its Prometheus source."""
        pace = max(self.step_seconds + self.interval_seconds, 4 * self.interval_seconds)
        return {
            "__interval": f"{self.step_seconds}s",
            "__rate_interval": f"{pace}s",
            "__range": f"{round(self.seconds)}s",
        }


@dataclass(frozen=True)
class Panel:
    """A panel as it is shown: repeated ones are several.

    Attributes:
        title: With variables filled in.
        definition: From the dashboard's JSON.
        scope: The variables as chosen; in a repeated panel one value of the one it is repeated for.
    """

    title: str
    definition: Mapping[str, Any]
    scope: Mapping[str, Choice] = field(repr=False)

    def targets(self) -> list[dict[str, Any]]:
        """Return its queries as they stand in the JSON."""
        return list(self.definition["targets"])


class Board:
    """A dashboard that is opened on a Prometheus server.

    Args:
        file: The dashboard's JSON.
        url: Of the server.
        span: Of time that is looked at.
        chosen: Variables that the reader sets; others are All, or the first value there is.
    """

    def __init__(self, file: Path, url: str, span: Span, **chosen: str) -> None:
        self.json: dict[str, Any] = json.loads(file.read_text())
        self.span = span
        self._url = url
        self.scope: dict[str, Choice] = {}
        self.values: dict[str, list[str]] = {}
        self._all_values: dict[str, str] = {}
        for variable in self.json["templating"]["list"]:
            if variable["type"] == "query":
                self._choose(variable, chosen.get(variable["name"]))

    def _choose(self, variable: Mapping[str, Any], chosen: str | None) -> None:
        name = variable["name"]
        matched = _LABEL_VALUES.fullmatch(variable["query"])
        assert matched is not None, variable["query"]
        selector = self.filled_in(matched["selector"], self.scope)
        path = f"label/{matched['label']}/values"
        self.values[name] = sorted(self._get(path, **{"match[]": selector}, **self._range()))
        if chosen is not None:
            assert chosen in self.values[name], (name, chosen, self.values[name])
            self.scope[name] = [chosen] if variable.get("multi") else chosen
        elif variable.get("includeAll"):
            self.scope[name] = ALL
            self._all_values[name] = variable["allValue"]
        else:
            self.scope[name] = self.values[name][0]

    def panels(self) -> Iterator[Panel]:
        """Return the panels in reading order."""
        for each in self.json["panels"]:
            repeated = each.get("repeat")
            for value in self.values[repeated] if repeated else [None]:
                scope = self.scope if value is None else {**self.scope, repeated: [value]}
                shown = {name: _text(choice) for name, choice in scope.items()}
                yield Panel(fill_in(each["title"], shown), each, scope)

    def ask(self, target: Mapping[str, Any], scope: Mapping[str, Choice]) -> list[Series]:
        """Return the series of a panel's query: over time, or of the end where it is instant."""
        expr = self.filled_in(target["expr"], scope)
        if target.get("instant"):
            return self._query("query", query=expr, time=self.span.end)
        return self._query("query_range", query=expr, step=self.span.step_seconds, **self._range())

    def annotations(self) -> dict[str, list[Series]]:
        """Return the series that each annotation is made of, by its name."""
        found = {}
        for each in self.json["annotations"]["list"]:
            expr = self.filled_in(each["expr"], self.scope)
            step = self.span.interval_seconds
            found[each["name"]] = self._query("query_range", query=expr, step=step, **self._range())
        return found

    def filled_in(self, text: str, scope: Mapping[str, Choice]) -> str:
        """Return an expression with its variables filled in."""
        known = {
            name: self._all_values[name] if choice == ALL else _matcher(choice)
            for name, choice in scope.items()
        }
        return fill_in(text, {**self.span.variables(), **known})

    def _range(self) -> dict[str, float]:
        return {"start": self.span.begin, "end": self.span.end}

    def _query(self, path: str, **options: object) -> list[Series]:
        return list(self._get(path, **options)["result"])

    def _get(self, path: str, **options: object) -> Any:
        answer = get_json(f"{self._url}/api/v1/{path}?{urllib.parse.urlencode(options)}")
        assert answer["status"] == "success", answer
        return answer["data"]


def fill_in(text: str, values: Mapping[str, str]) -> str:
    """Return a text with `$name` and `${name}` replaced; each of them must be known."""
    return _VARIABLE.sub(lambda found: values[found[1] or found[2]], text)


def _matcher(choice: Choice) -> str:
    """Return what a choice is within `=~"..."`."""
    if isinstance(choice, str):
        return choice
    # Twice, as Grafana does: once for the regular expression, once for the string around it.
    escaped = [re.sub(r"[$^*{}\[\]'+?.()|]", r"\\\\\g<0>", each) for each in choice]
    return escaped[0] if len(escaped) == 1 else f"({'|'.join(escaped)})"


def _text(choice: Choice) -> str:
    return choice if isinstance(choice, str) else " + ".join(choice)


def samples(series: Sequence[Series]) -> list[float]:
    """Return the values of all series."""
    return [
        float(value)
        for each in series
        for _, value in each.get("values", [each.get("value")])
        if value is not None
    ]
