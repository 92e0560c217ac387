"""State in files: whole or not at all, of one instance, and never trusted blindly."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from benchmarks.fleet.generator import Process, request
from tests.unit.commands.watch.building import NOW, new_fleet

from opentelemetry.instrumentation.memory._commands.watch import store as stores
from opentelemetry.instrumentation.memory._commands.watch.store import (
    DirectoryInUseError,
    StateStore,
    shard_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def states() -> list[dict[str, Any]]:
    """Return the state of a fleet that has run for a while."""
    fleet = new_fleet()
    processes = [Process(number, "nodejs") for number in range(3)]
    for moment in range(50):
        fleet.take(request(processes, NOW, moment * 15), NOW)
    found = [fleet.state_of(identity) for identity in fleet.identities()]
    return [each for each in found if each is not None]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[StateStore]:
    opened = StateStore(str(tmp_path / "state"))
    yield opened
    opened.close()


def test_what_was_saved_is_loaded(store: StateStore) -> None:
    saved = states()
    for state in saved:
        store.save(shard_of(tuple(state["identity"])), [state])
    assert [each.to_state() for each in store.load()] == sorted(
        saved, key=lambda state: shard_of(tuple(state["identity"]))
    )


def test_a_directory_is_of_one_instance(store: StateStore) -> None:
    with pytest.raises(DirectoryInUseError):
        StateStore(str(store.path(0).parent))


def test_files_are_for_the_owner_only(store: StateStore) -> None:
    store.save(0, states())
    assert store.path(0).stat().st_mode & 0o077 == 0
    assert store.path(0).parent.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text[: len(text) // 2],
        lambda text: text.replace('"blocks":12', '"blocks":11'),
        lambda text: "\n".join(text.splitlines()[:-1]),
        lambda text: text.replace('"version":2', '"version":1', 1),
        lambda _: "[]",
        lambda _: "",
        lambda _: "[" * 100_000,
    ],
)
def test_a_damaged_file_is_set_aside_and_the_others_are_loaded(
    store: StateStore, damage: Any, caplog: pytest.LogCaptureFixture
) -> None:
    saved = states()
    store.save(1, saved[:1])
    store.save(2, saved[1:])
    text = store.path(1).read_text()
    assert damage(text) != text
    store.path(1).write_text(damage(text))
    assert len(list(store.load())) == 2
    assert store.path(1).with_suffix(".rejected").exists()
    assert "set aside as shard-01.rejected" in caplog.text


def test_a_write_that_fails_leaves_what_was_there(
    store: StateStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved = states()
    store.save(3, saved)

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(stores.os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        store.save(3, [])
    assert len(list(store.load())) == 3
    assert not list(store.path(3).parent.glob(".shard-*"))


def test_every_line_is_json_of_one_process(store: StateStore) -> None:
    store.save(3, states())
    lines = [json.loads(line) for line in store.path(3).read_text().splitlines()]
    assert [len(line.get("identity", [])) for line in lines[1:-1]] == [12, 12, 12]


def test_the_rest_of_a_write_that_was_killed_is_cleared_away(tmp_path: Path) -> None:
    (tmp_path / ".shard-01.x.tmp").write_text("half")
    StateStore(str(tmp_path)).close()
    assert [each.name for each in tmp_path.iterdir()] == ["lock"]
