"""What a mapping is for, as far as its place, its rights and its name tell.

The name of a mapped file may be data (a customer's, a token), so only the names of libraries and
interpreters are told; of other files the usual endings.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from opentelemetry.instrumentation.memory._probes.mappings import Mapping

MALLOC_HEAP: Final = "malloc heap"
MALLOC_ARENA: Final = "malloc arena"
OBJECT_ARENA: Final = "object arena"
THREAD_STACK: Final = "thread stack"
MAIN_STACK: Final = "main stack"
ANONYMOUS: Final = "anonymous"
SHARED_MEMORY: Final = "shared memory"
FILE: Final = "file"
DELETED_FILE: Final = "deleted file"
HUGE_PAGES: Final = "huge pages"
DEVICE: Final = "device"
KERNEL: Final = "kernel"

# glibc, malloc/arena.c: HEAP_MAX_SIZE. Each of the other arenas' heaps is reserved at a multiple of
# it, and made accessible from its beginning on; the rest of it stays reserved.
ARENA_ALIGNMENT: Final = 64 * 2**20
# glibc and musl put a page or two before a stack, which nobody may touch.
_LARGEST_GUARD_BYTES: Final = 64 * 1024
_DELETED: Final = " (deleted)"
_PATHS: Final = (
    ("[heap]", MALLOC_HEAP),
    ("[stack", MAIN_STACK),
    ("/dev/shm/", SHARED_MEMORY),  # noqa: S108 - compared, not written
    ("/memfd:", SHARED_MEMORY),
    ("/SYSV", SHARED_MEMORY),
    ("/dev/zero", SHARED_MEMORY),
    ("[anon_shmem:", SHARED_MEMORY),
    ("[", KERNEL),
    ("/anon_hugepage", HUGE_PAGES),
    ("anon_inode:", DEVICE),
)
_ANONYMOUS_NAME: Final = "[anon:"
# What glibc calls its own (tunable glibc.mem.decorate_maps).
_NAMES_OF_GLIBC: Final = (
    ("glibc: malloc arena", MALLOC_ARENA),
    ("glibc: malloc", ANONYMOUS),
    ("glibc: pthread stack", THREAD_STACK),
)
# What auditwheel adds to the name of a library within a wheel.
_WHEEL_HASH: Final = re.compile(r"-[0-9a-f]{8}(?=[-.])")
_LIBRARY: Final = re.compile(r"[A-Za-z_][\w+-]*(\.[\w+-]+)*\.so(\.\d{1,4})*")
_INTERPRETER: Final = re.compile(r"(python|pypy)[\d.]{0,6}")
_IDENTITY: Final = re.compile(r"\d{5}|(?=[^\W_]*\d)[0-9a-fA-F]{12}")
_WORDS: Final = re.compile(r"[A-Za-z][A-Za-z .:_+-]{0,39}")
_LONGEST_NAME: Final = 80
_ENDINGS: Final = frozenset({
    ".arrow", ".bin", ".cache", ".dat", ".db", ".feather", ".gguf", ".h5", ".idx", ".index",
    ".jar", ".mdb", ".mmap", ".mmdb", ".mo", ".npy", ".npz", ".onnx", ".parquet", ".pt", ".pyc",
    ".safetensors", ".sqlite", ".sqlite3",
})  # fmt: skip


class Kinds:
    """Tells the kind of each mapping one later, for neighbours tell what an anonymous one is."""

    def __init__(self) -> None:
        self._before: Mapping | None = None
        self._mapping: Mapping | None = None

    def next(self, after: Mapping | None) -> tuple[str, Mapping] | None:
        """Take the next mapping by address, None at the end, and return the one before it.

        None if that is only reserved or the kernel's own.
        """
        before, mapping = self._before, self._mapping
        self._before, self._mapping = mapping, after
        if mapping is None or not mapping.is_accessible:
            return None
        if mapping.path:
            kind = named_kind(mapping.path)
        elif mapping.permissions[3] == "s":
            kind = SHARED_MEMORY
        else:
            kind = _anonymous_kind(before, mapping, after)
        return None if kind == KERNEL else (kind, mapping)


def named_kind(path: str) -> str:
    """Return the kind of a mapping with a name, which may be data and is not told then."""
    if path.startswith(_ANONYMOUS_NAME):
        return _decorated_kind(path[len(_ANONYMOUS_NAME) : -1])
    for beginning, kind in _PATHS:
        if path.startswith(beginning):
            return kind
    return _file_kind(path)


def _decorated_kind(name: str) -> str:
    for beginning, kind in _NAMES_OF_GLIBC:
        if name.startswith(beginning):
            return kind
    return f"{ANONYMOUS} ({name})" if _WORDS.fullmatch(name) else f"{ANONYMOUS} (named)"


def _file_kind(path: str) -> str:
    is_deleted = path.endswith(_DELETED)
    base = path.removesuffix(_DELETED).rsplit("/", maxsplit=1)[-1]
    code = _WHEEL_HASH.sub("", base)
    if (
        (_LIBRARY.fullmatch(code) or _INTERPRETER.fullmatch(code))
        and len(code) <= _LONGEST_NAME
        and not _IDENTITY.search(code)
    ):
        return f"{code}{_DELETED}" if is_deleted else code
    if is_deleted:
        return DELETED_FILE
    dot = base.rfind(".")
    ending = base[dot:].lower() if dot >= 0 else ""
    return f"{FILE} ({ending})" if ending in _ENDINGS else FILE


def _anonymous_kind(before: Mapping | None, mapping: Mapping, after: Mapping | None) -> str:
    if _is_malloc_arena(mapping, after):
        return MALLOC_ARENA
    if before is not None and _is_thread_stack(before, mapping):
        return THREAD_STACK
    return ANONYMOUS


def _is_malloc_arena(mapping: Mapping, after: Mapping | None) -> bool:
    if mapping.start % ARENA_ALIGNMENT != 0 or "w" not in mapping.permissions:
        return False
    # Heaps that are in use as a whole are followed by nothing of their own.
    end = mapping.end
    if after is not None and after.start == end and not after.is_accessible and not after.path:
        end = after.end
    return end % ARENA_ALIGNMENT == 0


def _is_thread_stack(before: Mapping, mapping: Mapping) -> bool:
    return (
        not before.is_accessible
        and not before.path
        and before.end == mapping.start
        and before.size_bytes <= _LARGEST_GUARD_BYTES
        and mapping.size_bytes > before.size_bytes
        and "w" in mapping.permissions
    )
