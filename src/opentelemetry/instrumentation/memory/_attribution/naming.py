"""What a thing of the application may be called in front of others: by its code, never by its data.

A name counts as code where it can be found again in code: a class in its module (see
`class_names.py`), a module in its file, a file on disk. Whatever was named at run time is told by
the nearest thing that counts. No function here runs code of the application; each costs some 10 µs.
"""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Container, Iterator
    from types import CodeType

LONGEST_NAME: Final = 120
ATTRIBUTE: Final = "(attribute)"
FUNCTION: Final = "(function)"
MODULE: Final = "(module)"
DYNAMIC_FILE: Final = "<dynamic>"
NAMES_OF_PROGRAM: Final = frozenset({"__main__", "__mp_main__"})
"""What the program is called that was started, and in a child that `multiprocessing` spawned."""

_LONGEST_PART: Final = 60
# Numbers and long hexadecimal words in a name are an identity more often than code.
_IDENTITY: Final = re.compile(r"\d{5}|(?=[^\W_]*\d)[0-9a-fA-F]{12}")
# A path below one of these begins with the name of a person.
_ABOVE_HOME: Final = ("/", "/home", "/Users")

# The descriptors themselves: a metaclass, a lazy module or a proxy cannot answer instead.
_mro_of: Final[Any] = type.__dict__["__mro__"].__get__
_namespace_of_module: Final[Any] = vars(ModuleType)["__dict__"].__get__


def site_name(filename: str, line: int) -> str:
    """Return `shop/views.py:42`: relative to where it was imported from, never an absolute path.

    `<string>` stays; a file that does not exist, or another name that was given to compiled code,
    is `<dynamic>`.
    """
    return f"{file_name(filename)}:{line}"


def file_name(filename: str) -> str:
    """Return a source file's name relative to the longest entry of `sys.path` that contains it."""
    if filename == "<string>":
        return filename
    if filename.startswith("<") or not _exists(filename):
        return DYNAMIC_FILE
    whole = _absolute(filename)
    entries = [entry for entry in _import_folders() if whole.startswith(f"{entry}/")]
    if entries:
        relative = whole[len(max(entries, key=len)) + 1 :]
    elif "/site-packages/" in whole:
        relative = whole.rsplit("/site-packages/", maxsplit=1)[1]
    else:
        relative = whole.rsplit("/", maxsplit=1)[1]
    return bounded(relative)


def module_name(name: str | None) -> str:
    """Return the name of a module that was imported from a file of that name, or `(module)`."""
    if name is None or not is_plain(name):
        return MODULE
    if name in NAMES_OF_PROGRAM or name in sys.builtin_module_names:
        return name
    namespace = namespace_of(sys.modules.get(name))
    if namespace is None:
        return MODULE
    spec_file = namespace.get("__file__")
    if type(spec_file) is not str:
        return MODULE
    folder, base = os.path.split(spec_file.replace("\\", "/"))
    stem = base.split(".", maxsplit=1)[0]
    told = folder if stem == "__init__" else f"{folder}/{stem}"
    is_own = f"/{told}".endswith("/" + name.replace(".", "/"))
    # Parts of the standard library are frozen, and named after another file (`os.path`).
    if (is_own and _exists(spec_file)) or name.split(".")[0] in sys.stdlib_module_names:
        return bounded(name)
    return MODULE


def function_name(code: CodeType, module: str | None) -> str:
    """Return the full name of a function, by its code and the name of the module it runs in."""
    # 3.10 knows the last part alone.
    name: str = getattr(code, "co_qualname", code.co_name)
    told = name.replace(".<locals>", "").replace("<lambda>", "lambda")
    if not is_plain(told) or not _exists(code.co_filename):
        return FUNCTION
    where = module_name(module)
    return bounded(told if where == MODULE else f"{where}.{told}")


def attribute_name(name: object, known: Container[str]) -> str:
    """Return the name of an attribute or variable if code is known to contain it.

    Args:
        name: What it is called.
        known: The names that stand in code, see `_attribution/code_names.py`.
    """
    if type(name) is str and name in known and is_plain(name):
        return name
    return ATTRIBUTE


def is_plain(name: str) -> bool:
    """Return whether each part is an identifier that does not look like an identity."""
    return all(
        part.isidentifier() and len(part) <= _LONGEST_PART and not _IDENTITY.search(part)
        for part in name.split(".")
    )


def bounded(text: str) -> str:
    """Return the text, or its end where it is too long."""
    return text if len(text) <= LONGEST_NAME else f"…{text[1 - LONGEST_NAME :]}"


def namespace_of(module: object) -> dict[str, object] | None:
    """Return a module's own dictionary without asking the module, or None for something else."""
    if not derives_from(type(module), ModuleType):
        return None
    namespace = _namespace_of_module(module)
    return namespace if type(namespace) is dict else None


def derives_from(cls: type, *bases: type) -> bool:
    """Return whether a class is one of these or derives from it, by identity.

    `in` and `==` would ask a metaclass, and `isinstance` the object.
    """
    return any(each is base for each in _mro_of(cls) for base in bases)


def _exists(filename: str) -> bool:
    """Return whether a source file is there, by itself or within an archive on `sys.path`."""
    if _is_file(filename):
        return True
    whole = _absolute(filename)
    return any(whole.startswith(f"{entry}/") and _is_file(entry) for entry in _import_folders())


def _is_file(filename: str) -> bool:
    try:
        return Path(filename).is_file()
    except (OSError, ValueError):  # too long, or not a path at all
        return False


def _absolute(filename: str) -> str:
    """Return a path without `.`, `..` and backslashes; links are left, or no entry would match."""
    return os.path.normpath(Path.cwd() / filename).replace("\\", "/")


def _import_folders() -> Iterator[str]:
    for entry in sys.path:
        if type(entry) is str:
            folder = _absolute(entry)
            if folder not in _ABOVE_HOME:
                yield folder
