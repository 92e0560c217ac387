"""What is wrong with each program, and which answers name it. The programs do not know this file.

An answer is right if its kind and its name fit one of a program's answers; the first of them is the
best that could be said. Lines that a program marks with `# culprit` are right as sites everywhere:
those that keep something, and those that make what is kept. A library's line that allocates on
behalf of a service is not: it accuses nobody.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

Part = Literal["tuning", "holdout"]


@dataclass(frozen=True)
class Answer:
    """One name that would lead a reader to the culprit.

    Attributes:
        kind: As in a snapshot's conclusion.
        name: With `*` for what may stand there.
    """

    kind: str
    name: str = "*"


@dataclass(frozen=True)
class Truth:
    """One program of the exam.

    Attributes:
        program: The folder.
        package: What is run in it.
        culprit: What a person would say is wrong.
        answers: The right ones, the best first.
        part: `tuning` if it was run while the investigation was being built.
    """

    program: str
    package: str
    culprit: str
    answers: tuple[Answer, ...]
    part: Part = "tuning"

    @property
    def snapshot_reason(self) -> str:
        """Return what a snapshot of it is written for; fragmentation raises no alarm."""
        return "fragmentation" if self.answers[0].kind == "fragmentation" else "confirmed"


def _container(*names: str) -> tuple[Answer, ...]:
    return tuple(Answer("container", name) for name in names)


def _type(*names: str) -> tuple[Answer, ...]:
    return tuple(Answer("type", name) for name in names)


TRUTHS: Final = (
    Truth(
        "sessions_dict",
        "shop",
        "dict of sessions that nobody closes",
        (*_container("shop.sessions._sessions"), *_type("shop.models.Session")),
    ),
    Truth(
        "lru_method",
        "billing",
        "lru_cache(maxsize=None) on a method",
        (*_container("billing.tax.TaxRules.applied*"), *_type("billing.orders.Address")),
    ),
    Truth(
        "closures",
        "notify",
        "closures in a registry of listeners",
        (*_container("*bus.listeners*"), *_type("notify.feeds.*on_article")),
    ),
    Truth(
        "log_handlers",
        "etl",
        "handlers added to a logger by each job",
        (*_container("*.handlers"), *_type("etl.joblog.JobLogHandler")),
    ),
    Truth(
        "unique_loggers",
        "gateway",
        "a logger for each request",
        (*_container("*loggerDict*"), *_type("logging.Logger")),
    ),
    Truth(
        "pending_tasks",
        "feed",
        "asyncio tasks that wait for ever",
        (
            *_container("feed.fanout._deliveries", "*asyncio*task*", "*is_ready._waiters*"),
            *_type("*asyncio.Task", "feed.fanout.deliver"),
        ),
    ),
    Truth(
        "undrained_queue",
        "orders",
        "queue whose only reader died",
        (*_container("orders.audit.outbox*"), *_type("orders.audit.AuditEntry")),
    ),
    Truth(
        "thread_locals",
        "imaging",
        "lists in thread-locals of a pool",
        (*_container("*scratch*", "*regions*"), *_type("imaging.scratch.Region")),
    ),
    Truth(
        "cycles_without_gc",
        "manual",
        "cycles of parents and children, gc.disable()",
        (*_type("manual.tree.Section"), *_container("*manual.tree.Section*")),
    ),
    Truth(
        "prometheus_labels",
        "api",
        "a label for each customer, prometheus_client",
        (*_container("*by_customer*"), *_type("prometheus_client.metrics.Counter")),
    ),
    Truth(
        "otel_labels",
        "checkout",
        "an attribute for each payment, OpenTelemetry metrics",
        (
            *_container("*_attributes_aggregation*", "checkout.metering._amounts*"),
            *_type("opentelemetry.sdk.metrics._internal.aggregation.*HistogramAggregation"),
        ),
    ),
    Truth(
        "create_model",
        "forms",
        "pydantic create_model for each visit",
        (
            *_container("forms.schema._compiled"),
            *_type("pydantic.main.BaseModel subclass made at run time*"),
        ),
    ),
    Truth(
        "c_extension",
        "telemetry",
        "small blocks that a C extension never frees",
        (Answer("native"), Answer("site", "*_decoder*"), Answer("site", "*decoder.c*")),
    ),
    Truth(
        "ctypes_mmap",
        "frames",
        "anonymous mappings by ctypes",
        (Answer("mapping", "anonymous*"),),
    ),
    Truth(
        "bytes_cache",
        "media",
        "dict of bytes over 512 bytes",
        (*_container("media.thumbnails._rendered"), Answer("route", "*/pictures/*")),
    ),
    Truth(
        "fragmentation",
        "reports",
        "none: freed memory that malloc keeps",
        (Answer("fragmentation"),),
    ),
    Truth(
        "nine_routes",
        "market",
        "two of nine routes, 20 concurrent requests",
        (
            Answer("route", "*/drafts*"),
            Answer("route", "*/products/*/reviews*"),
            *_container("market.state.drafts", "market.state.reviews*"),
        ),
    ),
    Truth(
        "tracebacks",
        "importer",
        "exceptions kept with their tracebacks",
        (*_container("*failures*"), *_type("importer.rows.RowError", "traceback", "frame")),
    ),
    Truth(
        "identity_map",
        "ledger",
        "a SQLAlchemy session that is never committed",
        (
            *_container("ledger.db.audit*", "*._new"),
            *_type("ledger.models.Trace", "sqlalchemy.orm.state.InstanceState"),
        ),
    ),
    Truth(
        "signals",
        "shipping",
        "receivers that stay connected to a signal",
        (*_container("shipping.events.order_paid*"), *_type("shipping.parcels.Parcel")),
    ),
    Truth(
        "weak_values",
        "chat",
        "a WeakValueDictionary's values, held by listeners",
        (*_container("*listeners*"), *_type("chat.connections.Connection")),
    ),
    Truth(
        "class_attribute",
        "jobs",
        "a list as a class attribute",
        (*_container("jobs.base.Job.history"), *_type("jobs.base.Step")),
    ),
    Truth(
        "module_cache",
        "geo",
        "functools.cache on places that never come again",
        (*_container("geo.distance.distance*"), *_type("geo.distance.Place")),
    ),
    Truth(
        "default_argument",
        "mailer",
        "a list as a default argument",
        (*_container("mailer.compose.compose*"), *_type("mailer.compose.Mail")),
    ),
    Truth(
        "copied_stream",
        "stream",
        "itertools.tee with a reader that stays behind",
        (
            *_container("*for_archive*", "*_tee*"),
            *_type("stream.source.Measurement", "itertools._tee_dataobject"),
        ),
    ),
    Truth(
        "middleware",
        "portal",
        "a dict of addresses in a FastAPI middleware",
        (*_container("*allowances*"), *_type("portal.limits.Allowance")),
    ),
    Truth(
        "context_trail",
        "flows",
        "a list as a ContextVar's default",
        (*_container("flows.trail._trail*"), *_type("flows.trail.Mark")),
    ),
    Truth(
        "app_config",
        "helpdesk",
        "switches for each ticket in a Flask application's config",
        _container("helpdesk.app.app.config*"),
        "holdout",
    ),
    Truth(
        "finalizers",
        "reporting",
        "weakref.finalize on an owner that never goes",
        (
            *_container("weakref.finalize._registry*"),
            *_type("reporting.scratch.Place", "weakref.finalize*"),
        ),
        "holdout",
    ),
    Truth(
        "timers",
        "booking",
        "a threading.Timer for each booking, due in two hours",
        (
            *_container("threading._active*"),
            *_type("threading.Timer"),
            Answer("mapping", "thread stack*"),
        ),
        "holdout",
    ),
    Truth(
        "async_queue",
        "ticker",
        "an asyncio.Queue whose reader is gone",
        (*_container("*.inboxes*", "*.inbox*"), *_type("ticker.hub.Tick")),
        "holdout",
    ),
    Truth(
        "partial_callbacks",
        "tenants",
        "functools.partial objects in a list of watchers",
        (*_container("tenants.settings.settings._watchers*"), *_type("functools.partial")),
        "holdout",
    ),
    Truth(
        "open_generators",
        "uploads",
        "pipelines of generators that nobody closes",
        (*_container("uploads.intake._open"), *_type("generator*", "uploads.steps.*")),
        "holdout",
    ),
    Truth(
        "interned_codes",
        "courier",
        "members that a class keeps of itself, as an Enum does",
        (*_container("courier.codes.Code._members"), *_type("courier.codes.Code")),
        "holdout",
    ),
    Truth(
        "scheduled_calls",
        "alerts",
        "calls that a loop is to make in an hour, with their contexts",
        (
            *_container("*._scheduled*"),
            *_type("alerts.escalation.Alert", "asyncio.events.TimerHandle"),
        ),
        "holdout",
    ),
)
