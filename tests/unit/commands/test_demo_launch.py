"""What the sample service is given, and what is kept from it."""

from __future__ import annotations

import pytest

from opentelemetry.instrumentation.memory import cli
from opentelemetry.instrumentation.memory._commands import demo
from opentelemetry.instrumentation.memory._commands.demo import launch


def test_what_the_user_has_set_does_not_reach_the_service() -> None:
    users = {
        "PATH": "/bin",
        "HOME": "/home/user",
        "OTEL_EXPORTER_OTLP_ENDPOINT": "http://production:4318",
        "OTEL_SDK_DISABLED": "true",
        "OTEL_CONFIG_FILE": "otel.yaml",
        "PYTHONPATH": "/elsewhere",
        "PYTHONMALLOC": "malloc",
        "HTTP_PROXY": "http://proxy",
        "http_proxy": "http://proxy",
        "GUNICORN_CMD_ARGS": "--workers 9",
        "LD_PRELOAD": "jemalloc.so",
    }
    environment = launch.service_environment(users, 4318, 1.0, 0.1)
    assert environment["PATH"] == "/bin"
    assert environment["HOME"] == "/home/user"
    assert environment["OTEL_EXPORTER_OTLP_ENDPOINT"] == "http://127.0.0.1:4318"
    assert environment["OTEL_METRIC_EXPORT_INTERVAL"] == "1000"
    assert environment["OTEL_PYTHON_MEMORY_MAX_INTERVAL_SECONDS"] == "0.1"
    assert environment["OTEL_LOGS_EXPORTER"] == "otlp"
    kept = users.keys() & environment.keys() - {"OTEL_EXPORTER_OTLP_ENDPOINT"}
    assert kept == {"PATH", "HOME"}


def test_only_this_instrumentation_runs_in_the_service() -> None:
    disabled = launch.service_environment({}, 1, 1.0, 0.1)["OTEL_PYTHON_DISABLED_INSTRUMENTATIONS"]
    assert "flask" in disabled.split(",")
    assert "memory" not in disabled.split(",")


def test_programs_are_found_beside_the_interpreter_and_not_on_path(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PATH", "")
    assert launch.program("gunicorn")
    with pytest.raises(launch.DemoError, match=r"memory\[demo\]"):
        launch.program("no-such-program")


def test_a_missing_extra_is_named_with_the_command_that_installs_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(demo, "_EXTRA_MODULES", ("rich", "no_such_module", "no_such.parent"))
    assert cli.main(["demo"]) == 2
    told = capsys.readouterr().err
    assert "no_such_module, no_such.parent" in told
    assert "pip install 'opentelemetry-instrumentation-memory[demo]'" in told
    assert len(told.splitlines()) == 1


@pytest.mark.parametrize("seconds", ["0", "-3", "nan", "inf", "soon", ""])
def test_a_run_of_no_sensible_length_is_refused(
    seconds: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ending:
        cli.main(["demo", f"--seconds={seconds}"])
    assert ending.value.code == 2
    assert "expected seconds between 1 and 86400" in capsys.readouterr().err


def test_a_service_that_ends_at_once_is_reported_with_its_last_words() -> None:
    environment = {"PATH": "", "PYTHONHOME": "/nowhere"}
    with (
        launch.Service(environment) as service,
        pytest.raises(launch.DemoError, match="exit code") as error,
    ):
        service.wait_until_ready(lambda: False)
    assert "last words" in str(error.value)
