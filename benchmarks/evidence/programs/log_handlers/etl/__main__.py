from __future__ import annotations

import rollout

from etl.jobs import run

if __name__ == "__main__":
    for job in rollout.paced(25):
        run(job, in_parallel=rollout.is_live())
