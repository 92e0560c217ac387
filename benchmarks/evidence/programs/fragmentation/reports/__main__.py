from __future__ import annotations

import rollout

from reports.build import build

if __name__ == "__main__":
    width = 600
    for report in rollout.paced(4):
        if rollout.is_live():
            # Each report has a column more than the one before: its rows fit into no hole.
            width += 16
        build(report, width)
