from __future__ import annotations

import rollout

from reporting.drawing import draw
from reporting.engine import Engine

if __name__ == "__main__":
    engine = Engine()
    for turn in rollout.paced(40):
        for report in range(turn * 12, turn * 12 + 12):
            draw(engine, report, of_engine=rollout.is_live())
