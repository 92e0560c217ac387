"""Which process a resource describes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from opentelemetry.proto.common.v1.common_pb2 import AnyValue
    from opentelemetry.proto.resource.v1.resource_pb2 import Resource

IDENTIFYING: Final = (
    "service.namespace",
    "service.name",
    "service.instance.id",
    "host.id",
    "host.name",
    "k8s.cluster.name",
    "k8s.namespace.name",
    "k8s.pod.uid",
    "k8s.pod.name",
    "k8s.container.name",
    "container.id",
    "process.pid",
)
"""All of these together are one process; two that agree in all of them cannot be told apart."""

# Where something runs, not what: alone these name no process.
_PLACES: Final = frozenset({"service.namespace", "k8s.cluster.name", "k8s.namespace.name"})
_POSITIONS: Final = {name: position for position, name in enumerate(IDENTIFYING)}

Identity = tuple[str, ...]
"""The values of `IDENTIFYING`, in that order; empty where a resource does not have one."""


def identity_of(resource: Resource) -> Identity | None:
    """Return who a resource is, or None when it does not say."""
    values = [""] * len(IDENTIFYING)
    for attribute in resource.attributes:
        position = _POSITIONS.get(attribute.key)
        if position is not None:
            values[position] = scalar_text(attribute.value)
    named = any(values[index] for name, index in _POSITIONS.items() if name not in _PLACES)
    return tuple(values) if named else None


def in_words(identity: Identity) -> str:
    """Return an identity for a line of log: `service.name=shop process.pid=7`."""
    pairs = zip(IDENTIFYING, identity, strict=True)
    return " ".join(f"{name}={value}" for name, value in pairs if value)


def scalar_text(value: AnyValue) -> str:
    """Return a string, a number or a truth value as text; empty for anything else."""
    kind = value.WhichOneof("value")
    if kind == "string_value":
        return value.string_value
    if kind in {"int_value", "double_value", "bool_value"}:
        return str(getattr(value, kind))
    return ""
