"""The benchmark is a folder of scripts: its modules are found beside `evaluate.py`."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[3] / "benchmarks" / "detection"))
