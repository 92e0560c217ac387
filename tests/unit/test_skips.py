from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

SKIPPING = """
import pytest

def test_passing():
    pass

def test_skipping():
    pytest.skip("no such program")

@pytest.mark.skipif(True, reason="not here")
def test_marked():
    pass

@pytest.mark.xfail(strict=True)
def test_expected_failure():
    assert False

@pytest.mark.optional_here("needs docker")
def test_optional():
    pytest.skip("no docker")
"""


@pytest.mark.parametrize(
    ("require_all", "outcome"),
    [
        ("1", "1 failed, 1 passed, 1 skipped, 1 xfailed, 1 error"),
        ("", "1 passed, 3 skipped, 1 xfailed"),
    ],
)
def test_skip_is_a_failure_where_all_is_required(
    require_all: str, outcome: str, tmp_path: Path
) -> None:
    file = tmp_path / "test_skipping.py"
    file.write_text(SKIPPING)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "tests.conftest", "-c", os.devnull, file]
    ended = subprocess.run(
        command,
        cwd=ROOT,
        env={**os.environ, "REQUIRE_ALL": require_all},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert outcome in ended.stdout
    assert ("nothing may be skipped; Skipped: no such program" in ended.stdout) == bool(require_all)


def test_skipped_module_is_a_failure_where_all_is_required(tmp_path: Path) -> None:
    file = tmp_path / "test_skipping.py"
    file.write_text("import pytest\npytest.importorskip('no_such_module')\n")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "tests.conftest", "-c", os.devnull, file]
    ended = subprocess.run(
        command,
        cwd=ROOT,
        env={**os.environ, "REQUIRE_ALL": "1"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode != 0
    assert "could not import 'no_such_module'" in ended.stdout
