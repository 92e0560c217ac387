"""What users install: both distributions built, the wheel in an empty environment."""

from __future__ import annotations

import json
import subprocess
import sys
import tarfile
import venv
import zipfile
from pathlib import Path, PurePosixPath

import pytest

from opentelemetry.instrumentation.memory import __version__

ROOT = Path(__file__).parents[2]
PACKAGE = "opentelemetry/instrumentation/memory"
STEM = f"opentelemetry_instrumentation_memory-{__version__}"
BUILD_SECONDS = 280

# Declared, and what those declare in turn; pip and setuptools come with the environment.
DECLARED = {
    "opentelemetry-api",
    "opentelemetry-instrumentation",
    "opentelemetry-semantic-conventions",
    "psutil",
}
ALLOWED = {
    "opentelemetry-instrumentation-memory",
    *DECLARED,
    "importlib-metadata",
    "packaging",
    "pip",
    "setuptools",
    "typing-extensions",
    "wrapt",
    "zipp",
}


def run(*command: str | Path) -> str:
    ended = subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=BUILD_SECONDS, cwd="/"
    )
    assert ended.returncode == 0, f"{ended.stdout}\n{ended.stderr}"
    return ended.stdout


@pytest.fixture(scope="module")
def distributions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the sdist, and the wheel from it."""
    folder = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--outdir", folder, ROOT)
    return folder


@pytest.fixture(scope="module")
def wheel(distributions: Path) -> Path:
    return distributions / f"{STEM}-py3-none-any.whl"


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install the wheel into an environment of its own; return the folder of its programs."""
    folder = tmp_path_factory.mktemp("venv")
    venv.create(folder, with_pip=True)
    run(folder / "bin/python", "-m", "pip", "install", "--disable-pip-version-check", "-q", wheel)
    return folder / "bin"


@pytest.fixture(scope="module")
def wheel_files(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def test_two_distributions_are_built(distributions: Path) -> None:
    names = {each.name for each in distributions.iterdir() if each.name != ".gitignore"}
    assert names == {f"{STEM}.tar.gz", f"{STEM}-py3-none-any.whl"}


def test_wheel_ships_every_module_types_marker_and_licence(wheel_files: set[str]) -> None:
    source = ROOT / "src"
    modules = {each.relative_to(source).as_posix() for each in source.rglob("*.py")}
    assert {name for name in wheel_files if name.endswith(".py")} == modules
    assert f"{PACKAGE}/py.typed" in wheel_files
    assert f"{STEM}.dist-info/licenses/LICENSE" in wheel_files


def test_wheel_leaves_the_shared_namespace_to_others(wheel_files: set[str]) -> None:
    above = [PurePosixPath(PACKAGE).parent, PurePosixPath(PACKAGE).parent.parent]
    assert not wheel_files & {f"{folder}/__init__.py" for folder in above}
    outside = {
        name for name in wheel_files if not name.startswith((f"{PACKAGE}/", f"{STEM}.dist-info/"))
    }
    assert outside == set()


def test_sdist_ships_source_readme_changelog_and_licence(distributions: Path) -> None:
    with tarfile.open(distributions / f"{STEM}.tar.gz") as archive:
        names = {name.removeprefix(f"{STEM}/") for name in archive.getnames()}
    top = {name for name in names if "/" not in name}
    assert {"LICENSE", "README.md", "CHANGELOG.md", "pyproject.toml"} <= top
    assert f"src/{PACKAGE}/py.typed" in names
    assert not [name for name in names if name.startswith(("tests", ".venv", ".cache"))]


def test_empty_environment_gets_only_what_is_declared(installed: Path) -> None:
    listed = run(installed / "python", "-m", "pip", "list", "--format", "json")
    names = {each["name"].lower().replace("_", "-") for each in json.loads(listed)}
    assert names <= ALLOWED
    assert names >= DECLARED
    assert "No broken requirements" in run(installed / "python", "-m", "pip", "check")


PUBLIC_NAMES = """
import opentelemetry.instrumentation.memory as memory
for name in memory.__all__:
    getattr(memory, name)
memory.MemoryInstrumentor().instrument()
assert memory.MemoryInstrumentor().latest_sample().resident_bytes > 0
memory.MemoryInstrumentor().uninstrument()
import sys
assert not [name for name in sys.modules if name.startswith("opentelemetry.sdk")]
"""


def test_it_imports_and_samples_without_the_sdk(installed: Path) -> None:
    run(installed / "python", "-W", "error", "-c", PUBLIC_NAMES)


ENTRY_POINTS = """
from importlib.metadata import distribution
found = distribution("opentelemetry-instrumentation-memory").entry_points
for each in found:
    each.load()
print(sorted((each.group, each.name) for each in found))
"""


def test_entry_points_are_there_and_load(installed: Path) -> None:
    assert run(installed / "python", "-c", ENTRY_POINTS).strip() == str(
        [
            ("console_scripts", "opentelemetry-memory"),
            ("opentelemetry_environment_variables", "memory"),
            ("opentelemetry_instrumentor", "memory"),
        ]
    )


def test_command_line_works_without_any_extra(installed: Path) -> None:
    assert "doctor" in run(installed / "opentelemetry-memory", "--help")
    assert "statm" in run(installed / "opentelemetry-memory", "doctor")
    assert "doctor" in run(installed / "python", "-m", PACKAGE.replace("/", "."), "--help")


def test_demo_without_its_extra_says_which_one_to_install(installed: Path) -> None:
    ended = subprocess.run(
        [installed / "opentelemetry-memory", "demo", "--seconds", "1"],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert ended.returncode != 0
    assert "opentelemetry-instrumentation-memory[demo]" in ended.stdout + ended.stderr
    assert "Traceback" not in ended.stderr
