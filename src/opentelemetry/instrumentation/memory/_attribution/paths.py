"""The way to a container, in words that stand in code."""

from __future__ import annotations

import gc
import sys
from dataclasses import dataclass
from inspect import CO_OPTIMIZED
from itertools import pairwise
from types import (
    AsyncGeneratorType,
    CellType,
    CoroutineType,
    FrameType,
    FunctionType,
    GeneratorType,
    MappingProxyType,
    MemberDescriptorType,
    MethodType,
)
from typing import TYPE_CHECKING, Any, Final

from opentelemetry.instrumentation.memory._attribution.attributes import (
    attribute_of,
    dict_of,
    is_dict_of,
)
from opentelemetry.instrumentation.memory._attribution.class_names import type_name
from opentelemetry.instrumentation.memory._attribution.looking import length
from opentelemetry.instrumentation.memory._attribution.naming import (
    ATTRIBUTE,
    bounded,
    derives_from,
    function_name,
    module_name,
    namespace_of,
)
from opentelemetry.instrumentation.memory._attribution.suspended import (
    RUN_BY_TASKS,
    frame_of,
    is_suspended,
    suspended_word,
    task_coroutines,
)
from opentelemetry.instrumentation.memory._attribution.walk import children, frames, tells_itself

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from opentelemetry.instrumentation.memory._attribution.code_names import CodeNames

_mro_of: Final[Any] = type.__dict__["__mro__"].__get__
_namespace_of_class: Final[Any] = type.__dict__["__dict__"].__get__

