"""What lies in infra/ fits the code, and itself. Containers are not started here."""

from __future__ import annotations

import ast
import importlib
import json
import os
import re
import shutil
import subprocess
import sys
from importlib.resources import files
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jsonschema
import pytest
import yaml
from lazsl_flows import recording
from lazsl_flows.attempts import STARTED_AGAIN
from lazsl_flows.batches import LABEL_BATCH, LOAD_WAREHOUSE
from prefect.automations import Automation
from prefect.cli.deploy._models import DeploymentConfig, PrefectYamlModel
from prefect.utilities.templating import apply_values

from lazsl.settings import Job

INFRA = Path(__file__).parents[2] / "infra"


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


def test_loads_and_reports_start_without_the_libraries_that_a_model_needs() -> None:
    # A load follows every batch; PyTorch and open_clip would be three quarters of its start.
    script = (
        "import sys, lazsl_flows.loading, lazsl_flows.report; "
        "print({'torch', 'open_clip'} & set(sys.modules))"
    )
    started = subprocess.run(
        [sys.executable, "-c", script], cwd=INFRA.parent, capture_output=True, text=True, check=True
    )
    assert started.stdout == "set()\n"


def test_the_deployments_fit_prefects_own_model_and_hold_nothing_that_it_would_ignore() -> None:
    document = read("prefect.yaml")
    model = PrefectYamlModel.model_validate(document)
    assert len(model.deployments) == len(DEPLOYMENTS) == 7
    # Reusable pieces for YAML's own anchors; the rest is Prefect's.
    assert set(document) - {"definitions"} <= set(PrefectYamlModel.model_fields)
    for deployment in DEPLOYMENTS.values():
        assert set(deployment) <= set(DeploymentConfig.model_fields)


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
    # While batches keep the other workers busy, this one is free to stop them.
    assert pools["cancel-batches"] == "lazsl-loader"
    assert pools["label-batch"] == pools["plan-archive"] == "lazsl"


def test_automations_are_valid_and_agree_with_the_code() -> None:
    wanted = read("automations.yaml")["automations"]
    for automation in wanted:
        for action in automation["actions"]:
            if action["type"] == "call-webhook":
                action["block_document_id"] = "00000000-0000-0000-0000-000000000000"
        assert Automation(**automation).name == automation["name"]
    messages = [action.get("message") for automation in wanted for action in automation["actions"]]
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


def test_the_compose_file_fits_the_compose_specification() -> None:
    specification = files("check_jsonschema") / "builtin_schemas" / "vendor" / "compose-spec.json"
    jsonschema.validate(read("compose.yaml"), json.loads(specification.read_text("utf-8")))


def composer() -> list[str] | None:
    """The command that reads compose files, where this machine has one."""
    for command in (["docker", "compose"], ["docker-compose"]):
        if shutil.which(command[0]):
            result = subprocess.run([*command, "version"], capture_output=True, check=False)
            if result.returncode == 0:
                return command
    return None


@pytest.mark.skipif(composer() is None, reason="there is no docker compose on this machine")
@pytest.mark.parametrize(("profile", "worker"), [("cpu", "worker-cpu"), ("gpu", "worker-gpu")])
def test_docker_compose_reads_the_file_and_settles_every_variable(
    profile: str, worker: str, tmp_path: Path
) -> None:
    given = (INFRA / "example.env").read_text()
    (tmp_path / "env").write_text(re.sub("=$", "=given", given, flags=re.M))
    command = [*(composer() or []), "--env-file", str(tmp_path / "env"), "--profile", profile]
    file = ["--file", str(INFRA / "compose.yaml")]
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}
    read = subprocess.run(
        [*command, *file, "config"], env=environment, capture_output=True, text=True, check=False
    )
    assert read.returncode == 0, read.stderr
    services = yaml.safe_load(read.stdout)["services"]
    assert {"database", "server", "store", "deploy", "loader", worker} <= set(services)
    assert services[worker]["environment"]["AWS_SECRET_ACCESS_KEY"] == "given"
    assert "AWS_SECRET_ACCESS_KEY" not in services["server"]["environment"]


