"""Whether a snapshot's answer is right, unsure or wrong, and where the culprit stands in its lists.

Three outcomes, for the conclusion alone: *right* if its kind and name fit an answer in `truths.py`
or, for a site, a line that the program has marked; *unsure* if it says so; *wrong* for any other
name. A culprit further down in a list is worth its rank in the report, and no point.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, Final, Literal

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from truths import Truth

Outcome = Literal["right", "unsure", "wrong", "no evidence"]

_MARK: Final = "# culprit"
_MARK_IN_C: Final = "/* culprit */"


@dataclass(frozen=True)
class Judgement:
    """What a snapshot is worth.

    Attributes:
        outcome: For the conclusion.
        answer: What it says: its kind and its name.
        confidence: As the conclusion has it.
        preference: Which of the truth's answers it is, from 1 on; the marked lines come last.
        ranks: Where each list has the culprit, from 1 on; lists without it are missing.
    """

    outcome: Outcome
    answer: str
    confidence: float | None
    preference: int | None
    ranks: Mapping[str, int]


def marked_lines(program: Path) -> frozenset[str]:
    """Return the lines that a program calls culprits, as `shop/sessions.py:14`."""
    return frozenset(
        f"{file.relative_to(program).as_posix()}:{number}"
        for file in sorted(program.rglob("*.[pc]*"))
        if file.suffix in {".py", ".c"}
        for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1)
        if line.rstrip().endswith((_MARK, _MARK_IN_C))
    )


def judge(evidence: Mapping[str, Any] | None, truth: Truth, marked: frozenset[str]) -> Judgement:
    """Return what the evidence of a snapshot is worth; None is no evidence at all."""
    if evidence is None:
        return Judgement("no evidence", "", None, None, {})
    conclusion = evidence["conclusion"]
    kind, name = conclusion["kind"], conclusion["culprit"]
    place = None if kind == "unsure" else preference(kind, name or "", truth, marked)
    outcome: Outcome = "unsure" if kind == "unsure" else "wrong" if place is None else "right"
    answer = kind if name is None else f"{kind} {name}"
    ranks = _ranks(evidence, truth, marked)
    return Judgement(outcome, answer, conclusion["confidence"], place, ranks)


def preference(kind: str, name: str, truth: Truth, marked: frozenset[str]) -> int | None:
    """Return which right answer this is, from 1 on, or None if it is none of them."""
    # A container may be followed by its type: `shop.sessions._sessions (dict)`.
    names = {name, re.sub(r" \([^()]*\)$", "", name)}
    for place, answer in enumerate(truth.answers, 1):
        if answer.kind == kind and any(fnmatchcase(each, answer.name) for each in names):
            return place
    if kind == "site" and any(name == line or name.endswith(f"/{line}") for line in marked):
        return len(truth.answers) + 1
    return None


def _container_name(row: Mapping[str, Any]) -> str:
    if row["path"] is not None:
        return str(row["path"])
    elements = [str(element["type_name"]) for element in row["element_types"][:1]]
    return " of ".join([row["container_type"], *elements]) + (row["held_by"] or "")


_LISTS: Final[dict[str, tuple[str, Callable[[Mapping[str, Any]], str]]]] = {
    "containers": ("container", _container_name),
    "types": ("type", lambda row: str(row["type_name"])),
    "sites": ("site", lambda row: str(row["site"])),
    "routes": ("route", lambda row: str(row["route"])),
    "mappings": ("mapping", lambda row: str(row["mapping"])),
}


def _ranks(evidence: Mapping[str, Any], truth: Truth, marked: frozenset[str]) -> dict[str, int]:
    ranks = {}
    for name, (kind, read) in _LISTS.items():
        for rank, row in enumerate(evidence[name], 1):
            if preference(kind, read(row), truth, marked) is not None:
                ranks[name] = rank
                break
    return ranks
