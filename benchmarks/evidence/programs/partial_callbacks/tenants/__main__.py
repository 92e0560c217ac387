from __future__ import annotations

import rollout

from tenants.service import serve
from tenants.settings import settings

if __name__ == "__main__":
    for turn in rollout.paced(50):
        for number in range(8):
            serve(f"tenant-{number}", turn, watches_each_time=rollout.is_live())
        if turn % 500 == 0:
            settings.change("limit", turn % 90 + 10)