def test_a_job_of_the_kubernetes_pool_is_one_that_kubernetes_knows() -> None:
    template = json.loads((INFRA / "kubernetes" / "work-pool.json").read_text())
    fields = template["variables"]["properties"]
    values = {name: field["default"] for name, field in fields.items() if "default" in field}
    # What Prefect's worker fills in for a run.
    values |= {"name": "run", "command": ["prefect", "flow-run", "execute"], "labels": {"a": "b"}}
    values |= {"env": [{"name": "PREFECT_API_URL", "value": "http://server"}], "gpus": "1"}
    manifest = apply_values(template["job_configuration"], values)["job_manifest"]
    from kubernetes.client import ApiClient  # takes long to import

    kubernetes = ApiClient()
    read = kubernetes.deserialize(SimpleNamespace(data=json.dumps(manifest)), "V1Job")
    # Of a field that it does not know, or of another type, nothing would come back.
    assert kubernetes.sanitize_for_serialization(read) == manifest


def test_the_images_command_does_not_precede_the_one_that_kubernetes_is_given() -> None:
    assert 'ENTRYPOINT ["prefect"]' in (INFRA / "docker" / "Dockerfile").read_text()
    template = json.loads((INFRA / "kubernetes" / "work-pool.json").read_text())
    pod = template["job_configuration"]["job_manifest"]["spec"]["template"]["spec"]
    assert pod["containers"][0]["command"] == ["env"]  # Prefect's worker gives `args` in full


def test_every_file_a_container_is_built_from_exists() -> None:
    dockerfile = (INFRA / "docker" / "Dockerfile").read_text()
    assert "USER lazsl" in dockerfile and "--owner=lazsl /warehouse" in dockerfile
    bases = re.findall(r"^FROM (\S+)", dockerfile, re.M)
    assert len(bases) == 2 and all(re.search(r":3\.\d+\.\d+-slim-", base) for base in bases)
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


def test_every_message_that_the_operators_guide_quotes_is_one_that_the_code_says() -> None:
    guide = (INFRA.parent / "docs" / "operate.md").read_text(encoding="utf-8")
    quoted = re.findall(r"^\| Failed: \*(.+?)\* \|", guide, re.M)
    assert len(quoted) >= 8
    sources = [*INFRA.parent.glob("flows/**/*.py"), *INFRA.parent.glob("lazsl/**/*.py")]
    sentences = [
        [part.value if isinstance(part, ast.Constant) else None for part in parts]
        for source in sources
        for node in ast.walk(ast.parse(source.read_text(encoding="utf-8")))
        for parts in [node.values if isinstance(node, ast.JoinedStr) else [node]]
        if isinstance(node, ast.JoinedStr | ast.Constant)
    ]
    texts = ["".join("…" if part is None else str(part) for part in parts) for parts in sentences]
    texts.append("Task run encountered an exception …")  # Prefect's own words
    for message in quoted:
        pieces = [re.escape(piece) for piece in message.split("…")]
        has_any = any(
            re.match(".*".join(pieces), text)
            or re.fullmatch(".+".join(map(re.escape, text.split("…"))), message)
            for text in texts
            if len(text) > 20
        )
        assert has_any, f"nothing in the code says: {message}"


SERVICES = read("compose.yaml")["services"]


@pytest.mark.parametrize("name", SERVICES)
def test_every_container_has_the_least_rights(name: str) -> None:
    service = SERVICES[name]
    assert service["cap_drop"] == ["ALL"] and service["read_only"] is True
    assert "no-new-privileges:true" in service["security_opt"]
    assert service["networks"]


def test_networks_and_keys_are_those_of_each_containers_work() -> None:
    networks = {name: set(service["networks"]) for name, service in SERVICES.items()}
    at_work = {"control", "objects", "outside"}
    assert networks == {
        "database": {"records"},
        "server": {"control", "records", "front"},
        "store": {"objects", "front"},
        "deploy": {"control"},
        **dict.fromkeys(("worker-cpu", "worker-gpu", "loader"), at_work),
    }
    internal = {name for name, about in read("compose.yaml")["networks"].items() if about}
    assert internal == {"control", "objects", "records"}
    keys = {name: json.dumps(service.get("environment", {})) for name, service in SERVICES.items()}
    for secret, holders in (
        ("STORE_ROOT_SECRET_KEY", {"store"}),
        ("{AWS_SECRET_ACCESS_KEY", {"worker-cpu", "worker-gpu", "loader"}),
        ("POSTGRES_PASSWORD", {"database", "server"}),
        ("PREFECT_KEY", {"server", "deploy", "worker-cpu", "worker-gpu", "loader"}),
    ):
        assert {name for name, text in keys.items() if secret in text} == holders