# A container within one of these is told as the whole, when it is this attribute of it.
_WHOLES: Final = {
    "functools._lru_cache_wrapper": "",
    "queue.Queue": ".queue",
    "asyncio.queues.Queue": "._queue",
    "weakref.WeakKeyDictionary": ".data",
    "weakref.WeakValueDictionary": ".data",
    "_weakrefset.WeakSet": ".data",
    "_queue.SimpleQueue": f".{ATTRIBUTE}",
    "collections.UserDict": ".data",
    "collections.UserList": ".data",
}
_TOLD_AS: Final = {
    "functools._lru_cache_wrapper": "functools.lru_cache",
    "_weakrefset.WeakSet": "weakref.WeakSet",
    "asyncio.queues.Queue": "asyncio.Queue",
    "_queue.SimpleQueue": "queue.SimpleQueue",
}
_RUNNING: Final = (FrameType, CoroutineType, GeneratorType, AsyncGeneratorType)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a container is.

    Attributes:
        path: How to get to it; None where that is unknown.
        container_type: What it is, or what it is the inside of.
        held_by: What holds it, where the path begins at a function that runs or waits.
    """

    path: str | None
    container_type: str
    held_by: str | None


def resolve(root: str | int, identities: list[int]) -> list[object] | None:
    """Return the objects from a root on to the last, or None when something has changed.

    The caller lets go of them before it rests.
    """
    if isinstance(root, str):
        each: object = sys.modules.get(root)
    else:
        running: Iterable[object] = task_coroutines()
        if root != RUN_BY_TASKS:
            running = (frame for thread, frame in frames() if thread == root)
        each = next((begin for begin in running if id(begin) == identities[0]), None)
        del running
    if id(each) != identities[0]:
        return None
    objects = [each]
    for identity in identities[1:]:
        step = _step_to(each, identity)
        if not step:
            return None
        objects += step
        each = objects[-1]
    return objects


def _step_to(each: object, identity: int) -> list[object]:
    """Return what leads from an object to the one below it that has this identity."""
    found = _of_identity(children(each, length(each)), identity)
    if found:
        return found
    # Since the search an instance may have got a `__dict__` that it did without before.
    attributes = dict_of(each)
    if attributes is None:
        return []
    found = _of_identity(list(attributes.values()), identity)
    return [attributes, *found] if found else []


def _of_identity(candidates: list[Any], identity: int) -> list[object]:
    return [each for each in candidates if id(each) == identity][:1]


def describe(root: str | int | None, objects: list[object], names: CodeNames) -> Place:
    """Return what a chain of objects is called.

    It begins with a module, a running function, a coroutine or, where the root is None, anywhere.
    What no module leads to is told by the innermost function that waits.
    """
    held_by = None
    if not isinstance(root, str):
        objects = objects[_innermost(objects) :]
    first: Any = objects[0]
    frame = first if type(first) is FrameType else None
    if is_suspended(first):
        frame = frame_of(first)
    home = root if isinstance(root, str) else None
    begin = module_name(home)
    if frame is not None:
        home = _text(frame.f_globals.get("__name__"))
        begin = function_name(frame.f_code, home)
        what = f"{suspended_word(first)} {begin}" if is_suspended(first) else begin
        held_by = f"a local variable of {what}"
    labels = _labels(objects, home, names)
    last = type(objects[-1])
    told = type_name(last)
    whole = _whole(objects, labels)
    if whole:
        labels, told = labels[:-whole], type_name(type(objects[-1 - whole]))
    path = bounded(begin + "".join(labels))
    return Place(path, _TOLD_AS.get(told, told), held_by)


def _innermost(objects: list[object]) -> int:
    """Return where the last function of the application is that waits, or of any other, or 0."""
    waiting = [at for at, each in enumerate(objects[:-1]) if is_suspended(each)]
    return next((at for at in reversed(waiting) if tells_itself(objects[at])), (*waiting, 0)[0])


def _labels(objects: list[object], home: str | None, names: CodeNames) -> list[str]:
    """Return what leads from each object to the next; empty where a reader needs no word."""
    labels: list[str] = []
    owner: object = None
    for parent, child in pairwise(objects):
        if _is_thread_local(parent):
            # Within is a dictionary with the attributes of each thread.
            label, owner = "", parent
        elif _is_thread_local(owner) and type(child) is dict and _key_of_text(parent) is None:
            label = ""
        else:
            label, owner = _label(parent, child, owner, home, names)
        labels.append(label)
    if owner is not None and type(objects[-1]) is dict:
        labels[-1] += ".__dict__"
    return labels


def _is_thread_local(each: object) -> bool:
    return any(type_name(base) == "_thread._local" for base in _mro_of(type(each)))


def _key_of_text(each: object) -> str | None:
    """Return some key of a dictionary that is text."""
    keys = list(each) if type(each) is dict else []
    return next((key for key in keys if type(key) is str), None)


def _label(  # noqa: PLR0911 - one return a kind of parent
    parent: Any, child: object, owner: Any, home: str | None, names: CodeNames
) -> tuple[str, object]:
    """Return a label and, for a child that is a part of its parent, the parent."""
    kind = type(parent)
    if owner is not None:
        return _label_of_part(owner, parent, child, home, names), None
    namespace = namespace_of(parent)
    if namespace is None and derives_from(kind, type):
        namespace = _namespace_of_class(parent)
    if namespace is not None:
        return _label_in_namespace(parent, namespace, child, home, names)
    if kind is FunctionType:
        return "", parent
    if kind is MethodType:
        return (".__self__" if child is parent.__self__ else ""), None
    if derives_from(kind, CellType, staticmethod, classmethod):
        return "", None
    if derives_from(kind, *_RUNNING):
        # It leads to its frame, before 3.11, and to what it waits for.
        is_running = derives_from(type(child), *_RUNNING)
        return "" if is_running else _label_of_local(parent, child, names), None
    return _label_in_instance(parent, child, home, names)


def _label_of_local(parent: Any, child: object, names: CodeNames) -> str:
    """Return `.<local>`, with the variable's name where to ask for it leaves nothing behind."""
    frame = parent if type(parent) is FrameType else frame_of(parent)
    if sys.version_info < (3, 13) or frame is None or not frame.f_code.co_flags & CO_OPTIMIZED:
        return ".<local>"
    module = _text(frame.f_globals.get("__name__"))
    # A variable that an inner function uses as well is in a cell.
    inside = gc.get_referents(child) if type(child) is CellType else [child]
    for name, value in frame.f_locals.items():
        if any(value is each for each in inside):
            return f".<local>.{names.attribute(name, module)}"
    return ".<local>"


