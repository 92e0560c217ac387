"""Every file in `collector-config/` is what it says: valid, on loopback, documented."""

from __future__ import annotations

import itertools
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from scripts.toolbox.golang import GO_AT_LEAST, collector_version
from tests import tools
from tests.pipeline import Collector
from tests.tools import eventually

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "collector-config"
FILES = {path.name: yaml.safe_load(path.read_text()) for path in sorted(FOLDER.glob("*.yaml"))}
PIPELINES = [name for name, content in FILES.items() if "service" in content]
OVERLAYS = [name for name in PIPELINES if "receivers" not in FILES[name]]
SCRAPES = [name for name, content in FILES.items() if "scrape_configs" in content]
OTLP = "prometheus-otlp.yaml"  # test_backends.py starts the server that understands it
COMBINATIONS = [
    ["gateway.yaml", *overlays]
    for count in range(len(OVERLAYS) + 1)
    for overlays in itertools.combinations(OVERLAYS, count)
]
SCRAPE = ROOT / "examples" / "mixed_languages" / "scrape.yaml"
DIFFERENT = [
    *(["gateway.yaml", name] for name in OVERLAYS),
    ["gateway.yaml", "languages.yaml", str(SCRAPE)],
]
BACKEND = {"BACKEND_OTLP_ENDPOINT": "http://127.0.0.1:4317"}
VARIABLE = re.compile(r"\$\{env:(\w+)(?::-([^}]*))?\}")


