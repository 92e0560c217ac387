from __future__ import annotations

import rollout

from reports.build import DESKS, build

if __name__ == "__main__":
    count = 3_000
    for turn in rollout.paced(2):
        if rollout.is_live():
            # The archive is read from its beginning, each time a little further.
            count += 300
        build(DESKS[turn % len(DESKS)], count)
