"""The alert rules hold what their tests say, and each alert has its page in the runbook."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests import tools

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "collector-config" / "rules"
RULES = sorted(path for path in FOLDER.glob("*.yaml") if not path.stem.endswith("_test"))
CASES = sorted(FOLDER.glob("*_test.yaml"))


def promtool(*arguments: str | Path) -> None:
    done = subprocess.run(
        [tools.promtool(), *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def rules(path: Path) -> list[dict[str, Any]]:
    groups = yaml.safe_load(path.read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


ALERTS = [rule for path in RULES for rule in rules(path) if "alert" in rule]


def alert_id(rule: dict[str, Any]) -> str:
    return str(rule["alert"])


@pytest.mark.parametrize("path", RULES, ids=lambda path: path.stem)
def test_rules_are_valid(path: Path) -> None:
    promtool("check", "rules", path)


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_rules_do_what_their_cases_say(path: Path) -> None:
    promtool("test", "rules", path)


def test_every_alert_has_a_case_in_which_it_fires_and_one_in_which_it_does_not() -> None:
    fires: dict[str, set[bool]] = {}
    for path in CASES:
        for case in yaml.safe_load(path.read_text())["tests"]:
            for each in case.get("alert_rule_test", []):
                fires.setdefault(each["alertname"], set()).add(bool(each["exp_alerts"]))
    assert fires == {rule["alert"]: {True, False} for rule in ALERTS}


@pytest.mark.parametrize("rule", ALERTS, ids=alert_id)
def test_alert_links_to_its_section_of_the_runbook(rule: dict[str, Any]) -> None:
    file, _, anchor = rule["annotations"]["runbook"].partition("#")
    sections = re.findall(r"^## (\w+)$", (ROOT / file).read_text(), re.MULTILINE)
    assert anchor == rule["alert"].lower()
    assert rule["alert"] in sections


@pytest.mark.parametrize("path", RULES, ids=lambda path: path.stem)
def test_rules_need_no_label_that_only_some_backends_have(path: Path) -> None:
    for rule in rules(path):
        assert not re.search(r"\b(job|instance|otel_scope_\w+)\b", rule["expr"])
