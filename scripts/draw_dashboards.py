"""Draw what the dashboards show of a real fleet: `make dashboards-picture`.

    python -m scripts.draw_dashboards                docs/images/dashboard_*.png
    python -m scripts.draw_dashboards --seconds 330  how long the fleet runs

The panels, their places, titles, units and expressions come from dashboards/*.json; what is drawn
is what Prometheus answers. Grafana itself does not run.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

import matplotlib as mpl
from PIL import Image
from scripts.dashboard_drawing.panels import draw_panel
from scripts.dashboard_drawing.style import FAINT
from tests.dashboard_fleet import SHOPS, fleet, sampling, twins
from tests.grafana import Board, Span

mpl.use("Agg")

from matplotlib import pyplot as plt

if TYPE_CHECKING:
    from tests.grafana import Panel

ROOT: Final = Path(__file__).resolve().parents[1]
IMAGES: Final = ROOT / "docs" / "images"
BOARDS: Final = {"fleet_overview": {}, "one_service": {"service_name": "shop"}, "language_mix": {}}
LANGUAGES: Final = ("node", "go", "java")
# Metrics come a hundred times as often as usual, so that a verdict takes minutes. That does not
# shorten the warm-up of a runtime, which would be most of what the watch sees.
WARM_UP_SECONDS: Final = 75
SHOPS_SAMPLE_SECONDS: Final = 0.25

COLUMNS: Final = 24
COLUMN_INCHES: Final = 0.62
ROW_INCHES: Final = 0.36
HEAD_ROWS: Final = 2.6
MOST_IN_A_ROW: Final = 4
COLOURS: Final = 256


def run_and_draw(seconds: float, folder: Path) -> None:
    """Run a fleet for so long, open the dashboards on it, and draw them."""
    with fleet(folder) as running:
        begin = time.time()
        running.start(SHOPS, sampling(SHOPS_SAMPLE_SECONDS))
        running.start(twins(*LANGUAGES), {})
        print(f"the fleet runs for {seconds:g} s; Prometheus: {running.url}", flush=True)
        time.sleep(max(begin + min(WARM_UP_SECONDS, seconds / 3) - time.time(), 0))
        running.start_watch()
        time.sleep(max(begin + seconds - time.time(), 0))
        span = Span(begin, time.time())
        for name, chosen in BOARDS.items():
            file = ROOT / "dashboards" / f"{name}.json"
            draw(Board(file, running.url, span, **chosen), IMAGES / f"dashboard_{name}.png")


def draw(board: Board, path: Path) -> None:
    """Draw a dashboard's panels in their places."""
    placed = _placed(list(board.panels()))
    height = max(y + h for _, (_, y, _, h) in placed)
    inches = (COLUMNS * COLUMN_INCHES, (height + HEAD_ROWS) * ROW_INCHES)
    figure = plt.figure(figsize=inches, dpi=100, facecolor="white")
    figure.text(0.012, 1 - 1.1 / (height + HEAD_ROWS), board.json["title"], size=17, weight="bold")
    figure.text(
        0.012,
        1 - 1.9 / (height + HEAD_ROWS),
        f"{board.json['description']} {board.span.seconds:.0f} s of a real fleet.",
        size=11,
        color=FAINT,
    )
    for panel, (x, y, w, h) in placed:
        box = (
            x / COLUMNS,
            1 - (y + h + HEAD_ROWS - 0.2) / (height + HEAD_ROWS),
            w / COLUMNS,
            h / (height + HEAD_ROWS),
        )
        draw_panel(figure, box, board, panel)
    figure.savefig(path)
    plt.close(figure)
    # Flat colours: a palette is half the size and looks the same.
    with Image.open(path) as image:
        image.convert("RGB").quantize(COLOURS, kmeans=1).save(path, optimize=True)
    print(f"wrote {path}, {path.stat().st_size // 1000} kB")


def _placed(panels: list[Panel]) -> list[tuple[Panel, tuple[float, float, float, float]]]:
    """Return where each panel is on the grid; repeated ones share the place of the first."""
    found = []
    for panel in panels:
        place = panel.definition["gridPos"]
        same = [each for each in panels if each.definition is panel.definition]
        width = place["w"] / min(len(same), MOST_IN_A_ROW)
        index = next(number for number, each in enumerate(same) if each is panel)
        row, column = divmod(index, MOST_IN_A_ROW)
        x, y = place["x"] + column * width, place["y"] + row * place["h"]
        found.append((panel, (x, y, width, place["h"])))
    return found


def main() -> None:
    """Run the fleet and draw."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=330.0, help="how long the fleet runs")
    options = parser.parse_args()
    IMAGES.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="fleet-") as folder:
        run_and_draw(options.seconds, Path(folder))


if __name__ == "__main__":
    main()
