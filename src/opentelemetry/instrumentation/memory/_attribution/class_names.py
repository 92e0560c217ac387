"""What a class may be called in front of others: its name, if that stands in its module's code.

That a module has a class under its name does not make it code: `globals()[name] = type(name, …)`
may name it by a customer. So the source is read, and what it said is remembered.
"""

from __future__ import annotations

import os
import sys
from types import CodeType, FunctionType, MappingProxyType
from typing import Any, Final

from opentelemetry.instrumentation.memory._attribution.code_names import (
    is_class_in_file,
    is_class_in_memory,
)
from opentelemetry.instrumentation.memory._attribution.naming import (
    MODULE,
    bounded,
    derives_from,
    is_plain,
    module_name,
    namespace_of,
)

# Py_TPFLAGS_HEAPTYPE and Py_TPFLAGS_IMMUTABLETYPE: classes written in C are not the former, or are
# the latter, and their names come from C source.
_HEAP_TYPE: Final = 1 << 9
_IMMUTABLE_TYPE: Final = 1 << 8
# Made by compilers, from C and from `.proto` files: the names stand in their sources, not here.
_GENERATED: Final = (".so", ".pyd", "_pb2.py")
_FOLDER_OF_OS: Final = os.path.dirname(getattr(os, "__file__", "none/os.py"))  # noqa: PTH120 - text
_LIBRARY: Final = f"{_FOLDER_OF_OS}{os.sep}"
_OF_PYTHON: Final = sys.stdlib_module_names | frozenset(sys.builtin_module_names)

_flags_of: Final[Any] = type.__dict__["__flags__"].__get__
_module_of: Final[Any] = type.__dict__["__module__"].__get__
_qualname_of: Final[Any] = type.__dict__["__qualname__"].__get__
_mro_of: Final[Any] = type.__dict__["__mro__"].__get__
_namespace_of_class: Final[Any] = type.__dict__["__dict__"].__get__
_namespace_of_function: Final[Any] = vars(FunctionType)["__dict__"].__get__


def type_name(cls: type) -> str:
    """Return a class's full name, or what it derives from where it was made at run time."""
    if name := _name_in_code(cls):
        return name
    names = (_name_in_code(base) for base in _mro_of(cls)[1:] if base is not object)
    base = next(filter(None, names), None)
    words = "class made at run time" if base is None else f"{base} subclass made at run time"
    module = module_name(_text(_module_of, cls))
    return bounded(words if module == MODULE else f"{words} in {module}")


def _name_in_code(cls: type) -> str | None:
    module, qualname = _text(_module_of, cls), _text(_qualname_of, cls)
    if module is None or qualname is None or not is_plain(qualname.replace("<locals>.", "")):
        return None
    flags = _flags_of(cls)
    if flags & _HEAP_TYPE and not flags & _IMMUTABLE_TYPE:
        if module_name(module) == MODULE or not _is_reachable(cls, module, qualname):
            return None
    elif not is_plain(module):
        return None
    return bounded(qualname if module == "builtins" else f"{module}.{qualname}")


def _is_reachable(cls: type, module: str, qualname: str) -> bool:
    """Return whether a class is where its name says, or its body is in a function that is."""
    outer, local, inner = qualname.partition(".<locals>.")
    parts = outer.split(".")
    found: object = sys.modules.get(module)
    for part in parts:
        namespace = namespace_of(found) or _class_namespace(found)
        if namespace is None:
            return False
        found = namespace.get(part)
    # First what costs nothing: source is read for what seems to be right otherwise.
    if not local:
        return found is cls and all(_is_in_code(part, module, cls) for part in parts)
    code = _code_of(found)
    for part in inner.replace("<locals>.", "").split("."):
        code = None if code is None else _nested(code, part)
    return code is not None and all(_is_in_code(part, module, cls) for part in parts)


def _is_in_code(name: str, module: str, cls: type) -> bool:
    namespace = namespace_of(sys.modules.get(module)) or {}
    file = namespace.get("__file__")
    if type(file) is not str:
        file = None
    if module.split(".", maxsplit=1)[0] in _OF_PYTHON and (file is None or _is_of_python(file)):
        return True  # no application names anything there
    if file is not None and file.endswith(_GENERATED):
        return True
    told = None if file is None else is_class_in_file(name, file)
    if told is None:
        return is_class_in_memory(name, module)
    # A package may show as its own what a file within it defines.
    other = _file_of_methods(cls)
    return told or (other is not None and is_class_in_file(name, other) is True)


def _is_of_python(file: str) -> bool:
    return file.startswith(_LIBRARY) and "site-packages" not in file[len(_LIBRARY) :]


def _file_of_methods(cls: type) -> str | None:
    methods = (each for each in _namespace_of_class(cls).values() if type(each) is FunctionType)
    files = (method.__code__.co_filename for method in methods)
    return next((file for file in files if not file.startswith("<")), None)


def _class_namespace(found: object) -> MappingProxyType[str, object] | None:
    if not derives_from(type(found), type):
        return None
    namespace: MappingProxyType[str, object] = _namespace_of_class(found)
    return namespace


def _code_of(found: object) -> CodeType | None:
    """Return the code of a function, also of one in a decorator that uses `functools.wraps`."""
    if type(found) is staticmethod or type(found) is classmethod:
        found = found.__func__
    for _ in range(8):
        if type(found) is not FunctionType:
            return None
        wrapped = _namespace_of_function(found).get("__wrapped__")
        if wrapped is None:
            return found.__code__
        found = wrapped
    return None


def _nested(code: CodeType, name: str) -> CodeType | None:
    inner = (each for each in code.co_consts if type(each) is CodeType)
    return next((each for each in inner if each.co_name == name), None)


def _text(read: Any, cls: type) -> str | None:
    try:
        value = read(cls)
    except AttributeError:
        return None
    return value if type(value) is str else None
