from __future__ import annotations

from collections import deque

from forms.designs import fields
from forms.schema import schema

accepted: deque[dict[str, object]] = deque(maxlen=500)
_SAMPLES = {str: "yes", int: 3, float: 0.5, bool: True}


def submit(design: int, revision: int) -> None:
    answers = {name: _SAMPLES[kind] for name, kind in fields(design).items()}
    accepted.append(schema(design, revision).model_validate(answers).model_dump())
