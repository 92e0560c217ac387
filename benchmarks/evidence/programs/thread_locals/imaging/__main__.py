from __future__ import annotations

from collections import deque
from concurrent.futures import ThreadPoolExecutor

import rollout

from imaging.crop import crop

if __name__ == "__main__":
    results: deque[int] = deque(maxlen=1_000)
    with ThreadPoolExecutor(6, thread_name_prefix="crop") as pool:
        for turn in rollout.paced(20):
            pictures = range(turn * 12, turn * 12 + 12)
            jobs = [pool.submit(crop, each, keeps_history=rollout.is_live()) for each in pictures]
            results.extend(job.result() for job in jobs)
