"""Wires and unwires; decides nothing."""

from __future__ import annotations

import logging
import sys
from dataclasses import fields, make_dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Final

from opentelemetry.instrumentation.instrumentor import (  # type: ignore[attr-defined]
    BaseInstrumentor,  # the module tells type checkers to skip it
)
from opentelemetry.metrics import get_meter_provider
from opentelemetry.trace import get_tracer_provider

from opentelemetry.instrumentation.memory._events import LeakEvents
from opentelemetry.instrumentation.memory._metrics import (
    Reporter,
    is_placeholder,
    reporter_for,
)
from opentelemetry.instrumentation.memory._outlets import Outlets
from opentelemetry.instrumentation.memory._request_growth import request_growth
from opentelemetry.instrumentation.memory._roles import process_role
from opentelemetry.instrumentation.memory._runtime import Runtime
from opentelemetry.instrumentation.memory._sdk_locks import unwatch, watch
from opentelemetry.instrumentation.memory.config import MemoryConfig, allowed_options
from opentelemetry.instrumentation.memory.package import _instruments

if TYPE_CHECKING:
    from collections.abc import Collection

    from opentelemetry._logs import LoggerProvider
    from opentelemetry.metrics import MeterProvider
    from opentelemetry.trace import TracerProvider

    from opentelemetry.instrumentation.memory.evidence import Evidence
    from opentelemetry.instrumentation.memory.model import LeakVerdict, MemorySample

_logger = logging.getLogger(__name__)

# What every OpenTelemetry instrumentor may be handed, and this one has no use for.
_FOREIGN_OPTIONS: Final = frozenset({"event_logger_provider"})


def _keep_what_is_allowed(self: object, **options: Any) -> None:
    allowed = allowed_options(options, "declarative configuration")
    for each in fields(MemoryConfig):
        setattr(self, each.name, allowed.get(each.name))


# What a declarative file may say under `instrumentation/development: python: memory:`. All None, so
# that what the file leaves out still comes from the environment. It takes any option, since what it
# raises would cost the user the whole section and a traceback.
DeclarativeOptions: Final = make_dataclass(
    "DeclarativeOptions",
    [(each.name, Any, None) for each in fields(MemoryConfig)],
    namespace={"__init__": _keep_what_is_allowed},
    init=False,
)


class MemoryInstrumentor(BaseInstrumentor):  # type: ignore[misc] # the base class has no types
    """Reports where the memory of this process is, through the application's own metrics pipeline.

    `opentelemetry-instrument` loads it by itself; elsewhere call `instrument()` once, after the
    meter provider is set. Every setting of `MemoryConfig` is a keyword argument of it.

    Example:
        >>> from opentelemetry.instrumentation.memory import MemoryInstrumentor
        >>> MemoryInstrumentor().instrument(max_interval_seconds=30)
        >>> MemoryInstrumentor().uninstrument()
    """

    configuration: ClassVar[type] = DeclarativeOptions

    _runtime: Runtime | None = None
    _reporter: Reporter | None = None

    def instrumentation_dependencies(self) -> Collection[str]:
        """Return the libraries that must be present: none."""
        return _instruments

    def latest_sample(self) -> MemorySample | None:
        """Return the newest sample of this process, or None while not instrumented.

        Without the background thread this takes a sample (about 40 µs).
        """
        runtime = self._runtime
        return None if runtime is None else runtime.latest_sample()

    def latest_verdict(self) -> LeakVerdict | None:
        """Return what the leak detector thinks of this process, or None before its first sample."""
        runtime = self._runtime
        return None if runtime is None else runtime.latest_verdict()

    def history(self) -> tuple[MemorySample, ...]:
        """Return up to 512 samples of this process, oldest first, older ones more thinly."""
        runtime = self._runtime
        return () if runtime is None else runtime.history()

    def investigate(self) -> None:
        """Look for what grows in this process, whatever the risk; returns at once.

        What is found is in `latest_evidence()` some seconds to minutes later, and in a snapshot
        where a directory is set. Needs the background thread.
        """
        if self._runtime is not None and self._runtime.latest_sample() is not None:
            self._runtime.request("api")

    def latest_evidence(self) -> Evidence | None:
        """Return what the last investigation of this process found, or None before the first."""
        runtime = self._runtime
        return None if runtime is None else runtime.latest_evidence()

    def snapshot(self) -> dict[str, Any] | None:
        """Return what is known of this process as one JSON-ready document; see docs/snapshot.md.

        It is written as well where a snapshot directory is set. None while not instrumented. Takes
        about a millisecond, longer on a slow volume.
        """
        runtime = self._runtime
        return None if runtime is None else runtime.snapshot()

    def _instrument(self, **kwargs: Any) -> None:
        """Start to sample and to report.

        Args:
            **kwargs: `meter_provider`, `logger_provider`, `tracer_provider`, and any setting of
                `MemoryConfig`.

        Raises:
            ConfigError: An argument is unknown or not allowed. Nothing else is ever raised.
        """
        options = {name: value for name, value in kwargs.items() if name not in _FOREIGN_OPTIONS}
        provider = options.pop("meter_provider", None)
        logger_provider = options.pop("logger_provider", None)
        tracer_provider = options.pop("tracer_provider", None)
        config = MemoryConfig.resolve(options)
        try:
            self._start(
                config,
                get_meter_provider() if provider is None else provider,
                logger_provider,
                tracer_provider,
            )
        except Exception:
            _logger.exception("memory instrumentation could not start; the application goes on")
            self._uninstrument()

    def _start(
        self,
        config: MemoryConfig,
        provider: MeterProvider,
        logger_provider: LoggerProvider | None,
        tracer_provider: TracerProvider | None,
    ) -> None:
        role = process_role(sys.orig_argv)
        if role == "resource_tracker":
            return
        reporter = reporter_for(provider)
        if reporter is None:
            return
        events = LeakEvents(logger_provider)
        outlets = Outlets(
            on_change=events.notice,
            on_evidence=events.add,
            tracer_provider=lambda: tracer_provider or get_tracer_provider(),
            record_request=request_growth(provider),
        )
        self._runtime = Runtime(config, outlets=outlets)
        self._reporter = reporter
        reporter.attach(self._runtime, has_process_metrics=config.process_metrics)
        watch(provider)
        if role == "fork_server":
            self._runtime.start_in_children_only()
        elif is_placeholder(provider):
            # No provider is set yet, and perhaps none ever will be.
            self._runtime.start_with_first_collection()
        else:
            self._runtime.start()

    def _uninstrument(self, **_: Any) -> None:
        """End what `instrument` started."""
        runtime, self._runtime = self._runtime, None
        reporter, self._reporter = self._reporter, None
        try:
            unwatch()
            if reporter is not None:
                reporter.detach()
            if runtime is not None:
                runtime.stop()
        except Exception:
            _logger.exception("memory instrumentation could not be stopped cleanly")
