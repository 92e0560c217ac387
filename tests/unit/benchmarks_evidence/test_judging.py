"""The rules of the exam, on evidence written by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from judging import judge, marked_lines
from truths import Answer, Truth

if TYPE_CHECKING:
    from pathlib import Path

TRUTH = Truth(
    "sessions",
    "shop",
    "sessions that nobody closes",
    (Answer("container", "shop.sessions.*"), Answer("type", "shop.models.Session")),
)
MARKED = frozenset({"shop/sessions.py:14"})


def evidence(kind: str, culprit: str | None, **lists: list[dict[str, Any]]) -> dict[str, Any]:
    nothing: dict[str, Any] = {
        name: [] for name in ("containers", "types", "sites", "routes", "mappings")
    }
    conclusion = {"kind": kind, "culprit": culprit, "confidence": 0.8, "sentence": ""}
    return {**nothing, "conclusion": conclusion, **lists}


@pytest.mark.parametrize(
    ("kind", "culprit", "preference"),
    [
        ("container", "shop.sessions._sessions", 1),
        ("container", "shop.sessions._sessions (dict)", 1),
        ("type", "shop.models.Session", 2),
        ("site", "shop/sessions.py:14", 3),
        ("site", "programs/sessions/shop/sessions.py:14", 3),
    ],
)
def test_each_right_answer_is_right_and_has_its_preference(
    kind: str, culprit: str, preference: int
) -> None:
    judgement = judge(evidence(kind, culprit), TRUTH, MARKED)
    assert (judgement.outcome, judgement.preference) == ("right", preference)


@pytest.mark.parametrize(
    ("kind", "culprit"),
    [
        ("container", "shop.prices._prices"),
        # The right name under the wrong kind leads nowhere.
        ("type", "shop.sessions._sessions"),
        ("site", "shop/sessions.py:141"),
        ("site", "workshop/sessions.py:14"),
        ("site", "logging/__init__.py:14"),
        ("native", None),
        ("fragmentation", "free memory"),
    ],
)
def test_any_other_name_is_wrong(kind: str, culprit: str | None) -> None:
    assert judge(evidence(kind, culprit), TRUTH, MARKED).outcome == "wrong"


def test_unsure_is_neither_right_nor_wrong_whatever_it_points_at() -> None:
    told = evidence("unsure", None, types=[{"type_name": "shop.models.Session"}])
    judgement = judge(told, TRUTH, MARKED)
    assert (judgement.outcome, judgement.preference) == ("unsure", None)


def test_no_snapshot_is_no_evidence() -> None:
    assert judge(None, TRUTH, MARKED).outcome == "no evidence"


def test_culprit_further_down_has_its_rank_in_each_list() -> None:
    told = evidence(
        "site",
        "shop/prices.py:3",
        containers=[
            {
                "path": None,
                "container_type": "list",
                "element_types": [{"type_name": "int", "count": 3}],
                "held_by": None,
            },
            {"path": "shop.sessions._sessions", "container_type": "dict"},
        ],
        sites=[{"site": "shop/prices.py:3"}, {"site": "x.py:1"}, {"site": "shop/sessions.py:14"}],
        types=[{"type_name": "dict"}],
    )
    judgement = judge(told, TRUTH, MARKED)
    assert judgement.outcome == "wrong"
    assert judgement.ranks == {"containers": 2, "sites": 3}


def test_marked_lines_are_found_in_python_and_in_c(tmp_path: Path) -> None:
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "a.py").write_text("one = 1\ntwo = []  # culprit\n# culprits are not\n")
    (tmp_path / "shop" / "b.c").write_text("x;\n\nmalloc(1); /* culprit */\n")
    (tmp_path / "shop" / "c.txt").write_text("two = []  # culprit\n")
    assert marked_lines(tmp_path) == {"shop/a.py:2", "shop/b.c:3"}
