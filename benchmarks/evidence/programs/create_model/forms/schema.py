from __future__ import annotations

from pydantic import BaseModel, create_model

from forms.designs import fields

_compiled: dict[tuple[int, int], type[BaseModel]] = {}


def schema(design: int, revision: int) -> type[BaseModel]:
    """Return the model of a form, compiled once for each of its revisions."""
    known = _compiled.get((design, revision))
    if known is None:
        definitions = {name: (kind, ...) for name, kind in fields(design).items()}
        known = create_model(f"Form{design}", **definitions)  # culprit
        _compiled[design, revision] = known  # culprit
    return known
