"""From what a language reports to what the detector judges, and back into its words."""

from __future__ import annotations

from collections import Counter

import pytest
from tests.unit.commands.watch.building import NOW, SECOND, Built

from opentelemetry.instrumentation.memory._commands.watch.intake import Span, read
from opentelemetry.instrumentation.memory._commands.watch.moment import Moment, moment_of
from opentelemetry.instrumentation.memory.model import Growth, LeakVerdict, Partition


def moment(*built: Built) -> Moment | None:
    values = {}
    for each in built:
        report = read(each.request.resource_metrics[0], Span(0, 2**63), Counter())
        values.update({key: point.value for point in report.points for key in point.keys})
    return moment_of(NOW * SECOND, values)


def partition(*built: Built) -> Partition:
    found = moment(*built)
    assert found is not None
    return found.sample.partition


def names(*built: Built) -> tuple[str, str, str]:
    found = moment(*built)
    assert found is not None
    wording = found.wording
    return (
        wording.name("python_heap"), wording.name("native_heap"), wording.name("other_anonymous"),
    )  # fmt: skip


def test_nodejs_spaces_add_up_and_the_rest_is_external() -> None:
    built = Built().size(300, unit="")
    for space, used, physical in (("new", 10, 20), ("old", 90, 130)):
        built.size(used, "v8js.memory.heap.used", v8js_heap_space_name=space)
        name = "v8js.memory.heap.space.physical_size"
        built.size(physical, name, v8js_heap_space_name=space)
    assert partition(built) == Partition(100, None, 50, 150)
    assert names(built)[0] == "runtime_heap"
    assert names(built)[2] == "external"


def test_jvm_pools_of_the_heap_add_up_and_buffers_are_external() -> None:
    built = Built()
    for pool, kind, used in (("eden", "heap", 10), ("old", "heap", 50), ("meta", "non_heap", 30)):
        labels = {"jvm_memory_pool_name": pool, "jvm_memory_type": kind}
        built.size(used, "jvm.memory.used", **labels)
        built.size(2 * used, "jvm.memory.committed", **labels)
    built.size(5, "jvm.buffer.memory.used")
    assert partition(built) == Partition(60, 5, 60, 0)
    assert names(built)[1] == "external"


def test_go_counts_what_is_not_stack_as_heap() -> None:
    built = Built().size(40, "go.memory.used", go_memory_type="other")
    built.size(10, "go.memory.used", go_memory_type="stack")
    assert partition(built) == Partition(40, None, 10, 0)


def test_dotnet_generations_add_up() -> None:
    built = Built().size(500, "dotnet.process.memory.working_set")
    for generation in ("gen0", "gen2"):
        name = "dotnet.gc.last_collection.heap.size"
        built.size(100, name, gc_heap_generation=generation)
    built.size(250, "dotnet.gc.last_collection.memory.committed_size")
    assert partition(built) == Partition(200, None, 50, 250)


def test_dotnet_generations_add_up_by_the_names_of_older_versions_too() -> None:
    built = Built()
    for generation in ("gen0", "gen2"):
        built.size(100, "process.runtime.dotnet.gc.heap.size", unit="bytes", generation=generation)
    built.size(250, "process.runtime.dotnet.gc.committed_memory.size", unit="bytes")
    assert partition(built) == Partition(200, None, 50, 0)
    built.size(500, "process.memory.usage")
    assert partition(built) == Partition(200, None, 50, 250)


@pytest.mark.parametrize("name", ["process.memory.usage", "process_resident_memory_bytes"])
def test_a_resident_set_alone_is_judged_as_a_whole(name: str) -> None:
    built = Built().size(70, name, unit="byte")
    assert partition(built) == Partition(None, None, None, 70)
    assert names(built)[2] == "resident"


def test_the_family_is_believed_before_what_it_was_made_of() -> None:
    built = Built().size(300).size(90, "process.runtime.memory.heap.used")
    built.size(1, "v8js.memory.heap.used", v8js_heap_space_name="old")
    assert partition(built).python_heap_bytes == 90


def test_the_family_with_external_memory_keeps_the_rest_apart() -> None:
    built = Built().size(300).size(90, "process.runtime.memory.heap.used")
    built.size(100, "process.runtime.memory.heap.committed")
    built.size(50, "process.runtime.memory.external")
    assert partition(built) == Partition(90, 50, 10, 150)
    assert names(built) == ("runtime_heap", "external", "other_anonymous")


def test_python_segments_are_taken_as_they_are_with_their_names() -> None:
    built = Built()
    for segment, size in (("python_heap", 40), ("other_anonymous", 30), ("file", 20)):
        built.size(size, "process.memory.resident", process_memory_segment=segment)
    assert partition(built) == Partition(40, None, None, 30, 20)
    assert names(built) == ("python_heap", "native_heap", "other_anonymous")


def test_of_two_instrumentations_that_tell_the_same_ours_is_believed() -> None:
    ours = Built(scope="opentelemetry.instrumentation.memory").size(10)
    theirs = Built(scope="opentelemetry.instrumentation.a").size(20)
    for order in ((ours, theirs), (theirs, ours)):
        assert partition(*order).other_anonymous_bytes == 10


def test_a_limit_alone_says_nothing() -> None:
    assert moment(Built().size(100, "process.memory.limit")) is None


def family(heap_limit: int, limit: int) -> Moment:
    built = Built().size(300).size(100, "process.runtime.memory.heap.used")
    built.size(heap_limit, "process.runtime.memory.heap.limit").size(limit, "process.memory.limit")
    found = moment(built)
    assert found is not None
    return found


def test_the_nearer_limit_counts() -> None:
    assert family(heap_limit=150, limit=1000).sample.headroom_bytes == 50
    assert family(heap_limit=900, limit=400).sample.headroom_bytes == 100


def test_what_grows_outside_of_the_heap_has_until_the_limit_of_the_process() -> None:
    verdict = LeakVerdict(growth=(Growth("other_anonymous", 10.0),), time_to_exhaustion_seconds=5.0)
    assert family(heap_limit=150, limit=1000).time_to_exhaustion(verdict) == 70.0


def test_what_grows_in_the_heap_has_until_the_limit_of_the_heap() -> None:
    verdict = LeakVerdict(growth=(Growth("python_heap", 10.0),), time_to_exhaustion_seconds=5.0)
    assert family(heap_limit=150, limit=1000).time_to_exhaustion(verdict) == 5.0


def test_a_reason_is_in_the_words_of_the_runtime() -> None:
    found = moment(Built().size(70))
    assert found is not None
    reason = found.wording.reason(LeakVerdict(reason="other anonymous memory has grown by 1 MiB"))
    assert reason == "resident set has grown by 1 MiB"
