"""Lets a child report that was forked while its parent was collecting or exporting.

The SDK restarts its periodic reader in a child, but renews no lock (opentelemetry-sdk 1.45,
`PeriodicExportingMetricReader._at_fork_reinit`): neither the one that the reader holds while it
exports, nor the one held while callbacks run (`SynchronousMeasurementConsumer`), nor those held for
a moment while what was measured is put away or summed up. Whoever held it is not there any more, so
the child's metrics stay silent for ever. With a collector that hangs, the first is held for the
export's whole timeout: 10 of every 60 seconds at the defaults.

Nor is the lock renewed that this package holds for a moment while it adds its span processor
(`SynchronousMultiSpanProcessor`): whoever adds one in the child would wait for ever.
"""

from __future__ import annotations

import contextlib
import os
import threading
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakSet

from opentelemetry.metrics import get_meter_provider
from opentelemetry.trace import get_tracer_provider

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from opentelemetry.metrics import MeterProvider

_watched: Final[WeakSet[MeterProvider]] = WeakSet()


def watch(provider: MeterProvider) -> None:
    """Renew the provider's locks in every child that is forked from now on."""
    _watched.add(provider)


def unwatch() -> None:
    """Leave all providers alone again."""
    _watched.clear()


def _renew_all() -> None:
    # A placeholder was watched where the application has set its provider since.
    for provider in (*_watched, get_meter_provider()) if _watched else ():
        _renew(_places(provider))
    if _watched:
        _renew([(getattr(get_tracer_provider(), "_active_span_processor", None), "_lock")])


def _renew(places: Iterable[tuple[Any, str]]) -> None:
    for owner, name in places:
        with contextlib.suppress(Exception):
            lock = getattr(owner, name)
            if lock.acquire(blocking=False):
                lock.release()
            else:
                # A new lock, since the old one may be held by the thread that forked: it goes on in
                # the child, inside a callback, and will release what it took.
                is_reentrant = hasattr(lock, "_is_owned")
                setattr(owner, name, threading.RLock() if is_reentrant else threading.Lock())


def _places(provider: MeterProvider) -> Iterator[tuple[Any, str]]:
    for reader in getattr(provider, "_metric_readers", ()):
        yield reader, "_export_lock"
        yield reader, "_lock"
    consumer = getattr(provider, "_measurement_consumer", None)
    yield consumer, "_lock"
    for storage in getattr(consumer, "_reader_storages", {}).values():
        yield storage, "_lock"
        for matches in getattr(storage, "_instrument_view_instrument_matches", {}).values():
            for match in matches:
                yield match, "_lock"
                for aggregation in getattr(match, "_attributes_aggregation", {}).values():
                    yield aggregation, "_lock"
                    yield getattr(aggregation, "_reservoir", None), "_lock"


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_all)