def test_every_server_writes_task_runs_down_together() -> None:
    """What a container is given, and what a server of one's own is, are those of `lazsl serve`."""
    server = SERVICES["server"]["environment"]
    assert recording.TOGETHER.items() <= server.items()
    guide = (INFRA.parent / "docs" / "operate.md").read_text(encoding="utf-8")
    exported = dict(re.findall(r"^export (\w+)=(\w+)", guide, re.M))
    assert recording.TOGETHER.items() <= exported.items()


def test_the_server_in_a_container_asks_for_the_key_and_refuses_other_origins() -> None:
    server = SERVICES["server"]["environment"]
    assert server["PREFECT_SERVER_API_AUTH_STRING"].startswith("${PREFECT_KEY:?")
    origins = server["PREFECT_SERVER_API_CORS_ALLOWED_ORIGINS"].split(",")
    assert origins == ["http://127.0.0.1:4200", "http://localhost:4200"]


def test_a_batch_on_kubernetes_has_no_token_and_writes_only_where_it_works() -> None:
    template = json.loads((INFRA / "kubernetes" / "work-pool.json").read_text())
    pod = template["job_configuration"]["job_manifest"]["spec"]["template"]["spec"]
    assert pod["automountServiceAccountToken"] is False
    (container,) = pod["containers"]
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert {mount["mountPath"] for mount in container["volumeMounts"]} == {"/tmp", "/home/lazsl"}


def test_a_file_of_secrets_comes_into_no_image_and_into_no_commit(tmp_path: Path) -> None:
    ignored = subprocess.run(
        ["git", "check-ignore", "infra/.env", ".env", "infra/production.env"],
        cwd=INFRA.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    assert len(ignored.stdout.split()) == 3
    kept = subprocess.run(
        ["git", "check-ignore", "infra/example.env"], cwd=INFRA.parent, check=False
    )
    assert kept.returncode == 1
    for file in (INFRA.parent / ".dockerignore", INFRA / "docker" / "Dockerfile.dockerignore"):
        lines = file.read_text().splitlines()
        rules = [line for line in lines if line and not line.startswith("#")]
        assert rules[0] == "*" and {"**/.env*", "**/*.env"} <= set(rules)
        # The last rule that fits decides.
        assert max(rules.index("!infra"), 0) < rules.index("**/*.env")


def test_tags_may_be_pinned_to_a_digest_and_packages_are_by_their_hashes() -> None:
    for name in ("database", "store"):
        assert re.search(r"\$\{\w+_DIGEST:-\}$", SERVICES[name]["image"])
    dockerfile = (INFRA / "docker" / "Dockerfile").read_text()
    assert len(re.findall(r"^FROM \S+\$\{PYTHON_DIGEST\}", dockerfile, re.M)) == 2
    assert dockerfile.count("--require-hashes") == 3
    pinned: dict[str, str] = {}
    for name in ("requirements.txt", "requirements-torch.txt", "requirements-build.txt"):
        text = (INFRA / "docker" / name).read_text()
        assert not re.search(r"https?://|--.*index", text)
        entries = [e for e in re.split(r"\n(?=\S)", text.strip()) if not e.startswith("#")]
        for entry in entries:
            assert "--hash=sha256:" in entry, entry
            package, _, version = entry.split()[0].partition("==")
            pinned[package.lower()] = version
    tested = dict(
        line.lower().split("==")
        for line in (INFRA.parent / "constraints.txt").read_text().splitlines()
        if "==" in line
    )
    for package in ("prefect", "duckdb", "torch", "pillow", "pyarrow", "numba"):
        assert pinned[package] == tested[package]
