"""A Celery application whose broker is in memory."""

from __future__ import annotations

from ballast import hold_and_register
from celery import Celery
from celery.signals import worker_process_init

app = Celery("tasks", broker="memory://", backend="cache+memory://")
app.conf.broker_connection_retry_on_startup = False


@worker_process_init.connect
def _start(**_: object) -> None:
    hold_and_register()
