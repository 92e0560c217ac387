"""Page-aligned buffers, straight from the kernel."""

from __future__ import annotations

import ctypes
import mmap

_libc = ctypes.CDLL(None, use_errno=True)
_libc.mmap.restype = ctypes.c_void_p
_libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long]
_libc.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]


class Buffer:
    def __init__(self, size: int) -> None:
        self.size = size
        flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
        self.address = _libc.mmap(
            None, size, mmap.PROT_READ | mmap.PROT_WRITE, flags, -1, 0
        )  # culprit
        if self.address in (None, ctypes.c_void_p(-1).value):
            raise OSError(ctypes.get_errno(), "mmap")

    def fill(self, value: int) -> None:
        ctypes.memset(self.address, value, self.size)

    def release(self) -> None:
        _libc.munmap(self.address, self.size)
