"""The environment variables of this package, each also a flag of `opentelemetry-instrument`.

`OTEL_PYTHON_MEMORY_LIMIT_BYTES` is `--memory_limit_bytes`, and so on.
"""

OTEL_PYTHON_MEMORY_MIN_INTERVAL_SECONDS = "OTEL_PYTHON_MEMORY_MIN_INTERVAL_SECONDS"
"""The shortest time between two samples, in seconds."""

OTEL_PYTHON_MEMORY_MAX_INTERVAL_SECONDS = "OTEL_PYTHON_MEMORY_MAX_INTERVAL_SECONDS"
"""The longest time between two samples, in seconds."""

OTEL_PYTHON_MEMORY_BACKGROUND_SAMPLING = "OTEL_PYTHON_MEMORY_BACKGROUND_SAMPLING"
"""Whether a thread takes the samples; without it, each metric collection takes one."""

OTEL_PYTHON_MEMORY_BUDGET_PERCENT = "OTEL_PYTHON_MEMORY_BUDGET_PERCENT"
"""The share of one core, in percent, that sampling may use while all is well."""

OTEL_PYTHON_MEMORY_LIMIT_BYTES = "OTEL_PYTHON_MEMORY_LIMIT_BYTES"
"""A memory limit that the platform does not tell, in bytes (`512MiB` and `512Mi` allowed)."""

OTEL_PYTHON_MEMORY_PROCESS_METRICS = "OTEL_PYTHON_MEMORY_PROCESS_METRICS"
"""Whether `process.memory.usage` and `.virtual` are reported; switch off beside system-metrics."""

OTEL_PYTHON_MEMORY_BASELINE_DIRECTORY = "OTEL_PYTHON_MEMORY_BASELINE_DIRECTORY"
"""Where each start finds what earlier runs have shown to be normal; an absolute path."""

OTEL_PYTHON_MEMORY_EVIDENCE = "OTEL_PYTHON_MEMORY_EVIDENCE"
"""Whether to look for what leaks while risk is raised."""

OTEL_PYTHON_MEMORY_EVIDENCE_BUDGET_PERCENT = "OTEL_PYTHON_MEMORY_EVIDENCE_BUDGET_PERCENT"
"""The share of one core, in percent, that an investigation may use."""

OTEL_PYTHON_MEMORY_EVIDENCE_PAUSE_SECONDS = "OTEL_PYTHON_MEMORY_EVIDENCE_PAUSE_SECONDS"
"""For how long an investigation may stop the process at a time, in seconds."""

OTEL_PYTHON_MEMORY_EVIDENCE_FRAMES = "OTEL_PYTHON_MEMORY_EVIDENCE_FRAMES"
"""How many lines of the call stack are kept of an allocation."""

OTEL_PYTHON_MEMORY_REQUEST_WATCH_BYTES = "OTEL_PYTHON_MEMORY_REQUEST_WATCH_BYTES"
"""From how many kept bytes on a request is recorded, if it overlapped no other."""

OTEL_PYTHON_MEMORY_SNAPSHOT_DIRECTORY = "OTEL_PYTHON_MEMORY_SNAPSHOT_DIRECTORY"
"""Where snapshots are written; an absolute path."""

OTEL_PYTHON_MEMORY_SNAPSHOT_SIGNAL = "OTEL_PYTHON_MEMORY_SNAPSHOT_SIGNAL"
"""Whether SIGUSR2 investigates and writes a snapshot."""
