"""The manifests are held against Kubernetes' schemas, and against what they refer to."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import yaml
from scripts.toolbox.golang import collector_version
from tests import tools

ROOT = Path(__file__).parents[2]
CONFIGS = ROOT / "collector-config"
FOLDER = ROOT / "examples" / "kubernetes_fleet"
CRDS = ROOT / "tests" / "data" / "crds"
FOLDERS = ["base", "hpa", "keda"]
CUSTOM = {"ServiceMonitor", "PrometheusRule", "ScaledObject"}


def documents(path: Path) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all(path.read_text()))


def kustomization(folder: str) -> dict[str, Any]:
    (content,) = documents(FOLDER / folder / "kustomization.yaml")
    return content


FILES = [
    FOLDER / folder / name
    for folder in FOLDERS
    for name in kustomization(folder)["resources"]
    if name != "../base"
]
RESOURCES = {
    f"{each['kind']}/{each['metadata']['name']}": each for path in FILES for each in documents(path)
}
RULES = {name: each for name, each in RESOURCES.items() if each["kind"] == "PrometheusRule"}
POD = RESOURCES["Deployment/sample"]["spec"]["template"]
COLLECTOR = RESOURCES["Deployment/otel-collector"]["spec"]["template"]
(SAMPLE_CONTAINER,) = POD["spec"]["containers"]
(COLLECTOR_CONTAINER,) = COLLECTOR["spec"]["containers"]
HPA = RESOURCES["HorizontalPodAutoscaler/sample"]["spec"]
SCALED = RESOURCES["ScaledObject/sample"]["spec"]
(PROMETHEUS_TRIGGER,) = [each for each in SCALED["triggers"] if each["type"] == "prometheus"]


@pytest.mark.parametrize(
    "name", [name for name, each in RESOURCES.items() if each["kind"] not in CUSTOM]
)
@pytest.mark.parametrize("version", ["1.29", "1.34"])
def test_resource_is_valid_with_no_field_too_many(name: str, version: str) -> None:
    kubernetes_validate.validate(RESOURCES[name], version, strict=True)


@pytest.mark.parametrize(
    "name", [name for name, each in RESOURCES.items() if each["kind"] in CUSTOM]
)
def test_custom_resource_is_valid_with_no_field_too_many(name: str) -> None:
    resource = RESOURCES[name]
    definition = json.loads((CRDS / f"{resource['kind']}.json").read_text())
    group, _, version = resource["apiVersion"].partition("/")
    assert group == definition["group"]
    jsonschema.validate(resource, closed(definition["versions"][version]))


def closed(schema: Any) -> Any:
    """Return a schema that allows no field it does not name, as a strict API server does."""
    if isinstance(schema, list):
        return [closed(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    is_open = schema.get("x-kubernetes-preserve-unknown-fields", False)
    found = {key: closed(value) for key, value in schema.items()}
    if isinstance(schema.get("pattern"), str):
        # Go's flags may stand anywhere, Python's at the beginning only.
        found["pattern"] = schema["pattern"].replace("^(?i)", "(?i)^")
    if isinstance(schema.get("properties"), dict) and "type" in schema and not is_open:
        found.setdefault("additionalProperties", False)
    return found


def test_a_custom_resource_with_a_field_too_many_is_refused() -> None:
    definition = json.loads((CRDS / "PrometheusRule.json").read_text())
    rule = {**RESOURCES["PrometheusRule/memory-alerts"]["spec"]["groups"][0], "intervall": "1m"}
    wrong = {**RESOURCES["PrometheusRule/memory-alerts"], "spec": {"groups": [rule]}}
    with pytest.raises(jsonschema.ValidationError, match="intervall"):
        jsonschema.validate(wrong, closed(definition["versions"]["v1"]))


def test_every_manifest_is_part_of_a_kustomization() -> None:
    values = FOLDER / "hpa" / "prometheus-adapter-values.yaml"
    kustomizations = {FOLDER / folder / "kustomization.yaml" for folder in FOLDERS}
    assert set(FOLDER.glob("*/*.yaml")) == {values, *kustomizations, *FILES}


def kustomize(folder: str) -> dict[str, dict[str, Any]]:
    command = [tools.kubectl(), "kustomize", FOLDER / folder]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    resources = list(yaml.safe_load_all(done.stdout))
    return {f"{each['kind']}/{each['metadata']['name']}": each for each in resources}


@pytest.mark.parametrize("folder", FOLDERS)
def test_kustomize_puts_the_images_of_the_readme_in(folder: str) -> None:
    images = {
        container["image"]
        for each in kustomize(folder).values()
        if each["kind"] == "Deployment"
        for container in each["spec"]["template"]["spec"]["containers"]
    }
    built = re.findall(
        r"^docker build .*-t (\S+)", (FOLDER / "README.md").read_text(), re.MULTILINE
    )
    assert images == set(built)


@pytest.mark.parametrize("folder", ["hpa", "keda"])
def test_number_of_pods_is_left_to_the_autoscaler(folder: str) -> None:
    assert "replicas" not in kustomize(folder)["Deployment/sample"]["spec"]


# --- the sample: it says who it is -----------------------------------------------------------


def test_alerts_are_those_of_the_rules() -> None:
    rules = yaml.safe_load((CONFIGS / "rules" / "alerts.yaml").read_text())
    assert RESOURCES["PrometheusRule/memory-alerts"]["spec"] == rules


def test_resource_names_what_the_alerts_group_by() -> None:
    environ = {each["name"]: each.get("value") for each in SAMPLE_CONTAINER["env"]}
    attributes = dict(each.split("=") for each in environ["OTEL_RESOURCE_ATTRIBUTES"].split(","))
    labels = {name.replace(".", "_") for name in attributes}
    grouped = {"service_version", "k8s_namespace_name", "k8s_pod_name"}
    assert grouped <= labels
    risk = RESOURCES["PrometheusRule/memory-alerts"]["spec"]["groups"][0]["rules"][0]["expr"]
    assert all(label in risk for label in grouped)
    # It would be the same in both workers, and only with it can they be told apart.
    assert "service_instance_id" not in labels


def test_variables_are_made_of_variables_above_them() -> None:
    above: set[str] = set()
    for each in SAMPLE_CONTAINER["env"]:
        assert set(re.findall(r"\$\((\w+)\)", each.get("value", ""))) <= above, each["name"]
        above.add(each["name"])
    assert len(re.findall(r"\$\(", str(SAMPLE_CONTAINER["env"]))) >= 6


def test_version_of_the_pod_is_that_of_its_image() -> None:
    tags = {each["name"]: each["newTag"] for each in kustomization("base")["images"]}
    assert tags[SAMPLE_CONTAINER["image"]] == POD["metadata"]["labels"]["app.kubernetes.io/version"]
    assert tags[COLLECTOR_CONTAINER["image"]] == collector_version()


# --- the collector: what is configured is what there is --------------------------------------


def ports(container: dict[str, Any]) -> dict[str, int]:
    return {each["name"]: each["containerPort"] for each in container["ports"]}


def test_collector_is_given_files_and_variables_that_exist() -> None:
    paths = [each.removeprefix("--config=/etc/otelcol/") for each in COLLECTOR_CONTAINER["args"]]
    text = "".join((CONFIGS / path).read_text() for path in paths)
    for each in COLLECTOR_CONTAINER["env"]:
        assert f"${{env:{each['name']}:-" in text


def test_collector_opens_its_default_ports() -> None:
    gateway = (CONFIGS / "gateway.yaml").read_text()
    defaults = dict(re.findall(r"env:(OTLP_GRPC|OTLP_HTTP|PROMETHEUS|HEALTH)_PORT:-(\d+)", gateway))
    named = {name.lower().replace("_", "-"): int(port) for name, port in defaults.items()}
    assert ports(COLLECTOR_CONTAINER) == named


@pytest.mark.parametrize("name", ["sample", "otel-collector"])
def test_service_leads_to_ports_of_its_pods(name: str) -> None:
    template = RESOURCES[f"Deployment/{name}"]["spec"]["template"]
    service = RESOURCES[f"Service/{name}"]["spec"]
    (container,) = template["spec"]["containers"]
    assert service["selector"].items() <= template["metadata"]["labels"].items()
    assert {each["targetPort"] for each in service["ports"]} <= set(ports(container))


def test_sample_sends_to_the_collector_and_prometheus_scrapes_it() -> None:
    service = RESOURCES["Service/otel-collector"]
    numbers = {each["name"]: each["port"] for each in service["spec"]["ports"]}
    environ = {each["name"]: each.get("value") for each in SAMPLE_CONTAINER["env"]}
    endpoint = f"http://{service['metadata']['name']}:{numbers['otlp-http']}"
    assert environ["OTEL_EXPORTER_OTLP_ENDPOINT"] == endpoint
    monitor = RESOURCES["ServiceMonitor/otel-collector"]["spec"]
    (scrape,) = monitor["endpoints"]
    assert (numbers[scrape["port"]], scrape["honorLabels"]) == (8889, True)
    assert monitor["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()


def test_collector_refuses_data_before_the_kernel_kills_it() -> None:
    environ = {each["name"]: each["value"] for each in COLLECTOR_CONTAINER["env"]}
    limit = COLLECTOR_CONTAINER["resources"]["limits"]["memory"]
    assert int(environ["COLLECTOR_MEMORY_LIMIT_MIB"]) < int(limit.removesuffix("Mi"))


# --- the autoscalers: bounded, and on a series that exists -----------------------------------


def rule_file(folder: Path) -> Path:
    groups = [group for each in RULES.values() for group in each["spec"]["groups"]]
    path = folder / "rules.yaml"
    path.write_text(yaml.safe_dump({"groups": groups}))
    return path


def risk(pod: str, worker: str, values: str) -> dict[str, str]:
    labels = f'service_name="sample",k8s_pod_name="{pod}",service_instance_id="{pod}-{worker}"'
    return {"series": f"process_memory_leak_risk_ratio{{{labels}}}", "values": values}


QUIET = [risk("a", "1", "0.1x9"), risk("a", "2", "0.2x9"), risk("b", "1", "0.89x9")]


@pytest.mark.parametrize(
    ("series", "wanted"),
    [
        pytest.param([], None, id="no verdicts, no number"),
        pytest.param(QUIET, 2, id="no leak, the minimum"),
        pytest.param([*QUIET, risk("c", "1", "0.9x9")], 3, id="one leaks, one more"),
        pytest.param(
            [risk("a", "1", "1x9"), risk("a", "2", "1x9"), *QUIET[2:]],
            3,
            id="two workers of one pod, one more",
        ),
        pytest.param([risk(pod, "1", "1x9") for pod in "abcde"], 4, id="all leak, two more"),
    ],
)
def test_pods_are_added_for_leaks_up_to_a_bound(
    series: list[dict[str, str]], wanted: int | None, tmp_path: Path
) -> None:
    samples = [] if wanted is None else [{"labels": "{}", "value": wanted}]
    query = PROMETHEUS_TRIGGER["metadata"]["query"]
    case = {
        "interval": "1m",
        "input_series": series,
        "promql_expr_test": [{"expr": query, "eval_time": "5m", "exp_samples": samples}],
    }
    rules = rule_file(tmp_path)
    cases = tmp_path / "cases.yaml"
    cases.write_text(yaml.safe_dump({"rule_files": [str(rules)], "tests": [case]}))
    command = [tools.promtool(), "test", "rules", cases]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_both_autoscalers_ask_for_the_recorded_number_of_pods() -> None:
    (rule,) = RESOURCES["PrometheusRule/memory-reaction"]["spec"]["groups"][0]["rules"]
    (adapter,) = documents(FOLDER / "hpa" / "prometheus-adapter-values.yaml")
    (external,) = adapter["rules"]["external"]
    (metric,) = [each["external"] for each in HPA["metrics"] if each["type"] == "External"]
    assert rule["record"] in external["seriesQuery"]
    assert rule["record"] in PROMETHEUS_TRIGGER["metadata"]["query"]
    assert metric["metric"]["name"] == external["name"]["as"]
    # A number of pods, divided by one for each.
    assert metric["target"] == {"type": "AverageValue", "averageValue": "1"}
    assert PROMETHEUS_TRIGGER["metricType"] == "AverageValue"
    assert PROMETHEUS_TRIGGER["metadata"]["threshold"] == "1"


def test_both_autoscalers_have_the_minimum_that_the_rule_counts_from() -> None:
    (rule,) = RESOURCES["PrometheusRule/memory-reaction"]["spec"]["groups"][0]["rules"]
    counted_from = int(rule["expr"].split(maxsplit=1)[0])
    replicas = RESOURCES["Deployment/sample"]["spec"]["replicas"]
    assert {replicas, HPA["minReplicas"], SCALED["minReplicaCount"]} == {counted_from}
    assert HPA["maxReplicas"] == SCALED["maxReplicaCount"]
    for autoscaler in (HPA, SCALED):
        assert autoscaler["scaleTargetRef"]["name"] == "sample"
