"""What an instance holds by which name, without having Python make a `__dict__` for it.

From CPython 3.11 on an instance keeps its attributes without a dictionary until somebody asks for
one, and then for good. The garbage collector meets a new dictionary last, and with it all that is
reached through it. In 3.11 and 3.12 it thereby turns round the order in which it goes through those
objects, which is the order in which they lie in memory, and every full collection from then on
takes two to three times as long (printed by `benchmarks/evidence/instance_dict.py`).
"""

from __future__ import annotations

import gc
from itertools import islice
from types import FunctionType
from typing import TYPE_CHECKING, Any, Final

from opentelemetry.instrumentation.memory._attribution.looking import LARGE, length

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet

_mro_of: Final[Any] = type.__dict__["__mro__"].__get__
_namespace_of_class: Final[Any] = type.__dict__["__dict__"].__get__
_place_of_dict: Final[Any] = type.__dict__["__dictoffset__"].__get__
_NOTHING: Final = object()


def attribute_of(owner: object, child: object, words: AbstractSet[str]) -> str | None:
    """Return by which attribute an instance holds an object, or None where none of the words is it.

    None as well for what looks like its `__dict__`, unless a method uses it by a name. About 1 µs a
    word where no method does.
    """
    if not _place_of_dict(type(owner)):
        return None  # as lists and dictionaries: there are no attributes
    asked = words - _computed_by(type(owner))
    likely = asked & _used_by_methods(type(owner))
    name = _first(owner, child, likely)
    if name is None and not (type(child) is dict and is_dict_of(owner, child)):
        name = _first(owner, child, asked - likely)
    return name


def dict_of(owner: object) -> dict[str, object] | None:
    """Return the `__dict__` of an instance if there is one that keeps what the instance holds."""
    if not _place_of_dict(type(owner)) or (length(owner) or 0) > LARGE:
        return None
    referred = gc.get_referents(owner)
    return next((each for each in referred if type(each) is dict and is_dict_of(owner, each)), None)


def is_dict_of(owner: object, referred: dict[Any, object]) -> bool:
    """Return whether a dictionary that an instance refers to looks like its `__dict__`.

    All that is in it is there as an attribute; of a large one only some entries are looked at. The
    value of an attribute may look the same: ask `attribute_of` first.
    """
    computed = _computed_by(type(owner))
    try:
        entries = list(islice(referred.items(), LARGE))
    except RuntimeError:  # another thread has changed it meanwhile
        return False
    return bool(entries) and all(
        type(key) is str and (key in computed or _attribute(owner, key) is value)
        for key, value in entries
    )


def _first(owner: object, child: object, words: AbstractSet[str]) -> str | None:
    return min((word for word in words if _attribute(owner, word) is child), default=None)


def _attribute(owner: object, name: str) -> object:
    # This neither makes a `__dict__`, as `vars` does, nor calls `__getattr__`.
    try:
        return object.__getattribute__(owner, name)
    except AttributeError:
        return _NOTHING


def _computed_by(cls: type) -> set[str]:
    """Return the names for which code of the class may run, such as properties."""
    return {
        name
        for base in _mro_of(cls)
        for name, value in list(_namespace_of_class(base).items())
        if any("__get__" in _namespace_of_class(each) for each in _mro_of(type(value)))
    }


def _used_by_methods(cls: type) -> set[str]:
    """Return the names in the code of the methods, among them what they give to an instance."""
    return {
        name
        for base in _mro_of(cls)
        for method in list(_namespace_of_class(base).values())
        if type(method) is FunctionType
        for name in method.__code__.co_names
    }
