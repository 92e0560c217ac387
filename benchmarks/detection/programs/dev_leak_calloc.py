"""Buffers of 16 to 64 KiB from `calloc` are written and lost."""

import ctypes

from _sidecar import Run

run = Run()
libc = ctypes.CDLL(None)
libc.calloc.restype = ctypes.c_void_p
libc.calloc.argtypes = [ctypes.c_size_t, ctypes.c_size_t]
for now in run.ticks(0.1):
    run.request()
    if now > 10:
        run.mark_leak()
        if run.random.random() < 0.6:
            size = run.random.randint(16, 64) * 1024
            ctypes.memset(libc.calloc(1, size), 7, size)
