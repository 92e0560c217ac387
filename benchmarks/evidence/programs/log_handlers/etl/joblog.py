"""The log of one job, kept in memory until the job is done."""

from __future__ import annotations

import logging

logger = logging.getLogger("etl.jobs")
logger.setLevel(logging.INFO)
logger.propagate = False


class JobLogHandler(logging.Handler):
    def __init__(self, job: int) -> None:
        super().__init__()
        self.job = job
        self.lines: list[str] = []  # culprit

    def emit(self, record: logging.LogRecord) -> None:
        if getattr(record, "job", None) == self.job:
            self.lines.append(self.format(record))


def attach(job: int) -> JobLogHandler:
    handler = JobLogHandler(job)  # culprit
    handler.setFormatter(logging.Formatter("%(asctime)s job=%(job)s %(message)s"))  # culprit
    logger.addHandler(handler)  # culprit
    return handler


def detach(handler: JobLogHandler) -> None:
    logger.removeHandler(handler)
    handler.close()
