from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from opentelemetry.instrumentation.memory._commands.snapshot.layout import (
    Cell,
    Section,
    number,
    plain,
)

SENTENCE = "dict of shop.models.Session at shop.cache._sessions grows by 19 500 entries in a minute"
word = st.text("abc.-", min_size=1, max_size=30)


def test_sentence_goes_on_below_itself() -> None:
    section = Section("Answer", [[Cell("kind"), Cell("a")], [Cell("why"), Cell(SENTENCE)]])
    assert plain([section], 50) == (
        "Answer\n"
        "  kind  a\n"
        "  why   dict of shop.models.Session at\n"
        "        shop.cache._sessions grows by 19 500\n"
        "        entries in a minute\n"
    )


def test_column_that_would_be_too_narrow_goes_on_at_the_left() -> None:
    section = Section("Answer", [[Cell("shop.cache._sessions"), Cell("12 of 19 and no more")]])
    assert plain([section], 40) == ("Answer\n  shop.cache._sessions  12 of 19 and no\n    more\n")


def test_word_that_does_not_fit_behind_its_name_is_not_broken() -> None:
    section = Section("Answer", [[Cell("n" * 30), Cell("shop.cache._sessions grows")]])
    assert plain([section], 40) == f"Answer\n  {'n' * 30}\n    shop.cache._sessions grows\n"


def test_pipe_gets_whole_lines() -> None:
    assert SENTENCE in plain([Section("Answer", [[Cell("why"), Cell(SENTENCE)]])])


@given(
    st.lists(st.tuples(word, st.lists(word, min_size=1, max_size=20)), min_size=1, max_size=5),
    st.integers(40, 120),
)
def test_no_word_is_lost_and_no_line_is_too_long(
    rows: list[tuple[str, list[str]]], width: int
) -> None:
    section = Section("Title", [[number(name), Cell(" ".join(said))] for name, said in rows])
    shown = plain([section], width)
    assert all(len(line) <= width for line in shown.splitlines())
    assert shown.split() == ["Title", *(part for name, said in rows for part in (name, *said))]
