"""memray is brought into the process where that sets off no collection of the whole heap."""

from __future__ import annotations

import gc
import sys
from typing import TYPE_CHECKING

import pytest
from tests.fakes import FakeClock

from opentelemetry.instrumentation.memory._attribution import sites_memray
from opentelemetry.instrumentation.memory._attribution.sites_memray import MemrayWatch

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NAME = "heavy_to_import"


@pytest.fixture
def watch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[MemrayWatch]:
    (tmp_path / f"{NAME}.py").write_text("")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sites_memray, "_IMPORTS", (NAME,))
    watch = MemrayWatch(FakeClock(), "python_heap", str(tmp_path))
    yield watch
    watch.close()
    sys.modules.pop(NAME, None)


@pytest.fixture
def near_collection() -> Iterator[None]:
    before = gc.get_threshold()
    gc.set_threshold(100, 0, 0)
    yield
    gc.set_threshold(*before)


@pytest.mark.usefixtures("near_collection")
def test_nothing_is_imported_while_a_full_collection_is_near(watch: MemrayWatch) -> None:
    steps = watch.prepare()
    assert next(steps) > 0
    assert NAME not in sys.modules
    gc.set_threshold(100_000, 10, 10)
    assert next(steps) == 0.0
    assert NAME in sys.modules


@pytest.mark.usefixtures("near_collection")
def test_what_does_not_come_is_waited_for_half_a_minute_at_most(watch: MemrayWatch) -> None:
    assert 29.0 <= sum(watch.prepare()) <= 31.0
    assert NAME in sys.modules


@pytest.mark.usefixtures("near_collection")
def test_nothing_is_waited_for_where_all_is_imported_already(watch: MemrayWatch) -> None:
    sys.modules[NAME] = sys
    assert sum(watch.prepare()) == 0.0
