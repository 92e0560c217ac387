"""The manifest is held against the schemas of Kubernetes, and against our own settings."""

from __future__ import annotations

import posixpath
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from opentelemetry.instrumentation.memory import MemoryConfig
from opentelemetry.instrumentation.memory.config import service_identity

MANIFEST = Path(__file__).parents[2] / "examples" / "kubernetes_baseline" / "deployment.yaml"
RESOURCES = {each["kind"]: each for each in yaml.safe_load_all(MANIFEST.read_text())}
POD = RESOURCES["Deployment"]["spec"]["template"]
(CONTAINER,) = POD["spec"]["containers"]
ENVIRON = {each["name"]: each["value"] for each in CONTAINER["env"]}


@pytest.mark.parametrize("resource", RESOURCES.values(), ids=RESOURCES)
@pytest.mark.parametrize("version", ["1.29", "1.34"])
def test_resource_is_valid_with_no_field_too_many(resource: dict[str, Any], version: str) -> None:
    kubernetes_validate.validate(resource, version, strict=True)


def test_validation_would_notice_a_wrong_field() -> None:
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate({**RESOURCES["Deployment"], "specs": {}}, "1.29", strict=True)


def test_baselines_are_kept_on_the_volume() -> None:
    directory = MemoryConfig.resolve({}, ENVIRON).baseline_directory
    assert directory is not None
    mounts = {each["mountPath"]: each["name"] for each in CONTAINER["volumeMounts"]}
    volumes = {each["name"]: each for each in POD["spec"]["volumes"]}
    volume = volumes[mounts[posixpath.normpath(directory)]]
    claim = RESOURCES["PersistentVolumeClaim"]
    assert volume["persistentVolumeClaim"]["claimName"] == claim["metadata"]["name"]
    assert claim["spec"]["accessModes"] == ["ReadWriteMany"]


def test_identity_is_that_of_the_image() -> None:
    name, version, _ = service_identity(ENVIRON)
    assert name == CONTAINER["name"] == RESOURCES["Deployment"]["metadata"]["name"]
    assert CONTAINER["image"].endswith(f":{version}")
    assert POD["metadata"]["labels"]["app.kubernetes.io/version"] == version


def test_selector_finds_the_pods_and_each_start_is_by_the_same_user() -> None:
    selected = RESOURCES["Deployment"]["spec"]["selector"]["matchLabels"]
    assert selected.items() <= POD["metadata"]["labels"].items()
    security = POD["spec"]["securityContext"]
    assert security["runAsNonRoot"]
    assert security["runAsUser"] == security["fsGroup"] > 0
