from __future__ import annotations

import dataclasses
import logging
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from opentelemetry.instrumentation.memory import ConfigError, MemoryConfig, environment_variables
from opentelemetry.instrumentation.memory.config import allowed_options, service_identity, settings

if TYPE_CHECKING:
    from pathlib import Path

MIB = 2**20
PREFIX = "OTEL_PYTHON_MEMORY_"

DEFAULTS = {
    "min_interval_seconds": 0.5,
    "max_interval_seconds": 10.0,
    "background_sampling": True,
    "budget_percent": 0.03,
    "limit_bytes": None,
    "process_metrics": True,
    "baseline_directory": None,
    "evidence": True,
    "evidence_budget_percent": 1.0,
    "evidence_pause_seconds": 0.05,
    "evidence_frames": 1,
    "request_watch_bytes": None,
    "snapshot_directory": None,
    "snapshot_signal": False,
}

# Setting, what is written, what it means. Each holds for the variable and, as text, the keyword.
ALLOWED_TEXTS = [
    ("min_interval_seconds", "0.05", 0.05),
    ("min_interval_seconds", " 2 ", 2.0),
    ("min_interval_seconds", "1e1", 10.0),
    ("max_interval_seconds", "3600", 3600.0),
    ("max_interval_seconds", "0.5", 0.5),
    ("budget_percent", "0.001", 0.001),
    ("budget_percent", "100", 100.0),
    ("limit_bytes", "1048576", MIB),
    ("limit_bytes", "1MiB", MIB),
    ("limit_bytes", "512 MiB", 512 * MIB),
    ("limit_bytes", "1024kib", MIB),
    ("limit_bytes", " 2GiB ", 2048 * MIB),
    ("limit_bytes", "1024Ki", MIB),
    ("limit_bytes", "512Mi", 512 * MIB),
    ("limit_bytes", "2 gi", 2048 * MIB),
    ("limit_bytes", str(2**60), 2**60),
    ("background_sampling", "true", True),
    ("background_sampling", "FALSE", False),
    ("background_sampling", "1", True),
    ("background_sampling", " 0 ", False),
    ("process_metrics", "True", True),
    ("process_metrics", "false", False),
    ("baseline_directory", " /var/lib/otel memory ", "/var/lib/otel memory"),
    ("baseline_directory", "/", "/"),
    ("evidence", "false", False),
    ("evidence_budget_percent", "5", 5.0),
    ("evidence_pause_seconds", "0.5", 0.5),
    ("evidence_frames", "1", 1),
    ("evidence_frames", " 25 ", 25),
    ("request_watch_bytes", "1MiB", MIB),
    ("snapshot_directory", "/var/lib/snapshots", "/var/lib/snapshots"),
    ("snapshot_signal", "1", True),
]

REFUSED_TEXTS = [
    *(
        (name, text)
        for name in ("min_interval_seconds", "max_interval_seconds")
        for text in ("0", "0.049", "3600.1", "-1", "nan", "inf", "-inf", "5s", "soon", "1e400")
    ),
    *(("budget_percent", text) for text in ("0", "0.0009", "100.1", "nan", "1%", "-0.03")),
    *(
        ("limit_bytes", text)
        for text in (
            *("1048575", "0", "-1", "1.5GiB", "512MB", "512M", "1TiB", "MiB", "max", "1e9"),
            *("2000000000GiB", str(2**60 + 1), "9" * 5000),
            # Letters that a case-insensitive comparison takes for K and i.
            *("2048\u212aiB", "512M\u0131B", "512M\u0130B", "\u0663\u0663\u0663\u0663MiB"),
        )
    ),
    *(
        (name, text)
        for name in ("background_sampling", "process_metrics")
        for text in ("yes", "on", "2", "t", "none", "true false")
    ),
    *(("baseline_directory", text) for text in ("baselines", "./b", "~/b", "/var/\0", "true")),
    *(("evidence_pause_seconds", text) for text in ("0", "0.009", "10.1", "nan", "50ms")),
    *(("evidence_frames", text) for text in ("0", "26", "1.5", "one", "-1", "1e1")),
    *(("request_watch_bytes", text) for text in ("0", "-1", "1.5MiB")),
]

