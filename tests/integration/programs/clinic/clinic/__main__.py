from __future__ import annotations

import logging
import os
import time

from clinic import made_up, records, visits

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
        number += 1
        records.turn(number)
        made_up.turn(number)
        visits.turn(number)
        time.sleep(0.03)
