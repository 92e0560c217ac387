"""Snapshots for tests: one like the real world's, and any that there could be."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, get_args

from hypothesis import strategies as st

from opentelemetry.instrumentation.memory import evidence as found
from opentelemetry.instrumentation.memory.model import (
    SEGMENTS,
    GcGeneration,
    Growth,
    LeakState,
    LeakVerdict,
    MemorySample,
    Partition,
)
from opentelemetry.instrumentation.memory.responders.identity import Identity
from opentelemetry.instrumentation.memory.responders.snapshot_document import (
    Moment,
    SnapshotReason,
    document,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hypothesis.strategies import SearchStrategy

MIB = 2**20
SHOP = Identity(4711, 11_520.0, "cpython", "3.12.4", "shop", "1.4.2", "shop-7d9f-2")
NOW = Moment(1_764_010_505.25, 12_000.0)
NOWHERE = Identity(1, None, "pypy", "3.10.14")


def sample(seconds: float = 12_000.0, grown_bytes: int = 0) -> MemorySample:
    """Return a sample of a process that leaks small objects."""
    parts = Partition(80 * MIB + grown_bytes, 40 * MIB, 12 * MIB, 9 * MIB, 30 * MIB, 0)
    resident = sum(value for _, value in parts.present())
    return MemorySample(
        taken_at_seconds=seconds,
        pid=4711,
        resident_bytes=resident,
        virtual_bytes=900 * MIB,
        partition=parts,
        heap_used_bytes=80 * MIB + grown_bytes,
        heap_committed_bytes=84 * MIB + grown_bytes,
        limit_bytes=512 * MIB,
        gc_generations=(GcGeneration(900, 3000, 0), GcGeneration(80, 500, 0)),
        python_heap_age_seconds=0.0,
        native_heap_age_seconds=4.5,
    )


def history(count: int = 200) -> tuple[MemorySample, ...]:
    """Return samples ten seconds apart, each a quarter of a MiB higher, up to now."""
    return tuple(
        sample(NOW.monotonic_seconds - 10.0 * (count - 1 - index), index * MIB // 4)
        for index in range(count)
    )


VERDICT = LeakVerdict(
    "confirmed",
    0.97,
    "python_heap",
    (Growth("python_heap", 26_214.4),),
    11_250.0,
    "python_heap rises by 1.5 MiB a minute for 33 min, and keeps its pace",
)

EVIDENCE = found.Evidence(
    segment="python_heap",
    segment_bytes_grown=3 * MIB,
    seconds=92.0,
    conclusion=found.Conclusion(
        "container",
        "shop.cache._sessions",
        0.93,
        "shop.cache._sessions (dict) keeps 19 500 more shop.models.Session, 93 % of the growth",
    ),
    types=(found.TypeGrowth("shop.models.Session", 12_400, 31_900, 2_808_000),),
    containers=(
        found.ContainerGrowth(
            "shop.cache._sessions", "dict", 12_400, 31_900,
            (("shop.models.Session", 64),), 2_925_000,
        ),
        found.ContainerGrowth(
            None, "list", 10, 900, (("bytes", 60), ("str", 4)), 84_000, "held outside Python"
        ),
    ),
    sites=(
        found.SiteGrowth(
            "shop/cache.py:18", ("shop/views.py:42",), 1_400_000, 9_700, 28_000.0
        ),
    ),
    routes=(found.RouteGrowth("/orders/{id}", 19_480, 151.2, 139.0, 163.5),),
    mappings=(found.MappingGrowth("anonymous", 40, 43, 90 * MIB, 93 * MIB),),
    allocator=found.AllocatorState(4, 9, 12 * MIB, 7 * MIB, None),
    advice=(found.Advice("bound shop.cache._sessions: it has 31 900 entries", 2_925_000),),
    costs=(
        found.Cost("containers", 0.31, 0.014, 900_000),
        found.Cost("sites", 0.052, 0.003, 2_100_000),
    ),
    skipped=(found.Skipped("routes", "no requests were counted"),),
)  # fmt: skip


def snapshot(reason: SnapshotReason = "confirmed", **instead: Any) -> dict[str, Any]:
    """Return a document of a real leak, with some of it replaced."""
    samples = history()
    given: dict[str, Any] = {
        "sample": samples[-1],
        "verdict": VERDICT,
        "history": samples,
        "evidence": EVIDENCE,
        "identity": SHOP,
        "now": NOW,
    }
    return document(reason, **{**given, **instead})


# --- anything ------------------------------------------------------------------------------

_SIZES = st.integers(0, 2**62)
_MAYBE = st.none() | _SIZES
_CHANGES = st.integers(-(2**62), 2**62)
_NUMBERS = st.floats()
_SEGMENTS = st.sampled_from(SEGMENTS)
_KINDS = st.sampled_from(get_args(found.EvidenceKind))


def texts(most: int = 300) -> SearchStrategy[str]:
    """Return texts with everything in it: surrogates, control characters, quotes."""
    return st.text(st.characters(codec=None), max_size=most)


def _many(of: SearchStrategy[Any], most: int = 3) -> SearchStrategy[tuple[Any, ...]]:
    return st.lists(of, max_size=most).map(tuple)


def evidences() -> SearchStrategy[found.Evidence]:
    """Return any evidence, also such as no investigation makes."""
    text, maybe_text = texts(), st.none() | texts()
    return st.builds(
        found.Evidence,
        segment=st.none() | _SEGMENTS,
        segment_bytes_grown=st.none() | _CHANGES,
        seconds=_NUMBERS,
        conclusion=st.builds(
            found.Conclusion,
            st.sampled_from(get_args(found.CulpritKind)),
            maybe_text,
            _NUMBERS,
            text,
        ),
        types=_many(st.builds(found.TypeGrowth, text, _SIZES, _SIZES, _CHANGES)),
        containers=_many(
            st.builds(
                found.ContainerGrowth, maybe_text, text, _SIZES, _SIZES,
                _many(st.tuples(text, _SIZES)), _CHANGES, maybe_text,
            )
        ),
        sites=_many(
            st.builds(
                found.SiteGrowth, text, _many(text), _CHANGES, _CHANGES, _NUMBERS, st.booleans()
            )
        ),
        routes=_many(st.builds(found.RouteGrowth, text, _SIZES, _NUMBERS, _NUMBERS, _NUMBERS)),
        mappings=_many(st.builds(found.MappingGrowth, text, _SIZES, _SIZES, _SIZES, _SIZES)),
        allocator=st.none()
        | st.builds(found.AllocatorState, *(_MAYBE,) * 8),
        advice=_many(st.builds(found.Advice, text, st.none() | _CHANGES)),
        costs=_many(st.builds(found.Cost, _KINDS, _NUMBERS, _NUMBERS, _SIZES)),
        skipped=_many(st.builds(found.Skipped, _KINDS, text)),
    )  # fmt: skip


def verdicts() -> SearchStrategy[LeakVerdict]:
    """Return any verdict."""
    return st.builds(
        LeakVerdict,
        st.sampled_from(get_args(LeakState)),
        _NUMBERS,
        st.none() | _SEGMENTS,
        _many(st.builds(Growth, _SEGMENTS, _NUMBERS)),
        st.none() | _NUMBERS,
        texts(),
    )


def samples() -> SearchStrategy[MemorySample]:
    """Return any sample."""
    return st.builds(
        MemorySample,
        taken_at_seconds=_NUMBERS,
        pid=_SIZES,
        resident_bytes=_MAYBE,
        virtual_bytes=_MAYBE,
        partition=st.builds(Partition, _MAYBE, _MAYBE, _MAYBE, _MAYBE, _MAYBE, _MAYBE),
        heap_used_bytes=_MAYBE,
        heap_committed_bytes=_MAYBE,
        limit_bytes=_MAYBE,
        gc_generations=_many(st.builds(GcGeneration, _SIZES, _SIZES, _SIZES)),
        python_heap_age_seconds=st.none() | _NUMBERS,
        native_heap_age_seconds=st.none() | _NUMBERS,
        limit_usage_bytes=_MAYBE,
    )


def documents() -> SearchStrategy[dict[str, Any]]:
    """Return any document that could be written."""
    return st.builds(
        document,
        st.sampled_from(get_args(SnapshotReason)),
        sample=st.none() | samples(),
        verdict=st.none() | verdicts(),
        history=_many(samples(), 5),
        evidence=st.none() | evidences(),
        identity=st.builds(
            Identity, _SIZES, st.none() | _NUMBERS, texts(), texts(), texts(), texts(), texts()
        ),
        now=st.builds(Moment, st.floats(-1e12, 1e12), st.floats(-1e12, 1e12)),
        why_no_evidence=texts(),
    )


def closed(schema: Any) -> Any:
    """Return a schema that allows no field that it does not name."""
    if isinstance(schema, list):
        return [closed(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    inner = {name: closed(each) for name, each in schema.items()}
    return {**inner, "additionalProperties": False} if "required" in inner else inner


def largest(text: str) -> found.Evidence:
    """Return evidence of which everything is as long as can be, all texts the same."""

    def much(one: Any) -> Sequence[Any]:
        return (one,) * 100

    number, size = 1e300 / 3, -(2**62)
    return found.Evidence(
        "other_anonymous",
        size,
        number,
        found.Conclusion("fragmentation", text, number, text),
        types=tuple(much(found.TypeGrowth(text, 2**62, 2**62, size))),
        containers=tuple(
            much(
                found.ContainerGrowth(
                    text, text, 2**62, 2**62, tuple(much((text, 2**62))), size, text
                )
            )
        ),
        sites=tuple(much(found.SiteGrowth(text, tuple(much(text)), size, size, number, False))),  # noqa: FBT003
        routes=tuple(much(found.RouteGrowth(text, 2**62, number, number, number))),
        mappings=tuple(much(found.MappingGrowth(text, 2**62, 2**62, 2**62, 2**62))),
        allocator=found.AllocatorState(*(2**62,) * 8),
        advice=tuple(much(found.Advice(text, size))),
        costs=tuple(much(found.Cost("containers", number, number, 2**62))),
        skipped=tuple(much(found.Skipped("containers", text))),
    )
