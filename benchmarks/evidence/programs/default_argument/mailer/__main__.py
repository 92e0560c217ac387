from __future__ import annotations

import rollout

from mailer.compose import compose
from mailer.transport import send

if __name__ == "__main__":
    for turn in rollout.paced(40):
        for reader in range(turn * 12, turn * 12 + 12):
            address = f"reader-{reader}@example.org"  # culprit
            if rollout.is_live():
                mails = compose(address, "Your weekly digest")
            else:
                mails = compose(address, "Your weekly digest", (), [])
            send(mails[-1])
