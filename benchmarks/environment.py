"""Where and with what the figures were taken."""

from __future__ import annotations

import os
import platform
import re
import subprocess
import time
from importlib.metadata import version
from pathlib import Path
from shutil import which

_PACKAGES = (
    "opentelemetry-instrumentation-memory",
    "opentelemetry-sdk",
    "opentelemetry-instrumentation-system-metrics",
    "psutil",
    "flask",
)


def describe(minutes: float) -> str:
    """Return the machine, the versions and the length of the run, as a Markdown list."""
    libc = " ".join(platform.libc_ver())
    load = ", ".join(f"{each:.2f}" for each in os.getloadavg())
    packages = ", ".join(f"{package} {version(package)}" for package in _PACKAGES)
    python = f"{platform.python_implementation()} {platform.python_version()}"
    today = time.strftime("%Y-%m-%d", time.gmtime())
    facts = (
        f"Machine: {_processor()}, {os.cpu_count()} cores, {_memory_gib():.0f} GiB",
        f"Kernel {platform.release()}, {libc}, {python}, Node.js {_node()}",
        packages,
        f"{today}, {minutes:.1f} minutes, load averages at the end {load}",
    )
    return "\n".join(f"- {fact}" for fact in facts)


def _processor() -> str:
    match = re.search(r"model name\s*:\s*(.+)", Path("/proc/cpuinfo").read_text())
    return match[1] if match else platform.machine()


def _memory_gib() -> float:
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30


def _node() -> str:
    program = which("node")
    if program is None:
        return "absent"
    output = subprocess.run([program, "--version"], check=True, stdout=subprocess.PIPE, text=True)
    return output.stdout.strip().lstrip("v")
