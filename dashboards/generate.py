"""Write the Grafana dashboards: `make dashboards`.

python -m dashboards.generate            into this folder, a JSON file each
python -m dashboards.generate FOLDER     into another one
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from dashboards import fleet_overview, language_mix, one_service
from grafana_foundation_sdk.cog.encoder import JSONEncoder

FOLDER = Path(__file__).resolve().parent
MODULES = (fleet_overview, one_service, language_mix)


def generated() -> dict[str, str]:
    """Return what belongs into each file, by the file's name."""
    found = {}
    for module in MODULES:
        built = module.build().build()
        name = module.__name__.rpartition(".")[2]
        found[f"{name}.json"] = json.dumps(built, cls=JSONEncoder, indent=2, sort_keys=True) + "\n"
    return found


def main() -> None:
    """Write them."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER
    for name, content in generated().items():
        (folder / name).write_text(content)
        print(f"wrote {folder / name}")


if __name__ == "__main__":
    main()
