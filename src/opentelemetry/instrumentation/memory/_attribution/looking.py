"""How to look into an object of the application without running code of the application.

No attribute is asked for, no `__len__`, `__eq__`, `__hash__` or `__class__` of a class written in
Python is called: only functions of the built-in classes that an object derives from.
"""

from __future__ import annotations

import gc
import sys
from collections import deque
from itertools import islice
from queue import SimpleQueue
from types import FrameType, FunctionType, MethodType, ModuleType
from typing import TYPE_CHECKING, Any, Final
from weakref import ReferenceType

from opentelemetry.instrumentation.memory._attribution.class_names import type_name
from opentelemetry.instrumentation.memory._attribution.naming import (
    derives_from,
    function_name,
)
from opentelemetry.instrumentation.memory._attribution.suspended import (
    is_suspended,
    suspended_name,
    suspended_word,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

LARGE: Final = 1000
"""A container with more entries is never looked at as a whole."""

_RETRIES: Final = 3
_GC_HEADER_BYTES: Final = 16
_FROM_C: Final = (1 << 8, 1 << 9)  # Py_TPFLAGS_IMMUTABLETYPE, Py_TPFLAGS_HEAPTYPE

_mro_of: Final[Any] = type.__dict__["__mro__"].__get__
_flags_of: Final[Any] = type.__dict__["__flags__"].__get__

_LENGTHS: Final[dict[type, Callable[[Any], int]]] = {
    dict: dict.__len__,
    list: list.__len__,
    set: set.__len__,
    deque: deque.__len__,
    SimpleQueue: SimpleQueue.qsize,
    bytearray: bytearray.__len__,
}
_NEWEST: Final[dict[type, Callable[[Any], Iterator[object]]]] = {
    dict: lambda each: reversed(dict.values(each)),
    list: list.__reversed__,
    set: set.__iter__,
    deque: deque.__reversed__,
    SimpleQueue: lambda each: reversed(_queued(each)),
}
_OLDEST: Final[dict[type, Callable[[Any], Iterator[object]]]] = {
    dict: lambda each: iter(dict.values(each)),
    list: list.__iter__,
    set: set.__iter__,
    deque: deque.__iter__,
}
_CALLED: Final = (FunctionType, MethodType)


class LengthTable:
    """Which classes are containers, and how the length of each is told without asking it.

    And which are plain: what their instances refer to is what the garbage collector follows.

    Remembers the identities of classes, no class itself; it is to be thrown away soon, before
    another class can have taken the place of one that is gone.
    """

    def __init__(self) -> None:
        self._readers: dict[int, Callable[[Any], int] | None] = {}
        self._plain: dict[int, bool] = {}

    def is_plain(self, cls: type) -> bool:
        """Return whether this is no class of modules, of classes or of frames."""
        identity = id(cls)
        if identity not in self._plain:
            self._plain[identity] = not derives_from(cls, ModuleType, type, FrameType)
        return self._plain[identity]

    def reader_of(self, cls: type) -> Callable[[Any], int] | None:
        """Return what tells the number of entries of an instance, or None for no container."""
        identity = id(cls)
        if identity not in self._readers:
            base = container_base(cls)
            self._readers[identity] = None if base is None else _LENGTHS[base]
        return self._readers[identity]


def container_base(cls: type) -> type | None:
    """Return the built-in container that a class derives from, or None."""
    containers = {id(base): base for base in _LENGTHS}
    return next((containers[id(base)] for base in _mro_of(cls) if id(base) in containers), None)


def length(each: object) -> int | None:
    """Return the number of entries of a container, or None for what is no container."""
    base = container_base(type(each))
    return None if base is None else _LENGTHS[base](each)


def newest(container: object, most: int) -> list[object]:
    """Return the newest entries (any entries of a set); none where it changes all the time."""
    base = container_base(type(container))
    return [] if base not in _NEWEST else _some(_NEWEST[base], container, most)


def oldest(container: object, most: int) -> list[object]:
    """Return the oldest entries (any entries of a set); none where it changes all the time."""
    base = container_base(type(container))
    return [] if base not in _OLDEST else _some(_OLDEST[base], container, most)


def newest_keys(container: object, most: int) -> list[object]:
    """Return the newest keys of a dictionary."""
    if container_base(type(container)) is not dict:
        return []
    return _some(dict.__reversed__, container, most)


def _queued(queue: object) -> list[Any]:
    """Return what is in a queue that is written in C; before 3.13 a list within holds it."""
    referred = gc.get_referents(queue)
    inner = [each for each in referred if type(each) is list]
    return inner[0] if sys.version_info < (3, 13) and inner else referred


def _some(iterate: Callable[[Any], Iterator[object]], container: object, most: int) -> list[object]:
    for _ in range(_RETRIES):
        try:
            return list(islice(iterate(container), most))
        except RuntimeError:  # noqa: PERF203 - another thread has changed it meanwhile
            continue
    return []


def is_from_c(cls: type) -> bool:
    """Return whether a class is written in C."""
    immutable, heap = _FROM_C
    flags = _flags_of(cls)
    return bool(flags & immutable or not flags & heap)


def shallow_bytes(each: object) -> int:
    """Return what an object takes up itself, by the built-in class that it derives from."""
    cls = type(each)
    if is_from_c(cls):
        try:
            return sys.getsizeof(each, 0)
        except Exception:  # noqa: BLE001 - an extension's own idea of its size
            return 0
    base = next(base for base in _mro_of(cls) if is_from_c(base))
    return int(base.__sizeof__(each)) + _GC_HEADER_BYTES


def element_name(each: Any) -> str:
    """Return what an entry is: its class, or the function that it is or runs."""
    cls = type(each)
    if derives_from(cls, ReferenceType):
        each = ReferenceType.__call__(each)
        return "None" if each is None else element_name(each)
    if cls is MethodType:
        each = MethodType.__dict__["__func__"].__get__(each)
        cls = type(each)
    if cls is FunctionType:
        return f"function {function_name(each.__code__, module_of(each))}"
    if is_suspended(each):
        return f"{suspended_word(each)} {suspended_name(each)}"
    name = type_name(cls)
    if any(type_name(base) == "threading.Thread" for base in _mro_of(cls)):
        # Its attributes are referred to directly or, before 3.11, by its `__dict__`.
        referred = gc.get_referents(each)
        attributes = [part for part in referred if type(part) is dict and "_target" in part]
        referred = [part["_target"] for part in attributes] or referred
        targets = (child for child in referred if derives_from(type(child), *_CALLED))
        return next((f"{name} of {element_name(target)}" for target in targets), name)
    return name


def module_of(function: Any) -> str | None:
    """Return the name of the module whose variables a function (exactly that) uses."""
    return text_at(function.__globals__, "__name__")


def text_at(namespace: dict[str, object], key: str) -> str | None:
    """Return a value that is text, or None."""
    value = dict.get(namespace, key)
    return value if type(value) is str else None
