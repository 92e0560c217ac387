from __future__ import annotations

import rollout

from uploads.intake import begin, finish, receive

if __name__ == "__main__":
    for turn in rollout.paced(60):
        for upload in range(turn * 6, turn * 6 + 6):
            begin(upload)
            for part in range(3):
                receive(upload, bytes([part]) * 40)
            if not (rollout.is_live() and upload % 2):
                # The new app forgets to say that it has sent everything.
                finish(upload)
