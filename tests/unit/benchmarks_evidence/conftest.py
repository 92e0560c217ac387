"""The benchmark is a folder of scripts: its modules are found beside `run.py`."""

import sys
from pathlib import Path

# Last, so that other benchmarks' modules of the same name stay what they are.
sys.path.append(str(Path(__file__).parents[3] / "benchmarks" / "evidence"))
