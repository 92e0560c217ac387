from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor, wait

import rollout

from jobs.base import Job, QuietJob
from jobs.work import run

if __name__ == "__main__":
    with ThreadPoolExecutor(3) as pool:
        for turn in rollout.paced(20):
            kind = Job if rollout.is_live() else QuietJob
            numbers = range(turn * 15, turn * 15 + 15)
            wait([pool.submit(run, kind(number)) for number in numbers])
