from __future__ import annotations

import logging
import os
import random
import time

from clinic import visits

if __name__ == "__main__":
    # Everything that the package under test says, at every level.
    said = logging.FileHandler(os.environ["CLINIC_SAID"])
    said.setFormatter(logging.Formatter("%(levelname)s %(name)s %(message)s"))
    logging.getLogger("opentelemetry.instrumentation.memory").addHandler(said)
    logging.getLogger("opentelemetry.instrumentation.memory").setLevel(logging.DEBUG)
    time.sleep(4)
    visits.start()
    number = 0
    while True:
        # Uneven, as traffic is: what is always alike cannot be told apart.
        for _ in range(random.choice((0, 0, 1, 2, 5))):  # noqa: S311 - traffic
            number += 1
            visits.serve(number)
        time.sleep(0.2)
