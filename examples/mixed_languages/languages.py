"""How the service of each language is built and started.

A build is kept in `.cache/mixed_languages/` until its sources change. What cannot be built here,
because a toolchain or a package is missing, is told and left out.
"""

from __future__ import annotations

import hashlib
import shutil
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path.insert(0, str(ROOT))

from scripts import tools  # noqa: E402 - found by the line above

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

STARTER = "start"
"""The one file that every build has: a script that becomes the service."""

BUILT_BY_HAND = {"__pycache__", "node_modules", "target"}
"""Folders that are no sources, if somebody has built one of the services where it is."""

CPP_PACKAGES = (
    *("prometheus-cpp-dev", "libprometheus-cpp-core1.0", "libprometheus-cpp-pull1.0"),
    *("libcivetweb-dev", "libcivetweb1"),
)


@dataclass(frozen=True)
class Language:
    """One folder of this example.

    Attributes:
        name: Of the folder.
        needs: Programs that must be on PATH to build and to run it.
        build: Makes the service in an empty folder, into which the sources have been copied.
        start: What the shell runs in that folder.
        env: What the service is told besides.
    """

    name: str
    needs: tuple[str, ...]
    build: Callable[[Path, Path], None]
    start: str
    env: Mapping[str, str] = field(default_factory=dict)

    def tool(self) -> tools.Tool:
        """Return the build as one of the tools in the cache."""
        return tools.Tool(
            f"mixed_languages/{self.name}",
            {STARTER: STARTER},
            self._key,
            self._install,
            use_system=False,
            is_for_people=False,
            cost="building it, some seconds to minutes, once",
        )

    def starter(self) -> Path:
        """Return the script that becomes the service, after building it if need be.

        Raises:
            ToolUnavailableError: It cannot be built here; the message says why.
        """
        missing = [name for name in self.needs if shutil.which(name) is None]
        if missing:
            raise tools.ToolUnavailableError(f"no {' and no '.join(missing)} on PATH")
        tools.ensure(self.tool())
        return self.tool().folder() / STARTER

    def _key(self) -> str:
        digest = hashlib.sha256(f"{self.start}{CPP_PACKAGES}".encode())
        for each in sorted((HERE / self.name).rglob("*")):
            if each.is_file() and not BUILT_BY_HAND & {*each.parts}:
                digest.update(each.read_bytes())
        return f"{digest.hexdigest()[:12]}-{tools.platform_key()}"

    def _install(self, folder: Path, log: Path) -> None:
        ignored = shutil.ignore_patterns(*BUILT_BY_HAND)
        shutil.copytree(HERE / self.name, folder, dirs_exist_ok=True, ignore=ignored)
        self.build(folder, log)
        starter = folder / STARTER
        starter.write_text(f'#!/bin/sh\ncd "$(dirname "$0")" && exec {self.start}\n')
        starter.chmod(0o755)


def _build_nothing(folder: Path, log: Path) -> None:
    """Leave the sources as they are; the packages are in this interpreter's environment."""


def _build_node(folder: Path, log: Path) -> None:
    options = ["--omit=dev", "--ignore-scripts", "--no-audit", "--no-fund"]
    tools.run(["npm", "ci", *options], log, cwd=folder)


def _build_go(folder: Path, log: Path) -> None:
    env = {"GOTOOLCHAIN": "local", "GOWORK": "off", "CGO_ENABLED": "0"}
    go = str(tools.go_command())
    tools.run([go, "build", "-o", "service", "."], log, cwd=folder, env=env)


def _build_java(folder: Path, log: Path) -> None:
    tools.run(
        ["mvn", "--quiet", "--batch-mode", "package", f"-DoutputDirectory={folder}"],
        log,
        cwd=folder,
    )
    tools.run(["javac", "Service.java"], log, cwd=folder)


def _build_rust(folder: Path, log: Path) -> None:
    tools.run(["cargo", "build", "--release", "--locked"], log, cwd=folder)
    (folder / "target" / "release" / "service").rename(folder / "service")
    shutil.rmtree(folder / "target")


def _build_cpp(folder: Path, log: Path) -> None:
    """Compile against the distribution's prometheus-cpp, installed or unpacked beside it."""
    options = ["-std=c++17", "-O2", "service.cpp", "-o", "service"]
    libraries = ["-lprometheus-cpp-pull", "-lprometheus-cpp-core", "-lcivetweb-cpp", "-lcivetweb"]
    if not Path("/usr/include/prometheus/exposer.h").exists():
        packages = folder / "packages"
        packages.mkdir()
        for package in CPP_PACKAGES:
            tools.unpack_package(package, packages, log, instead="install prometheus-cpp-dev")
        (found,) = packages.glob("usr/lib/**/libprometheus-cpp-core.so")
        inside = found.parent.relative_to(folder)
        options += [f"-I{packages}/usr/include", f"-L{found.parent}"]
        # Old-style, so that it holds for what these libraries need, too.
        options.append(f"-Wl,--disable-new-dtags,-rpath,$ORIGIN/{inside}")
    tools.run(["g++", *options, *libraries], log, cwd=folder)


LANGUAGES = (
    # V8 sizes its young generation by load, for minutes; a small fixed one is there at once.
    Language("node", ("node", "npm"), _build_node, "node --max-semi-space-size=2 service.js"),
    Language("go", (), _build_go, "./service", {"GOMEMLIMIT": "512MiB"}),
    Language(
        "python",
        (),
        _build_nothing,
        f'"{Path(sys.executable).parent}/opentelemetry-instrument" "{sys.executable}" service.py',
        {
            # It judges itself; as often as the others are judged by what they send.
            "OTEL_PYTHON_MEMORY_MIN_INTERVAL_SECONDS": "0.25",
            "OTEL_PYTHON_MEMORY_MAX_INTERVAL_SECONDS": "0.5",
            "OTEL_PYTHON_MEMORY_BUDGET_PERCENT": "5",
            # It would send a metric of the same name.
            "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": "system_metrics",
            "PYTHONDONTWRITEBYTECODE": "1",
        },
    ),
    Language(
        "java",
        ("java", "javac", "mvn"),
        _build_java,
        "java -Xmx512m -Xmn48m -javaagent:opentelemetry-javaagent.jar -cp . Service",
        # With them come the buffers outside of the heap.
        {"OTEL_INSTRUMENTATION_RUNTIME_TELEMETRY_EMIT_EXPERIMENTAL_METRICS": "true"},
    ),
    Language("rust", ("cargo",), _build_rust, "./service"),
    Language("cpp", ("g++",), _build_cpp, "./service"),
)
