"""The names that stand in code: what an attribute or a variable may be called by."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any, Final

from opentelemetry.instrumentation.memory._attribution.naming import (
    MODULE,
    attribute_name,
    derives_from,
    module_name,
    namespace_of,
)

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


def _words_in(module: str) -> frozenset[str]:
    namespace = namespace_of(sys.modules.get(module))
    if namespace is None or module_name(module) == MODULE:
        return frozenset()
    file = namespace.get("__file__")
    if type(file) is str and file.endswith(".py"):
        try:
            if Path(file).stat().st_size <= _LARGEST_FILE_BYTES:
                text = Path(file).read_text(encoding="utf-8", errors="replace")
                return _mangled(frozenset(filter(None, _WORDS.findall(text))), namespace)
        except (OSError, ValueError):
            pass
    return _words_in_memory(namespace)


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
    for _ in range(_SLOWEST_CODE):
        if not codes:
            break
        code = codes.pop()
        words.update(code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars)
        codes += [each for each in code.co_consts if type(each) is CodeType]
    return frozenset(words)
