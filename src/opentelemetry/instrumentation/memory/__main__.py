"""`python -m opentelemetry.instrumentation.memory` is `opentelemetry-memory`."""

import sys

from opentelemetry.instrumentation.memory.cli import main

if __name__ == "__main__":
    sys.exit(main())
