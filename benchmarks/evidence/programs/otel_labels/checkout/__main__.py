from __future__ import annotations

import rollout

from checkout.payments import pay

if __name__ == "__main__":
    for _ in rollout.paced(30):
        for _ in range(14):
            pay(labelled=rollout.is_live())
