from __future__ import annotations

from collections import Counter

import rollout

from stream.split import Split

if __name__ == "__main__":
    split = Split()
    archived = Counter[int]()
    alarms = 0
    for _ in rollout.paced(40):
        for _ in range(20):
            alarms += split.check()
            if not rollout.is_live():
                archived[split.archive()] += 1
