"""Modules are imported on demand and names interned, until all are known."""

import importlib
import sys

from _sidecar import Run

run = Run()
modules = ["decimal", "email.message", "http.server", "unittest.mock", "xml.dom.minidom"]
modules += ["asyncio", "sqlite3", "tarfile", "zipfile", "difflib", "logging.config", "pydoc"]
known = set()
for _ in run.ticks(0.05):
    run.request()
    if modules and run.random.random() < 0.03:
        importlib.import_module(modules.pop())
    for _ in range(60):
        name = f"field_{run.random.randrange(25_000)}"
        known.add(sys.intern(name))
