"""The recording rules as a judge: asked by a real Prometheus, left out where there is none."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import evaluate
import rule_file
from scripts.make_leak_rules import MORE_WINDOWS, ONE_WINDOW
from series import labels
from tests import tools

if TYPE_CHECKING:
    import pytest

NAMES = {"ok_steady", "ok_teeth_some", "leak_linear", "leak_native"}
WANTED = [label for label in labels() if label.name in NAMES]


def test_leaks_are_found_with_a_delay_and_quiet_series_left_alone() -> None:
    tools.prometheus()
    judged = {label.name: outcome for label, outcome in rule_file.outcomes(WANTED)}
    assert judged.keys() == NAMES
    for name, outcome in judged.items():
        assert outcome.false_alarms == 0, name
        if name.startswith("leak"):
            assert outcome.is_found
            # Nothing can be said before a whole window is full: 240 of 1200 samples.
            assert outcome.delay_share is not None
            assert outcome.delay_share > 0.1
            assert outcome.final_risk in {ONE_WINDOW, MORE_WINDOWS}
        else:
            assert outcome.is_found is None
            assert outcome.final_risk == 0


def test_no_layer_of_rules_reads_what_it_records_itself() -> None:
    above: set[str] = set()
    every: list[dict[str, Any]] = []
    for layer in rule_file.layers(rule_file.RULES):
        (group,) = layer["groups"]
        for rule in group["rules"]:
            read = set(re.findall(r"process_memory:\w+(?::\w+)?", rule["expr"]))
            assert read <= above, rule["record"]
        above |= {rule["record"] for rule in group["rules"]}
        every += group["rules"]
    assert every[-1]["record"] == rule_file.VERDICT
    assert len([rule for rule in every if "labels" in rule]) == 4, "a rule for each window"


def test_without_prometheus_the_rules_are_left_out_with_the_reason(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(rule_file.tools, "find", lambda *_: None)
    assert evaluate.ask_rules(WANTED, [rule_file.JUDGE]) == {}
    assert "recording rules are left out: prometheus is missing" in capsys.readouterr().err