def validate(files: list[str], env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    options = [f"--config={FOLDER / name}" for name in files]
    return subprocess.run(
        [tools.collector(), "validate", *options],
        capture_output=True,
        text=True,
        check=False,
        env=env,
    )


def with_defaults(content: Any) -> Any:
    """Return a configuration as the collector sees it when no variable is set."""
    if isinstance(content, dict):
        return {key: with_defaults(value) for key, value in content.items()}
    if isinstance(content, list):
        return [with_defaults(value) for value in content]
    if isinstance(content, str):
        return VARIABLE.sub(lambda match: match[2] or "", content)
    return content


def test_commands_of_the_readme_name_files_from_the_root() -> None:
    readme = (FOLDER / "README.md").read_text()
    commands = re.findall(r"^(?:otelcol|prometheus) .*--config.*$", readme, re.MULTILINE)
    assert len(commands) >= 3
    for command in commands:
        named = re.findall(r"--config(?:\.file)?[ =](\S+)", command)
        assert named
        assert all((ROOT / name).is_file() for name in named), command
    assert readme.count("export PATH=$PWD/.cache/bin:$PATH") == 2


@pytest.mark.parametrize("files", DIFFERENT, ids=lambda files: Path(files[-1]).name)
def test_collector_finds_nothing_deprecated_in_what_it_runs(
    files: list[str], tmp_path: Path
) -> None:
    with Collector.on_free_ports(tmp_path, *files[1:], env=BACKEND).running() as collector:

        def has_said_all_of_its_start() -> str:
            log = collector.output()
            assert "Everything is ready" in log
            return log

        log = eventually(has_said_all_of_its_start, collector)
    assert [line for line in log.splitlines() if "deprecat" in line.lower()] == []


@pytest.mark.parametrize("files", COMBINATIONS, ids="+".join)
def test_collector_accepts_the_gateway_with_any_of_the_other_files(files: list[str]) -> None:
    result = validate(files, env=BACKEND)
    assert result.returncode == 0, result.stderr


def test_collector_accepts_headers_for_the_backend() -> None:
    env = {**BACKEND, "BACKEND_OTLP_HEADERS": '{ authorization: "Bearer secret" }'}
    result = validate(["gateway.yaml", "forward.yaml"], env=env)
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize("name", [name for name in OVERLAYS if name.startswith("forward")])
def test_forwarding_without_an_endpoint_is_refused_and_the_message_names_the_exporter(
    name: str,
) -> None:
    result = validate(["gateway.yaml", name], env={})
    assert result.returncode != 0
    assert "/backend" in result.stderr
    assert "endpoint" in result.stderr


def test_every_file_is_of_a_kind_that_is_checked() -> None:
    others = ["alertmanager.yaml", "builder.yaml", OTLP]
    assert sorted(FILES) == sorted([*others, *PIPELINES, *SCRAPES])
    assert {"gateway.yaml", *OVERLAYS} == set(PIPELINES)


@pytest.mark.parametrize("name", SCRAPES)
def test_prometheus_accepts_its_configuration(name: str) -> None:
    result = subprocess.run(
        [tools.promtool(), "check", "config", FOLDER / name],
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr


def test_prometheus_that_takes_otlp_judges_the_same_rules_and_has_the_labels_for_them() -> None:
    for section in ("rule_files", "alerting"):
        assert FILES[OTLP][section] == FILES["prometheus.yaml"][section]
    grouped = {
        label.strip()
        for labels in re.findall(
            r"\b(?:by|on) \(([^)]*)\)", (FOLDER / "rules/alerts.yaml").read_text()
        )
        for label in labels.split(",")
    }
    promoted = FILES[OTLP]["otlp"]["promote_resource_attributes"]
    assert "service_instance_id" in grouped
    assert grouped - {name.replace(".", "_") for name in promoted} == {"process_memory_segment"}


def test_gateway_listens_on_loopback_unless_told_otherwise() -> None:
    gateway = with_defaults(FILES["gateway.yaml"])
    protocols = gateway["receivers"]["otlp"]["protocols"]
    readers = gateway["service"]["telemetry"]["metrics"]["readers"]
    own_metrics = readers[0]["pull"]["exporter"]["prometheus"]
    endpoints = [
        protocols["grpc"]["endpoint"],
        protocols["http"]["endpoint"],
        gateway["exporters"]["prometheus"]["endpoint"],
        gateway["extensions"]["health_check"]["endpoint"],
        f"{own_metrics['host']}:{own_metrics['port']}",
    ]
    assert [endpoint.rpartition(":")[0] for endpoint in endpoints] == ["127.0.0.1"] * 5
    assert len(set(endpoints)) == len(endpoints)


def test_prometheus_scrapes_the_ports_that_the_gateway_opens() -> None:
    gateway = with_defaults(FILES["gateway.yaml"])
    reader = gateway["service"]["telemetry"]["metrics"]["readers"][0]
    own_metrics = reader["pull"]["exporter"]["prometheus"]
    targets = [
        target
        for job in FILES["prometheus.yaml"]["scrape_configs"]
        for group in job["static_configs"]
        for target in group["targets"]
    ]
    assert targets == [
        gateway["exporters"]["prometheus"]["endpoint"],
        f"{own_metrics['host']}:{own_metrics['port']}",
    ]


@pytest.mark.parametrize("name", PIPELINES)
def test_memory_limiter_comes_first_in_every_pipeline(name: str) -> None:
    pipelines = FILES[name]["service"]["pipelines"]
    assert {pipeline["processors"][0] for pipeline in pipelines.values()} == {"memory_limiter"}


def test_every_variable_is_in_the_readme_with_its_default_and_the_other_way_round() -> None:
    used = {
        variable: default
        for name in PIPELINES
        for variable, default in VARIABLE.findall((FOLDER / name).read_text())
    }
    rows = re.findall(r"^\| `(\w+)` \| (\S+) \|", (FOLDER / "README.md").read_text(), re.MULTILINE)
    assert {name: default.strip("`").replace("none", "") for name, default in rows} == used


def test_every_file_is_in_the_readme() -> None:
    readme = (FOLDER / "README.md").read_text()
    assert [name for name in FILES if f"`{name}`" not in readme] == []


def test_manifest_pins_one_version_of_core_and_contrib() -> None:
    manifest = FILES["builder.yaml"]
    modules = [
        entry["gomod"].split()
        for kind, entries in manifest.items()
        if kind not in {"dist", "replaces"}
        for entry in entries
    ]
    versions = {version for module, version in modules if "/confmap/provider/" not in module}
    assert versions == {f"v{manifest['dist']['version']}"}
    assert collector_version() == manifest["dist"]["version"]


def test_documents_name_the_builder_of_the_same_version() -> None:
    for name in ("builder.yaml", "README.md"):
        named = re.findall(r"cmd/builder@v([\d.]+)", (FOLDER / name).read_text())
        assert named == [collector_version()], name


# --- docker: optional, as not every machine has it ---------------------------------------

COMPOSE = yaml.safe_load((ROOT / "docker-compose.yaml").read_text())


@pytest.mark.optional_here("docker is for users who have it; nothing else depends on it")
def test_docker_accepts_the_compose_file() -> None:
    docker = shutil.which("docker")
    probe = [docker or "docker", "compose", "version"]
    if docker is None or subprocess.run(probe, capture_output=True, check=False).returncode:
        pytest.skip("there is no `docker compose` here")
    for backend in ({}, BACKEND):
        result = subprocess.run(
            [docker, "compose", "--file", ROOT / "docker-compose.yaml", "config", "--quiet"],
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, **backend},
        )
        assert result.returncode == 0, result.stderr


def test_compose_file_refers_to_files_that_exist() -> None:
    services = COMPOSE["services"]
    referred = [ROOT / services["collector"]["build"] / "Dockerfile"]
    referred += [ROOT / services["service"]["build"]["dockerfile"]]
    for volume in services["prometheus"]["volumes"]:
        referred.append(ROOT / volume.split(":")[0])
    for name in re.findall(r"/etc/otelcol/([\w-]+\.yaml)", services["collector"]["command"]):
        referred.append(FOLDER / name)
    assert len(referred) >= 5
    assert [path for path in referred if not path.is_file()] == []


def test_compose_services_depend_on_services_that_exist() -> None:
    services = COMPOSE["services"]
    named = {name for service in services.values() for name in service.get("depends_on", [])}
    named |= {
        service["network_mode"].removeprefix("service:")
        for service in services.values()
        if "network_mode" in service
    }
    assert named <= set(services)
    assert services["service"]["environment"]["OTEL_EXPORTER_OTLP_ENDPOINT"].startswith(
        "http://collector:"
    )


def test_compose_publishes_ports_on_loopback_only() -> None:
    ports = [port for service in COMPOSE["services"].values() for port in service.get("ports", [])]
    assert ports
    assert [port for port in ports if not port.startswith("127.0.0.1:")] == []


def test_collector_variables_in_the_compose_file_are_real_ones() -> None:
    used = {
        variable
        for name in PIPELINES
        for variable, _ in VARIABLE.findall((FOLDER / name).read_text())
    }
    assert set(COMPOSE["services"]["collector"]["environment"]) <= used


@pytest.mark.parametrize("dockerfile", ["Dockerfile", "sample/Dockerfile"])
def test_dockerfile_copies_files_that_exist(dockerfile: str) -> None:
    text = (FOLDER / dockerfile).read_text()
    context = FOLDER if dockerfile == "Dockerfile" else ROOT
    sources = re.findall(r"^COPY (?!--from)(\S+) ", text, re.MULTILINE)
    assert sources
    there = [(context / source).exists() or any(context.glob(source)) for source in sources]
    assert all(there), sources


def test_collector_image_is_built_with_a_go_that_is_new_enough() -> None:
    image = re.search(r"FROM golang:(\d+)\.(\d+)", (FOLDER / "Dockerfile").read_text())
    assert image is not None
    assert (int(image[1]), int(image[2])) >= GO_AT_LEAST
