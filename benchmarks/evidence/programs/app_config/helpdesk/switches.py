"""Which features are on. They were for each tenant once, and are for each ticket now."""

from __future__ import annotations

from flask import Flask

FEATURES = ("is_public", "has_survey", "is_translated", "is_summarised", "has_history", "is_urgent")


def switches_for(app: Flask, ticket: int) -> dict[str, bool]:
    key = f"SWITCHES_{ticket}"
    if key not in app.config:
        app.config[key] = {f"{each}": hash((each, ticket)) % 2 == 0 for each in FEATURES}  # culprit
    return app.config[key]