ALLOWED_WORDS = {
    "min_interval_seconds": "seconds between 0.05 and 3600",
    "max_interval_seconds": "seconds between 0.05 and 3600",
    "background_sampling": "true or false (or 1, 0)",
    "budget_percent": "percent of one core between 0.001 and 100",
    "limit_bytes": f"bytes between 1048576 and {2**60}, such as 536870912 or 512MiB "
    "(KiB, MiB, GiB or Ki, Mi, Gi)",
    "process_metrics": "true or false (or 1, 0)",
    "baseline_directory": "an absolute path, such as /var/lib/otel-memory",
    "evidence": "true or false (or 1, 0)",
    "evidence_budget_percent": "percent of one core between 0.1 and 100",
    "evidence_pause_seconds": "seconds between 0.01 and 10",
    "evidence_frames": "a whole number of frames between 1 and 25",
    "request_watch_bytes": f"bytes between 1 and {2**60}, such as 536870912 or 512MiB "
    "(KiB, MiB, GiB or Ki, Mi, Gi)",
    "snapshot_directory": "an absolute path, such as /var/lib/otel-memory",
    "snapshot_signal": "true or false (or 1, 0)",
}


def value(config: MemoryConfig, name: str) -> Any:
    return getattr(config, name)


def test_defaults_are_those_of_the_contract() -> None:
    assert dataclasses.asdict(MemoryConfig()) == DEFAULTS
    assert MemoryConfig.resolve({}, {}) == MemoryConfig()


def test_every_setting_has_a_variable_of_its_own_name_that_is_also_a_flag() -> None:
    variables = {name: setting.variable for name, setting in settings().items()}
    assert variables == {name: PREFIX + name.upper() for name in DEFAULTS}
    flags = {name for name in dir(environment_variables) if name.startswith("OTEL_")}
    assert flags == set(variables.values())
    assert all(getattr(environment_variables, name) == name for name in flags)


@pytest.mark.parametrize(("name", "text", "expected"), ALLOWED_TEXTS)
def test_variable_is_read(name: str, text: str, expected: object) -> None:
    # The other interval moves out of the way, so that the two never contradict each other here.
    others = {"min_interval_seconds": 0.05, "max_interval_seconds": 3600.0}
    others.pop(name, None)
    config = MemoryConfig.resolve(others, {settings()[name].variable: text})
    assert value(config, name) == expected
    assert type(value(config, name)) is type(expected)


@pytest.mark.parametrize(("name", "text", "expected"), ALLOWED_TEXTS)
def test_keyword_takes_the_same_texts(name: str, text: str, expected: object) -> None:
    # A declarative file may hand on a text where a number was meant.
    others = {"min_interval_seconds": 0.05, "max_interval_seconds": 3600.0}
    assert value(MemoryConfig.resolve({**others, name: text}, {}), name) == expected


@pytest.mark.parametrize(("name", "text"), REFUSED_TEXTS)
def test_bad_variable_warns_once_and_leaves_the_default(
    name: str, text: str, caplog: pytest.LogCaptureFixture
) -> None:
    variable = settings()[name].variable
    with caplog.at_level(logging.WARNING):
        config = MemoryConfig.resolve({}, {variable: text})
    assert config == MemoryConfig()
    assert [record.message for record in caplog.records] == [
        f"{variable}={text!r}: expected {ALLOWED_WORDS[name]}; using the default"
    ]


