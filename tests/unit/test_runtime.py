from __future__ import annotations

import os
import sys
import threading
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest
from tests.fakes import MIB, FakeClock, FakeProbe, fake_probes

from opentelemetry.instrumentation.memory import _runtime
from opentelemetry.instrumentation.memory._attribution.requests import REQUESTS
from opentelemetry.instrumentation.memory._probes.base import Allocator
from opentelemetry.instrumentation.memory._roles import process_role
from opentelemetry.instrumentation.memory._runtime import Runtime
from opentelemetry.instrumentation.memory._sampling.thread import THREAD_NAME, SamplingThread
from opentelemetry.instrumentation.memory.config import MemoryConfig

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from opentelemetry.instrumentation.memory._probes import Probes
    from opentelemetry.instrumentation.memory._process import Process
    from opentelemetry.instrumentation.memory.model import LeakVerdict, MemorySample

PATIENCE_SECONDS = 30.0


def has_thread() -> bool:
    return THREAD_NAME in {thread.name for thread in threading.enumerate()}


@pytest.fixture
def runtime(monkeypatch: pytest.MonkeyPatch) -> Iterator[Runtime]:
    monkeypatch.setattr(_runtime, "platform_probes", lambda _: fake_probes())
    runtime = Runtime(MemoryConfig())
    yield runtime
    runtime.stop()


@pytest.mark.parametrize(
    ("command_line", "role"),
    [
        (["python", "app.py"], "worker"),
        (["python", "-m", "gunicorn"], "worker"),
        (["python", "-c", "print(1)"], "worker"),
        (["python", "-c", "from multiprocessing.spawn import spawn_main; spawn_main()"], "worker"),
        (
            ["python", "-s", "-c", "from multiprocessing.resource_tracker import main;main(5)"],
            "resource_tracker",
        ),
        (
            ["python", "-c", "from multiprocessing.semaphore_tracker import main;main(5)"],
            "resource_tracker",
        ),
        (
            ["python", "-c", "from joblib.externals.loky.backend.resource_tracker import main; 1"],
            "resource_tracker",
        ),
        (
            ["python", "-c", "from multiprocessing.forkserver import main; main(1, 2, [], **{})"],
            "fork_server",
        ),
        (["python", "-c", "from billiard.forkserver import main; main()"], "fork_server"),
        (["python", "app.py", "-c", "from my.resource import main"], "worker"),
        (["python", "-c"], "worker"),
        ([], "worker"),
    ],
)
def test_role_is_read_from_the_command_line(command_line: list[str], role: str) -> None:
    assert process_role(command_line) == role


# --- the baseline's identity -------------------------------------------------------------------


@pytest.fixture
def with_baseline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Runtime:
    monkeypatch.delenv("OTEL_SERVICE_NAME", raising=False)
    monkeypatch.delenv("OTEL_RESOURCE_ATTRIBUTES", raising=False)
    return Runtime(MemoryConfig(baseline_directory=str(tmp_path)))


def test_baseline_without_a_service_name_is_one_warning_and_none(
    with_baseline: Runtime, caplog: pytest.LogCaptureFixture
) -> None:
    assert with_baseline._baseline_store(os.getpid()) is None
    assert with_baseline._baseline_store(os.getpid()) is None
    (record,) = caplog.records
    assert "set OTEL_SERVICE_NAME" in record.getMessage()


def baseline_file(runtime: Runtime, pid: int) -> str:
    store = runtime._baseline_store(pid)
    assert store is not None
    return store.path.name


