"""Write the parametric series of the catalogue and its manifest; seeded, needs numpy only.

    python benchmarks/detection/make_series.py

Every series has a generator of its own, seeded by its name, so adding one changes no other.
Recordings of real processes (`record.py`) are listed in `recorded.json` and joined in.
"""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import TYPE_CHECKING

from families import first, healthy_test, healthy_tuning, leaks_test, leaks_tuning, recipe

if TYPE_CHECKING:
    from collections.abc import Sequence

CATALOGUE = Path(__file__).with_name("catalogue")
HEADER = "time_s,rss,heap_used,heap_committed,native_used,limit\n"


def write_csv(path: Path, rows: Sequence[str]) -> None:
    """Write rows that compress to the same bytes each time."""
    with (
        path.open("wb") as file,
        gzip.GzipFile(filename="", fileobj=file, mode="wb", mtime=0) as out,
    ):
        out.write((HEADER + "\n".join(rows) + "\n").encode())


def main() -> None:
    """Write every series, then the manifest."""
    entries: list[dict[str, object]] = []
    for ready in first.series():
        write_csv(CATALOGUE / f"{ready.entry['name']}.csv.gz", ready.rows)
        entries.append(ready.entry)
    for family in (healthy_tuning, leaks_tuning, healthy_test, leaks_test):
        for item in family.recipes():
            write_csv(CATALOGUE / f"{item.name}.csv.gz", recipe.rows(item))
            entries.append(recipe.manifest_entry(item))
    recorded = CATALOGUE / "recorded.json"
    if recorded.exists():
        entries.extend(json.loads(recorded.read_text()))
    text = "[\n" + ",\n".join(json.dumps(entry) for entry in entries) + "\n]\n"
    (CATALOGUE / "manifest.json").write_text(text)
    print(
        f"{len(entries)} series, {sum(e['truth'] == 'leak' for e in entries)} leaks,"
        f" {sum(int(str(e['points'])) for e in entries)} samples"
    )


if __name__ == "__main__":
    main()