@pytest.mark.parametrize(("name", "text"), REFUSED_TEXTS)
def test_bad_keyword_raises_with_name_value_and_range(name: str, text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        MemoryConfig.resolve({name: text}, {})
    assert str(caught.value) == f"{name}={text!r}: expected {ALLOWED_WORDS[name]}"


@pytest.mark.parametrize(
    ("name", "raw"),
    [
        ("min_interval_seconds", True),
        ("min_interval_seconds", [1]),
        ("max_interval_seconds", 10**400),
        ("budget_percent", b"1"),
        ("limit_bytes", True),
        ("limit_bytes", 2.0**30),
        ("limit_bytes", 2**60 + 1),
        ("limit_bytes", -(2**30)),
        ("background_sampling", 2),
        ("background_sampling", 1.0),
        ("process_metrics", {}),
        ("baseline_directory", 1),
        ("baseline_directory", b"/var"),
        ("baseline_directory", ""),
    ],
)
def test_keyword_of_a_wrong_type_raises(name: str, raw: object) -> None:
    with pytest.raises(ConfigError, match=f"^{name}="):
        MemoryConfig(**{name: raw})


@pytest.mark.parametrize("name", [name for name in DEFAULTS if DEFAULTS[name] is not None])
def test_none_is_no_value_where_there_is_always_one(name: str) -> None:
    with pytest.raises(ConfigError, match=f"^{name}=None: expected"):
        MemoryConfig(**{name: None})
    assert MemoryConfig(limit_bytes=None).limit_bytes is None
    assert MemoryConfig(baseline_directory=None).baseline_directory is None


def test_directory_may_be_a_path(tmp_path: Path) -> None:
    config = MemoryConfig(baseline_directory=tmp_path)  # type: ignore[arg-type]
    assert config.baseline_directory == str(tmp_path)


def test_keyword_wins_over_variable_and_variable_over_default() -> None:
    environ = {
        "OTEL_PYTHON_MEMORY_BUDGET_PERCENT": "2",
        "OTEL_PYTHON_MEMORY_LIMIT_BYTES": "64MiB",
    }
    config = MemoryConfig.resolve({"budget_percent": 1}, environ)
    assert (config.budget_percent, config.limit_bytes) == (1.0, 64 * MIB)


def test_variable_that_a_keyword_overrides_is_not_even_read(
    caplog: pytest.LogCaptureFixture,
) -> None:
    environ = {"OTEL_PYTHON_MEMORY_BUDGET_PERCENT": "plenty"}
    assert MemoryConfig.resolve({"budget_percent": 1}, environ).budget_percent == 1.0
    assert not caplog.records


@pytest.mark.parametrize("text", ["", " ", "\t\n"])
def test_empty_variable_counts_as_not_set(text: str, caplog: pytest.LogCaptureFixture) -> None:
    environ = {setting.variable: text for setting in settings().values()}
    assert MemoryConfig.resolve({}, environ) == MemoryConfig()
    assert not caplog.records


def test_option_that_is_none_counts_as_not_given() -> None:
    environ = {"OTEL_PYTHON_MEMORY_BUDGET_PERCENT": "2"}
    assert MemoryConfig.resolve(dict.fromkeys(DEFAULTS), environ).budget_percent == 2.0


def test_environment_of_the_process_is_the_default_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_PYTHON_MEMORY_MAX_INTERVAL_SECONDS", "7")
    assert MemoryConfig.resolve({}).max_interval_seconds == 7.0


@pytest.mark.parametrize(
    ("options", "environ", "expected"),
    [
        ({}, {"MIN": "30", "MAX": "20"}, (0.5, 10.0)),
        ({"max_interval_seconds": 5}, {"MIN": "8"}, (0.5, 5.0)),
        ({"max_interval_seconds": 0.1}, {"MIN": "8"}, (0.1, 0.1)),
        ({"min_interval_seconds": 6}, {"MAX": "5"}, (6.0, 10.0)),
    ],
)
def test_intervals_that_contradict_each_other_fall_back_with_one_warning(
    options: dict[str, Any],
    environ: dict[str, str],
    expected: tuple[float, float],
    caplog: pytest.LogCaptureFixture,
) -> None:
    inherited = {f"{PREFIX}{name}_INTERVAL_SECONDS": text for name, text in environ.items()}
    unrelated = {"OTEL_PYTHON_MEMORY_LIMIT_BYTES": "64MiB"}
    config = MemoryConfig.resolve(options, {**inherited, **unrelated})
    assert (config.min_interval_seconds, config.max_interval_seconds) == expected
    assert config.limit_bytes == 64 * MIB
    (record,) = caplog.records
    assert record.message.startswith("min_interval_seconds=")
    assert "and max_interval_seconds=" in record.message
    assert all(name in record.message for name in inherited)


def test_keywords_that_contradict_each_other_raise() -> None:
    with pytest.raises(
        ConfigError,
        match="min_interval_seconds=5 and max_interval_seconds=1: expected the first to be at most",
    ):
        MemoryConfig(min_interval_seconds=5, max_interval_seconds=1)
    with pytest.raises(ConfigError, match="min_interval_seconds=20 and max_interval_seconds=10"):
        MemoryConfig.resolve({"min_interval_seconds": 20, "max_interval_seconds": 10}, {})


@pytest.mark.parametrize(
    ("name", "given", "expected"),
    [
        ("max_interval_seconds", "0.1", (0.1, 0.1)),
        ("max_interval_seconds", "5", (0.5, 5.0)),
        ("min_interval_seconds", "20", (20.0, 20.0)),
        ("min_interval_seconds", "2", (2.0, 10.0)),
    ],
)
def test_default_of_one_interval_gives_way_to_the_other(
    name: str, given: str, expected: tuple[float, float], caplog: pytest.LogCaptureFixture
) -> None:
    for config in (
        MemoryConfig.resolve({name: float(given)}, {}),
        MemoryConfig.resolve({}, {settings()[name].variable: given}),
    ):
        assert (config.min_interval_seconds, config.max_interval_seconds) == expected
    assert not caplog.records


@pytest.mark.parametrize(
    ("wrong", "hint"),
    [
        ("LIMIT_BYTE", f"did you mean {PREFIX}LIMIT_BYTES?"),
        ("MAX_INTERVAL_SECOND", f"did you mean {PREFIX}MAX_INTERVAL_SECONDS?"),
    ],
)
def test_misspelt_variable_is_one_warning_with_the_nearest_name(
    wrong: str, hint: str, caplog: pytest.LogCaptureFixture
) -> None:
    environ = {PREFIX + wrong: "5", f"{PREFIX}BUDGET_PERCENT": "2", "OTEL_PYTHON_LOG_LEVEL": "x"}
    assert MemoryConfig.resolve({}, environ) == MemoryConfig(budget_percent=2)
    (record,) = caplog.records
    assert record.levelname == "WARNING"
    assert record.message == f"{PREFIX}{wrong}='5': unknown variable, {hint}"


@pytest.mark.parametrize(
    ("options", "kept", "warning"),
    [
        ({"limit_bytes": "much"}, {}, "limit_bytes='much': expected bytes between 1048576"),
        ({"limit_bites": "1Gi"}, {}, "limit_bites='1Gi': unknown setting, expected one of min_"),
        (
            {"min_interval_seconds": 5, "max_interval_seconds": 1},
            {},
            "min_interval_seconds=5 and max_interval_seconds=1: expected the first",
        ),
        ({"min_interval_seconds": 20}, {"min_interval_seconds": 20.0}, None),
        ({"limit_bytes": None}, {}, None),
    ],
)
def test_options_of_a_file_are_kept_but_for_the_bad_ones(
    options: dict[str, Any],
    kept: dict[str, Any],
    warning: str | None,
    caplog: pytest.LogCaptureFixture,
) -> None:
    found = allowed_options({"budget_percent": 2, **options}, "otel.yaml")
    assert found == {"budget_percent": 2.0, **kept}
    messages = [record.message for record in caplog.records]
    assert len(messages) == (warning is not None)
    assert all(each.startswith(f"otel.yaml: {warning}") for each in messages)


def test_misspelt_option_of_a_file_suggests_the_nearest(caplog: pytest.LogCaptureFixture) -> None:
    allowed_options({"limit_bites": "1Gi"}, "otel.yaml")
    assert "did you mean limit_bytes?; ignoring it" in caplog.text


def test_bad_keyword_raises_whatever_the_environment_says(
    caplog: pytest.LogCaptureFixture,
) -> None:
    environ = {"OTEL_PYTHON_MEMORY_MIN_INTERVAL_SECONDS": "20"}
    with pytest.raises(ConfigError, match="budget_percent=0"):
        MemoryConfig.resolve({"budget_percent": 0}, environ)
    assert not caplog.records


@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        ("limit_byte", "limit_bytes"),
        ("min_interval", "min_interval_seconds"),
        ("max_intervall_seconds", "max_interval_seconds"),
        ("budget_percentage", "budget_percent"),
        ("background_sample", "background_sampling"),
        ("process_metric", "process_metrics"),
    ],
)
def test_unknown_keyword_suggests_the_nearest(wrong: str, right: str) -> None:
    with pytest.raises(ConfigError, match=rf"^{wrong}: unknown .*; did you mean {right}\?$"):
        MemoryConfig.resolve({wrong: 1}, {})