def _label_in_namespace(
    parent: Any,
    namespace: Mapping[str, object],
    child: object,
    home: str | None,
    names: CodeNames,
) -> tuple[str, object]:
    name = _key_of(namespace, child)
    if name is None:
        return ".__dict__", None
    modules = [home]
    if namespace_of(parent) is None:
        modules += names.modules_of(parent)
    return f".{names.attribute(name, *modules)}", None


def _label_of_part(owner: Any, part: Any, child: object, home: str | None, names: CodeNames) -> str:
    """Return what leads from the closure, the defaults or the `__dict__` of an owner to a child."""
    modules = [home]
    if type(owner) is not FunctionType:
        return f".{names.attribute(_key_of(part, child), *modules, *names.modules_of(type(owner)))}"
    modules.append(_text(owner.__globals__.get("__name__")))
    function: Any = owner
    code: Any = function.__code__
    key: object
    if part is function.__closure__:
        where = next((at for at, cell in enumerate(part) if cell is child), 0)
        return f".<closure>.{names.attribute(code.co_freevars[where], *modules)}"
    if part is function.__defaults__:
        where = next((at for at, value in enumerate(part) if value is child), 0)
        key = code.co_varnames[code.co_argcount - len(part) + where]
        return f".<default>.{names.attribute(key, *modules)}"
    key = _key_of(part, child) if type(part) is dict else None
    middle = ".<default>" if part is function.__kwdefaults__ else ""
    return f"{middle}.{names.attribute(key, *modules)}"


def _label_in_instance(  # noqa: PLR0911 - one return a way to hold
    parent: object, child: object, home: str | None, names: CodeNames
) -> tuple[str, object]:
    modules = [home, *names.modules_of(type(parent))]
    for base in _mro_of(type(parent)):
        for name, slot in _namespace_of_class(base).items():
            # Of `types.SimpleNamespace` the `__dict__` is a member, too.
            is_slot = type(slot) is MemberDescriptorType and name != "__dict__"
            if is_slot and _slot_is(slot, parent, child):
                return f".{names.attribute(name, *modules)}", None
    word = attribute_of(parent, child, names.words(*modules))
    if word is not None:
        return f".{names.attribute(word, *modules)}", None
    if type(child) is dict and is_dict_of(parent, child):
        return "", parent
    if child is type(parent):
        return ".__class__", None
    if type_name(type(parent)) == "_queue.SimpleQueue":
        return f".{ATTRIBUTE}", None
    if length(parent) is not None or derives_from(type(parent), tuple, frozenset, MappingProxyType):
        return "[...]", None
    if type_name(type(parent)) == "functools._lru_cache_wrapper":
        return "", None
    return f".{ATTRIBUTE}", None


def _slot_is(slot: Any, parent: object, child: object) -> bool:
    try:
        return slot.__get__(parent) is child
    except AttributeError:  # not set
        return False


def _key_of(namespace: Mapping[str, object], child: object) -> str | None:
    items: Iterable[tuple[str, object]] = list(namespace.items())
    return next((name for name, value in items if value is child), None)


def _whole(objects: list[object], labels: list[str]) -> int:
    """Return how many steps back that object is which the last is the inside of, or 0."""
    for steps in (1, 2):
        if len(objects) > steps:
            inside = "".join(labels[-steps:])
            bases = map(type_name, _mro_of(type(objects[-1 - steps])))
            if any(_WHOLES.get(base) == inside for base in bases):
                return steps
    return 0


def _text(value: object) -> str | None:
    return value if type(value) is str else None
