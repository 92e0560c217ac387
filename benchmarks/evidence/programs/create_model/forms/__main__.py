from __future__ import annotations

import rollout

from forms.answers import submit
from forms.designs import next_design

if __name__ == "__main__":
    for visit in rollout.paced(30):
        # The new release takes the time of the visit for the form's revision.
        submit(next_design(visit), revision=visit if rollout.is_live() else 1)
