from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import pytest

from opentelemetry.instrumentation.memory._attribution import containers, growth
from opentelemetry.instrumentation.memory._attribution.listing import ObjectLists
from opentelemetry.instrumentation.memory._attribution.walk import Walk

if TYPE_CHECKING:
    from collections.abc import Iterator


class PatientLists(ObjectLists):
    """Lists all objects however long it takes."""

    def learn(self) -> Iterator[float]:
        return iter(())

    def why_not(self, share: float = 1.0) -> str | None:  # noqa: ARG002 - never
        return None


@pytest.fixture(scope="module")
def far_reaching_search() -> Iterator[None]:
    """Search all there is: a process that runs many tests is larger than most."""
    with pytest.MonkeyPatch.context() as patch:
        # It has more modules than the search goes through,
        patch.setattr(growth, "Walk", partial(Walk, most_nodes=500_000))
        # and more objects than could be listed quickly.
        patch.setattr(containers, "ObjectLists", PatientLists)
        yield
