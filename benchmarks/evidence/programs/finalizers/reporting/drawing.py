from __future__ import annotations

from reporting.engine import Engine
from reporting.scratch import Scratch


def draw(engine: Engine, report: int, *, of_engine: bool) -> int:
    scratch = Scratch(report)
    scratch.clean_up_with(engine if of_engine else scratch)
    return engine.render(report)