@pytest.mark.parametrize(
    "variable",
    [("OTEL_SERVICE_NAME", "shop"), ("OTEL_RESOURCE_ATTRIBUTES", "service.name=shop")],
    ids=str,
)
def test_children_of_any_kind_have_a_baseline_of_their_own(
    variable: tuple[str, str], with_baseline: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(*variable)
    own = baseline_file(with_baseline, os.getpid())
    forked = baseline_file(with_baseline, os.getpid() + 1)
    assert own.startswith("shop-")
    assert forked.startswith("shop-worker-")
    with monkeypatch.context() as patch:
        patch.setattr(sys, "orig_argv", [sys.executable, "-c", "", "--multiprocessing-fork"])
        assert baseline_file(with_baseline, os.getpid()) == forked
    process = SimpleNamespace(parent_process=object)
    monkeypatch.setitem(sys.modules, "multiprocessing.process", process)
    assert baseline_file(with_baseline, os.getpid()) == forked
    monkeypatch.delitem(sys.modules, "multiprocessing.process")
    assert baseline_file(with_baseline, os.getpid()) == own


def test_start_takes_a_sample_before_it_returns(runtime: Runtime) -> None:
    runtime.start()
    assert has_thread()
    assert runtime.latest_sample() is not None
    assert runtime.history()


def test_samples_are_judged_on_when_evidence_cannot_be_gathered(
    runtime: Runtime, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object) -> None:
        raise ImportError("broken")

    runtime.start()
    runtime.end_thread()
    process = next(iter(runtime._processes.values()))
    monkeypatch.setattr(type(process.response), "notice", fail)
    sample = runtime.latest_sample()
    assert sample is not None
    process.consider_and_learn(sample)
    process.consider_and_learn(sample)
    assert caplog.text.count("no more evidence") == 1
    assert process.judge.verdict is not None


def test_requests_are_counted_no_more_when_evidence_cannot_be_gathered(
    runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise KeyError

    runtime.start()
    runtime.end_thread()
    process = next(iter(runtime._processes.values()))
    response = type(process.response)(process.response._surroundings)
    process.response = response
    routes = response.load()._routes
    routes.start()
    assert REQUESTS.is_counting
    sample = runtime.latest_sample()
    assert sample is not None
    monkeypatch.setattr(process.response, "notice", fail)
    process.consider_and_learn(sample)
    assert not REQUESTS.is_counting
    assert process.sampler.before_reading is None
    assert runtime.sample_for_collection() is not None


def test_what_an_investigation_takes_up_is_not_judged(
    runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    runtime.start()
    runtime.end_thread()
    process = next(iter(runtime._processes.values()))
    judged: list[MemorySample] = []
    consider = process.judge.consider_and_learn

    def note(sample: MemorySample) -> LeakVerdict:
        judged.append(sample)
        return consider(sample)

    monkeypatch.setattr(process.judge, "consider_and_learn", note)
    sample = runtime.latest_sample()
    assert sample is not None
    process.consider_and_learn(sample)
    monkeypatch.setattr(type(process.response), "is_distorting", property(lambda _: True))
    process.consider_and_learn(sample)
    assert judged == [sample]


def test_stop_is_final(runtime: Runtime) -> None:
    runtime.start()
    runtime.stop()
    runtime.stop()
    assert not has_thread()
    assert runtime.sample_for_collection() is None
    assert runtime.latest_sample() is None
    runtime.restart_after_fork()
    assert not has_thread()


def test_stop_closes_the_probes(monkeypatch: pytest.MonkeyPatch) -> None:
    probes = fake_probes()
    monkeypatch.setattr(_runtime, "platform_probes", lambda _: probes)
    runtime = Runtime(MemoryConfig())
    runtime.start()
    runtime.stop()
    assert probes.resident.is_closed  # type: ignore[attr-defined]


def test_first_collection_starts_the_thread_of_a_runtime_that_waits_for_it(
    runtime: Runtime,
) -> None:
    runtime.start_with_first_collection()
    assert not has_thread()
    runtime.restart_after_fork()
    assert not has_thread()
    assert runtime.sample_for_collection() is not None
    assert has_thread()


def test_fork_server_itself_stays_silent(runtime: Runtime) -> None:
    runtime.start_in_children_only()
    assert runtime.sample_for_collection() is None
    assert not has_thread()


def test_process_with_another_pid_begins_anew(
    runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    runtime.start()
    parent = next(iter(runtime._processes.values()))
    parent.collection_cpu_seconds = 1000.0
    assert parent.thread is not None
    try:
        monkeypatch.setattr("os.getpid", lambda: -1)
        sample = runtime.sample_for_collection()
        assert sample is not None
        assert sample.pid == -1
        assert runtime.cpu_seconds() < 1000
        (child,) = runtime._processes.values()
        assert child.sampler is not parent.sampler
        assert child.thread is not parent.thread
        assert len(runtime.history()) < 3
    finally:
        runtime.stop()
        parent.thread.stop(PATIENCE_SECONDS)


def test_child_does_not_pay_at_once_for_what_was_dear_in_its_parent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = FakeClock()

    def fragmented(_: int | None) -> Probes:
        native = FakeProbe(Allocator(40 * MIB, 44 * MIB), clock=clock, cost_seconds=0.36)
        return fake_probes(native=native)

    monkeypatch.setattr(_runtime, "platform_probes", fragmented)
    runtime = Runtime(MemoryConfig(background_sampling=False), clock)
    runtime.start()
    try:
        own = runtime.sample_for_collection()
        assert own is not None
        assert own.partition.native_heap_bytes == 40 * MIB
        spent = clock.thread_cpu()
        monkeypatch.setattr("os.getpid", lambda: -1)
        runtime.restart_after_fork()
        sample = runtime.sample_for_collection()
        assert sample is not None
        assert clock.thread_cpu() == spent
        assert sample.partition.native_heap_bytes is None
        assert sample.heap_used_bytes == 30 * MIB
        # 0.36 s at a quarter of 0.03 % of a core.
        clock.wait(4801)
        sample = runtime.sample_for_collection()
        assert sample is not None
        assert sample.partition.native_heap_bytes == 40 * MIB
    finally:
        runtime.stop()


def test_child_waits_for_no_lock_of_its_parent(
    runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    runtime.start_with_first_collection()
    assert runtime.sample_for_collection() is not None
    parent = next(iter(runtime._processes.values()))
    assert parent.thread is not None
    holder = threading.Thread(target=parent.guard.acquire)
    holder.start()
    holder.join()
    try:
        monkeypatch.setattr("os.getpid", lambda: -1)
        runtime.restart_after_fork()
        sample = runtime.sample_for_collection()
        assert sample is not None
        assert sample.pid == -1
    finally:
        runtime.stop()
        parent.thread.stop(PATIENCE_SECONDS)


def test_thread_that_cannot_start_leaves_sampling_to_collections(
    runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: SamplingThread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patched:
        patched.setattr(SamplingThread, "start", fail)
        runtime.start()
        assert runtime.sample_for_collection() is not runtime.sample_for_collection()
        assert runtime.latest_sample() is not None
        assert not has_thread()
    runtime.sample_for_collection()
    assert has_thread()


def test_at_exit_the_thread_ends_and_the_last_collection_still_gets_a_sample(
    runtime: Runtime,
) -> None:
    runtime.start()
    runtime.end_thread()
    assert not has_thread()
    before = runtime.history()
    assert runtime.sample_for_collection() not in (None, *before)
    assert not has_thread()


def test_fork_waits_until_no_collection_is_inside(runtime: Runtime) -> None:
    runtime.start()
    process = next(iter(runtime._processes.values()))
    order = []
    is_inside, may_leave = threading.Event(), threading.Event()
    take = process.sampler.take

    def slow_take() -> object:
        is_inside.set()
        assert may_leave.wait(PATIENCE_SECONDS)
        order.append("collected")
        return take()

    process.sampler.take = slow_take  # type: ignore[method-assign, assignment]
    collector = threading.Thread(target=runtime.sample_for_collection)
    collector.start()
    assert is_inside.wait(PATIENCE_SECONDS)

    def fork() -> None:
        runtime.hold_for_fork()
        order.append("forked")
        runtime.release_after_fork()

    forker = threading.Thread(target=fork)
    _runtime_patience(process)
    forker.start()
    may_leave.set()
    forker.join(PATIENCE_SECONDS)
    collector.join(PATIENCE_SECONDS)
    assert order == ["collected", "forked"]


def _runtime_patience(process: Process) -> None:
    """Let the guard be waited for as long as a slow machine needs."""
    guard = process.guard

    class PatientGuard:
        def acquire(self, timeout: float) -> bool:
            return bool(guard.acquire(timeout=PATIENCE_SECONDS if timeout else 0))

        def release(self) -> None:
            guard.release()

    process.guard = PatientGuard()


def test_collection_during_a_fork_gets_the_latest_sample_without_waiting(runtime: Runtime) -> None:
    runtime.start()
    runtime.end_thread()
    latest = runtime.latest_sample()
    found: list[object] = []
    runtime.hold_for_fork()
    collector = threading.Thread(target=lambda: found.append(runtime.sample_for_collection()))
    collector.start()
    collector.join(PATIENCE_SECONDS)
    runtime.release_after_fork()
    assert found == [latest]
    assert runtime.sample_for_collection() is not latest


def test_fork_that_could_not_wait_releases_nothing(runtime: Runtime) -> None:
    runtime.start()
    process = next(iter(runtime._processes.values()))
    holder = threading.Thread(target=process.guard.acquire)
    holder.start()
    holder.join()
    runtime.hold_for_fork()
    runtime.release_after_fork()
    assert not process.acquire_guard(0)


def test_fork_inside_a_callback_does_not_wait_for_itself(runtime: Runtime) -> None:
    runtime.start()
    process = next(iter(runtime._processes.values()))
    with process.guard:
        runtime.hold_for_fork()
        runtime.release_after_fork()
    assert process.acquire_guard(0)
    process.guard.release()


def test_hooks_swallow_what_goes_wrong(runtime: Runtime, caplog: pytest.LogCaptureFixture) -> None:
    def fail(_: Runtime) -> None:
        raise OSError("broken")

    runtime.start()
    _runtime._for_each_running(fail)()
    assert "broken" in caplog.text


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_thread_that_something_has_killed_is_replaced_at_the_next_collection(
    runtime: Runtime,
) -> None:
    runtime.start()
    process = runtime._own()
    killed = process.thread
    assert killed is not None
    killed.stop(PATIENCE_SECONDS)
    assert not killed.is_alive()
    assert runtime.sample_for_collection() is not None
    assert process.thread is not killed
    assert process.is_sampled()
