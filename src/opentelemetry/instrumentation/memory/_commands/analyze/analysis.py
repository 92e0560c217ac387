"""One input from its bytes to its judgements."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal

from opentelemetry.instrumentation.memory._commands.analyze import csv_rows, otlp, prometheus
from opentelemetry.instrumentation.memory._commands.analyze.course import Course
from opentelemetry.instrumentation.memory._commands.analyze.judgement import SeriesJudge
from opentelemetry.instrumentation.memory._commands.analyze.naming import METRICS, series_names
from opentelemetry.instrumentation.memory._commands.analyze.opening import Input
from opentelemetry.instrumentation.memory._commands.analyze.problems import (
    InputError,
    Problem,
    Problems,
    quoted,
)
from opentelemetry.instrumentation.memory._commands.analyze.server import (
    RangeQuery,
    read_server,
    without_password,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from opentelemetry.instrumentation.memory._commands.analyze.judgement import Judgement
    from opentelemetry.instrumentation.memory._commands.sample import Labels
    from opentelemetry.instrumentation.memory.model import MemorySample

    Samples = Iterator[tuple[Labels, MemorySample]]
    Progress = Iterator[tuple[int, float | None]]
    OnProgress = Callable[[str, int, float | None], None]

Format = Literal["csv", "otlp", "prometheus"]
FORMATS: Final[tuple[Format, ...]] = ("csv", "otlp", "prometheus")
_OTLP_KEYS: Final = re.compile(rb'"resource(Metrics|Logs|Spans|Profiles)"')
_PROMETHEUS_KEYS: Final = re.compile(rb'"(resultType|errorType|data)"')
_SAMPLES_A_REPORT: Final = 1024


@dataclass(frozen=True, slots=True)
class SeriesOutcome:
    """One series of an input; the name is empty where there is only one."""

    series: str
    judgement: Judgement
    course: Course | None


@dataclass(slots=True)
class InputOutcome:
    """What became of one input."""

    name: str
    series: list[SeriesOutcome] = field(default_factory=list)
    problems: Problems = field(default_factory=Problems)


def analyze(
    source: str | RangeQuery, chosen: Format | None, on_progress: OnProgress, *, has_course: bool
) -> InputOutcome:
    """Return the judgement of every series of an input, and what was wrong with it.

    Never raises for anything that an input contains. Memory does not grow with the length of a
    file; it does with the number of its series, and with the size of one answer of Prometheus.
    """
    name = without_password(source.url) if isinstance(source, RangeQuery) else source
    outcome = InputOutcome(name)
    judges: dict[Labels, SeriesJudge] = {}
    try:
        counts = (
            _judge_answers(source, judges, outcome.problems, has_course=has_course)
            if isinstance(source, RangeQuery)
            else _judge_file(source, chosen, judges, outcome.problems, has_course=has_course)
        )
        for count, share in counts:
            on_progress(name, count, share)
        if not judges:
            _complain_of_nothing(outcome.problems)
    except InputError as error:
        outcome.problems.end(error.problem)
    labels = sorted(judges)
    names = series_names(labels) if len(labels) > 1 else [""] * len(labels)
    outcome.series = [
        SeriesOutcome(each, judges[key].judgement(), judges[key].course)
        for each, key in zip(names, labels, strict=True)
    ]
    return outcome


def _judge_file(
    name: str,
    chosen: Format | None,
    judges: dict[Labels, SeriesJudge],
    problems: Problems,
    *,
    has_course: bool,
) -> Progress:
    with Input(name) as opened:
        samples = _samples(opened, chosen or _guess(opened.first_bytes), problems)
        for count in _judged(samples, judges, has_course=has_course):
            yield count, opened.share_read()


def _judge_answers(
    query: RangeQuery, judges: dict[Labels, SeriesJudge], problems: Problems, *, has_course: bool
) -> Progress:
    share = 0.0

    def on_page(read: float) -> None:
        nonlocal share
        share = read

    samples = read_server(query, problems, on_page)
    for count in _judged(samples, judges, has_course=has_course):
        yield count, share


def _judged(
    samples: Samples, judges: dict[Labels, SeriesJudge], *, has_course: bool
) -> Iterator[int]:
    """Judge sample after sample; yield their count now and then."""
    for count, (labels, sample) in enumerate(samples, 1):
        judge = judges.get(labels)
        if judge is None:
            judge = judges[labels] = SeriesJudge(Course() if has_course else None)
        judge.add(sample)
        if count % _SAMPLES_A_REPORT == 0:
            yield count


def _samples(opened: Input, chosen: Format, problems: Problems) -> Samples:
    if chosen == "csv":
        return csv_rows.read_csv(opened.lines(csv_rows.LONGEST_LINE_BYTES), problems)
    if chosen == "otlp":
        return otlp.read_otlp(opened.lines(otlp.LONGEST_LINE_BYTES), problems)
    longest = prometheus.LONGEST_ANSWER_BYTES
    text = "".join(opened.lines(longest))
    return prometheus.MatrixReader(problems).read(text)


def _guess(first: bytes) -> Format:
    start = first.removeprefix(b"\xef\xbb\xbf").lstrip()
    if not start.startswith((b"{", b"[")):
        return "csv"
    if _OTLP_KEYS.search(start):
        return "otlp"
    if _PROMETHEUS_KEYS.search(start):
        return "prometheus"
    raise InputError(
        Problem(
            quoted(start[:40].decode("utf-8", "backslashreplace")),
            "CSV with a header, OTLP JSON lines with resourceMetrics, or an answer of Prometheus' "
            "query_range",
        )
    )


def _complain_of_nothing(problems: Problems) -> None:
    if problems.missing:
        found, expected = "no resident set size", "at least one moment that has one"
    elif problems.count:
        return
    else:
        found, expected = "no sample", f"rows of CSV, or a metric of {', '.join(METRICS)}"
    raise InputError(Problem(found, expected))
