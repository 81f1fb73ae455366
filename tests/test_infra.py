"""What lies in infra/ fits the code, and itself. Containers are not started here."""

from __future__ import annotations

import importlib
import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from prefect.automations import Automation

from flows.attempts import STARTED_AGAIN
from flows.batches import LABEL_BATCH, LOAD_WAREHOUSE
from lazsl.settings import Job

INFRA = Path(__file__).parent.parent / "infra"


def read(name: str) -> Any:
    return yaml.safe_load((INFRA / name).read_text(encoding="utf-8"))


DEPLOYMENTS = {deployment["name"]: deployment for deployment in read("prefect.yaml")["deployments"]}


@pytest.mark.parametrize("name", DEPLOYMENTS)
def test_every_deployment_runs_a_flow_of_its_name_with_parameters_that_the_flow_has(
    name: str,
) -> None:
    deployment = DEPLOYMENTS[name]
    module, _, function = deployment["entrypoint"].rpartition(".")
    flow = getattr(importlib.import_module(module), function)
    assert flow.name == name
    given = deployment.get("parameters", {})
    assert set(given) <= set(flow.parameters.properties)
    assert set(given.get("job", {})) <= set(Job.model_fields)


def test_deployments_that_flows_start_exist() -> None:
    for name in (LABEL_BATCH, LOAD_WAREHOUSE):
        flow, _, deployment = name.partition("/")
        assert flow == deployment and deployment in DEPLOYMENTS


def test_planning_and_loading_go_one_at_a_time_and_schedules_are_off() -> None:
    for name in ("label-archive", "plan-archive", "load-warehouse"):
        assert DEPLOYMENTS[name]["concurrency_limit"] == {
            "limit": 1,
            "collision_strategy": "ENQUEUE",
        }
    schedules = [s for d in DEPLOYMENTS.values() for s in d.get("schedules", [])]
    assert len(schedules) == 2 and not any(schedule["active"] for schedule in schedules)


def test_only_the_loader_pool_touches_the_warehouse() -> None:
    pools = {name: deployment["work_pool"]["name"] for name, deployment in DEPLOYMENTS.items()}
    assert pools["load-warehouse"] == pools["relabel"] == "lazsl-loader"
    assert pools["label-batch"] == pools["plan-archive"] == "lazsl"


def test_automations_are_valid_and_agree_with_the_code() -> None:
    wanted = read("automations.yaml")["automations"]
    for one in wanted:
        for action in one["actions"]:
            if action["type"] == "call-webhook":
                action["block_document_id"] = "00000000-0000-0000-0000-000000000000"
        assert Automation(**one).name == one["name"]
    messages = [action.get("message") for one in wanted for action in one["actions"]]
    assert STARTED_AGAIN in messages


def test_containers_listen_on_loopback_have_pinned_images_and_take_secrets_from_outside() -> None:
    text = (INFRA / "compose.yaml").read_text()
    services = yaml.safe_load(text)["services"]
    ports = [port for service in services.values() for port in service.get("ports", [])]
    assert ports and all(port.startswith("127.0.0.1:") for port in ports)
    images = {service["image"] for service in services.values()}
    assert all(re.search(r":(v?\d|cpu$|cuda$)", image) for image in images), images
    secrets = re.findall(r"^ +\w*(?:PASSWORD|SECRET_ACCESS_KEY|SECRET_KEY): (.*)$", text, re.M)
    assert len(secrets) >= 3 and all(value.startswith("${") for value in secrets)
    wanted = set(re.findall(r"\$\{([A-Z_]+):\?", text))
    offered = set(re.findall(r"^([A-Z_]+)=", (INFRA / "example.env").read_text(), re.M))
    assert wanted == offered


def test_every_file_a_container_is_built_from_exists() -> None:
    dockerfile = (INFRA / "docker" / "Dockerfile").read_text()
    assert "USER lazsl" in dockerfile
    for source in ("constraints.txt", "infra"):
        assert f"COPY {source} " in dockerfile and (INFRA.parent / source).exists()


def test_the_kubernetes_template_uses_what_it_declares_and_declares_what_it_uses() -> None:
    template = json.loads((INFRA / "kubernetes" / "work-pool.json").read_text())
    used = set(re.findall(r"\{\{ (\w+) \}\}", json.dumps(template["job_configuration"])))
    assert used == set(template["variables"]["properties"])
    (container,) = template["job_configuration"]["job_manifest"]["spec"]["template"]["spec"][
        "containers"
    ]
    assert container["resources"]["limits"]["nvidia.com/gpu"] == "{{ gpus }}"
