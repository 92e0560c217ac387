"""The names that stand in code: what an attribute or a variable may be called by."""

from __future__ import annotations

import re
import sys
from functools import lru_cache
from pathlib import Path
from types import CodeType, FunctionType
from typing import TYPE_CHECKING, Any, Final

from opentelemetry.instrumentation.memory._attribution.naming import (
    MODULE,
    attribute_name,
    derives_from,
    module_name,
    namespace_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

# Of a larger file the code in memory is asked: to read it would take too long for one step.
_LARGEST_FILE_BYTES: Final = 200_000
# Text and comments are passed over; what is left of the rest that begins like a name is one.
_WORDS: Final = re.compile(
    r'"""(?:\\.|[^\\])*?"""'
    r"|'''(?:\\.|[^\\])*?'''"
    r'|"(?:\\.|[^\\"\n])*"'
    r"|'(?:\\.|[^\\'\n])*'"
    r"|#[^\n]*"
    r"|([^\W\d]\w*)",
    re.DOTALL,
)
_SLOWEST_CODE: Final = 5000
# Of a larger file nothing is asked.
_LARGEST_SEARCHED_BYTES: Final = 4_000_000
_LONGEST_INDENT: Final = 200

_mro_of: Final[Any] = type.__dict__["__mro__"].__get__
_module_of: Final[Any] = type.__dict__["__module__"].__get__
_namespace_of_class: Final[Any] = type.__dict__["__dict__"].__get__


class CodeNames:
    """Tells the names of attributes, as far as the code of the modules concerned contains them.

    Reads the source of each module once, about 5 ms for 100 kB; the code in memory without one.
    """

    def __init__(self) -> None:
        self._words: dict[str, frozenset[str]] = {}

    def attribute(self, name: object, *modules: str | None) -> str:
        """Return an attribute's name if one of these modules contains it."""
        for module in modules:
            if module is not None and name in self._words_of(module):
                return attribute_name(name, self._words_of(module))
        return attribute_name(name, ())

    def words(self, *modules: str | None) -> frozenset[str]:
        """Return all names that one of these modules contains."""
        return frozenset().union(*(self._words_of(each) for each in modules if each is not None))

    def modules_of(self, cls: type) -> list[str | None]:
        """Return the modules whose code gives instances of a class their attributes."""
        modules = []
        for base in _mro_of(cls):
            try:
                module = _module_of(base)
            except AttributeError:
                continue
            if type(module) is str and module != "builtins":
                modules.append(module)
        return list(dict.fromkeys(modules))

    def _words_of(self, module: str) -> frozenset[str]:
        if module not in self._words:
            self._words[module] = _words_in(module)
        return self._words[module]


@lru_cache(maxsize=1024)
def is_class_in_file(name: str, file: str) -> bool | None:
    """Return whether the name of a class stands in a source file; None where there is no source.

    About 0.1 ms for 100 kB, the first time; 5 ms where no statement begins with it.

    Args:
        name: One part of it, an identifier.
        file: The path.
    """
    text = _source(file, _LARGEST_SEARCHED_BYTES)
    if text is None:
        return None
    if any(_begins_statement(text, at, at + len(name)) for at in _places(name, text)):
        return True
    if name not in text or len(text) > _LARGEST_FILE_BYTES:
        return False
    # Also a text that is nothing but the name, as in `__all__`.
    words = (each for each in _WORDS.finditer(text) if name in each.group())
    return any(each.group(1) == name or each.group()[1:-1] == name for each in words)


@lru_cache(maxsize=256)
def is_class_in_memory(name: str, module: str) -> bool:
    """Return whether code of a module that has no source contains the name of a class."""
    namespace = namespace_of(sys.modules.get(module))
    return namespace is not None and name in _words_in_memory(namespace)


def _places(name: str, text: str) -> Iterator[int]:
    at = text.find(name)
    while at >= 0:
        yield at
        at = text.find(name, at + len(name))


def _begins_statement(text: str, start: int, end: int) -> bool:
    """Return whether it is the name in `class Name`, `Name =` or `Name:` at the head of a line."""
    after = text[end : end + 3]
    if f"x{after[:1]}".isidentifier() and after:
        return False  # the name is longer
    before = text[max(start - _LONGEST_INDENT, 0) : start].rpartition("\n")[2].strip()
    return before == "class" or (not before and after.lstrip().startswith(("=", ":")))


def _words_in(module: str) -> frozenset[str]:
    namespace = namespace_of(sys.modules.get(module))
    if namespace is None or module_name(module) == MODULE:
        return frozenset()
    file = namespace.get("__file__")
    text = _source(file, _LARGEST_FILE_BYTES) if type(file) is str else None
    if text is None:
        return _words_in_memory(namespace)
    return _mangled(frozenset(filter(None, _WORDS.findall(text))), namespace)


def _source(file: str | None, most_bytes: int) -> str | None:
    """Return the text of a source file, or None where there is none, or a larger one."""
    if file is None or not file.endswith(".py"):
        return None
    try:
        # To read a pipe could take for ever.
        if not Path(file).is_file() or Path(file).stat().st_size > most_bytes:
            return None
        return Path(file).read_text(encoding="utf-8", errors="replace")
    except (OSError, ValueError):
        return None


def _mangled(words: frozenset[str], namespace: dict[str, object]) -> frozenset[str]:
    """Return the words with what `__private` becomes within each class of the module."""
    private = [word for word in words if word.startswith("__") and not word.endswith("__")]
    classes = [name for name, each in list(namespace.items()) if derives_from(type(each), type)]
    return words | {f"_{cls.lstrip('_')}{word}" for cls in classes[:200] for word in private}


def _words_in_memory(namespace: dict[str, object]) -> frozenset[str]:
    codes: list[CodeType] = []
    for each in list(namespace.values()):
        if type(each) is FunctionType and each.__globals__ is namespace:
            codes.append(each.__code__)
        elif derives_from(type(each), type) and _module_of(each) == namespace.get("__name__"):
            members = list(_namespace_of_class(each).values())
            codes += [member.__code__ for member in members if type(member) is FunctionType]
    words: set[str] = set()
    # The full name of a method has those of its classes; 3.10 does not know it. What was made from
    # a text, and not from a file, may be named by data.
    for each in codes:
        if not each.co_filename.startswith("<"):
            words.update(getattr(each, "co_qualname", "").split("."))
    for _ in range(_SLOWEST_CODE):
        if not codes:
            break
        code = codes.pop()
        words.update(code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars)
        codes += [each for each in code.co_consts if type(each) is CodeType]
    return frozenset(words)
