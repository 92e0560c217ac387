from __future__ import annotations

import random_series
from series import load


def test_series_of_a_name_is_the_same_each_time() -> None:
    (label, *_) = random_series.labels(each=1)
    assert load(label).rows == random_series.series(label.name).rows


def test_there_are_as_many_leaking_as_quiet_series_of_each_kind() -> None:
    labels = random_series.labels(each=2)
    leaking = [label for label in labels if label.is_leak]
    assert len(labels) == 2 * len(leaking) == 4 * len(random_series.KINDS)


def test_leak_begins_within_its_run() -> None:
    for label in random_series.labels(each=3):
        if label.leak_start_seconds is not None:
            assert 0 <= label.leak_start_seconds < 0.61 * load(label).rows[-1].time


def test_no_series_is_both_fitted_to_and_judged() -> None:
    judged = {label.name for label in random_series.labels(each=1)}
    fitted = {label.name for label in random_series.labels(random_series.FITTED_FROM, each=1)}
    assert not judged & fitted