def test_unknown_keyword_that_resembles_none_lists_them_all() -> None:
    with pytest.raises(ConfigError) as caught:
        MemoryConfig.resolve({"zzz": 1}, {})
    assert str(caught.value) == f"zzz: unknown setting, expected one of {', '.join(DEFAULTS)}"


def test_settings_are_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        MemoryConfig().budget_percent = 1.0  # type: ignore[misc]


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"OTEL_SERVICE_NAME": " shop "}, ("shop", "", "")),
        (
            {"OTEL_RESOURCE_ATTRIBUTES": "service.name=shop,service.version=1.2"},
            ("shop", "1.2", ""),
        ),
        (
            {"OTEL_RESOURCE_ATTRIBUTES": "service.name=shop,service.instance.id=a-7"},
            ("shop", "", "a-7"),
        ),
        (
            {
                "OTEL_SERVICE_NAME": "shop",
                "OTEL_RESOURCE_ATTRIBUTES": "service.name=other, service.version = 2=b ,,nonsense",
            },
            ("shop", "2=b", ""),
        ),
    ],
)
def test_service_is_what_the_sdk_would_call_it(
    environ: dict[str, str], expected: tuple[str, str, str]
) -> None:
    assert service_identity(environ) == expected


def test_service_without_a_name_gets_none() -> None:
    attributes = {"OTEL_RESOURCE_ATTRIBUTES": "service.version=1.2"}
    assert service_identity({"OTEL_SERVICE_NAME": " ", **attributes}) == ("", "1.2", "")


SOME_TEXT = st.one_of(
    st.text(),
    st.floats().map(str),
    st.integers().map(str),
    st.from_regex(r"\s*\d{1,25}\s*([kKmMgG\u212a][i\u0131\u0130][bB])?\s*", fullmatch=True),
    st.sampled_from(["true", "FALSE", "0.05", "3600", "1", "0", "-0", "1_000", "0x10", "NaN"]),
)


@hypothesis_settings(derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(st.sampled_from([each.variable for each in settings().values()]), SOME_TEXT))
def test_any_environment_gives_settings_that_are_allowed(environ: dict[str, str]) -> None:
    config = MemoryConfig.resolve({}, environ)
    assert 0.05 <= config.min_interval_seconds <= config.max_interval_seconds <= 3600
    assert 0.001 <= config.budget_percent <= 100
    assert config.limit_bytes is None or MIB <= config.limit_bytes <= 2**60
    assert MemoryConfig(**dataclasses.asdict(config)) == config
