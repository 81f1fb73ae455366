"""The command line: bad input ends in one sentence and exit code 2, and leaves nothing."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import typer
from sample import copy_sample, label_plainly, small_job
from typer.testing import CliRunner

from lazsl import fieldguide
from lazsl.cli.commands import app


def commands(group: Any, path: str = "") -> list[str]:
    """Every command that can be called, by its whole name."""
    inner = getattr(group, "commands", {})
    actual = [name for command in inner for name in commands(inner[command], f"{path} {command}")]
    return actual or [path.strip()]


COMMANDS = commands(typer.main.get_command(app))
GOOD_LABELS = str(fieldguide.LABELS_FILE)


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The workspace of a finished run over a few pictures."""
    folder = tmp_path_factory.mktemp("cli")
    archive = copy_sample(folder / "archive", 6)
    truth = str(fieldguide.TRUTH_FILE)
    job = small_job(archive, folder / "workspace", truth=truth)
    run = label_plainly(job, folder / "scratch")
    from lazsl.archive.truth import read_truth
    from lazsl.warehouse import loading

    table = read_truth(truth, run.labelset)
    loading.load(run.workspace, job.warehouse_path, truth=table, archive=run.archive)
    return folder / "workspace"


def says(arguments: list[str]) -> str:
    """The one sentence that a command ends with; fails if it says anything else, but for what it
    is waiting for."""
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 2, result.output
    assert not isinstance(result.exception, Exception) or isinstance(result.exception, SystemExit)
    lines = [line for line in result.stderr.splitlines() if line.strip()]
    lines = [line for line in lines if not line.startswith("lazsl: loading the model, and ")]
    assert len(lines) == 1 and lines[0].startswith("lazsl: "), result.stderr
    assert "Traceback" not in result.output
    return lines[0]


BAD_LABEL_FILES = {
    "missing": (None, "no such file"),
    "empty": ("", "is not JSON"),
    "not JSON": ("class: [a]", "at line 1"),
    "cut off": ('{"A": ["b"],\n "B": ["c"', "at line 2"),
    "no class": ("{}", "holds no class"),
    "a class twice": ('{"A": ["b"], "A": ["c"]}', "'A' stands twice"),
    "classes in a list": ('{"classes": ["A", "B"]}', "classes must be an object"),
    "classes in a list, and more": ('{"review": "pending", "classes": ["A"]}', "is a list"),
    "no list": ('{"A": "b"}', "has a str"),
    "a number for an attribute": ('{"A": [1]}', "non-empty string"),
    "a template without a hole": ('{"template": "a", "classes": {"A": []}}', "{attribute}"),
}


@pytest.mark.parametrize("name", BAD_LABEL_FILES)
def test_a_bad_label_file_is_one_sentence(name: str, tmp_path: Path) -> None:
    text, expected = BAD_LABEL_FILES[name]
    file = tmp_path / "labels.json"
    if text is not None:
        file.write_text(text)
    archive = str(fieldguide.IMAGES_DIR)
    sentence = says(
        ["label", archive, "-l", str(file), "-m", "fieldguide", "-w", str(tmp_path / "w")]
    )
    assert expected in sentence and str(file) in sentence
    assert not (tmp_path / "w").exists()


UNKNOWN_CLASSES = [
    "Wren",
    "wren",
    "Zapekaerk ",
    "zapekaerk",
    "",
    "None",
    "42",
    "Robin;",
    "'",
    "Ünknown",
]


@pytest.mark.parametrize("name", UNKNOWN_CLASSES)
def test_truth_with_an_unknown_class_is_one_sentence(name: str, tmp_path: Path) -> None:
    truth = tmp_path / "truth.csv"
    truth.write_text(f'key,label\n1858/plate-001.jpg,"{name}"\n', encoding="utf-8")
    sentence = says(["label", "--sample", "--truth", str(truth), "-w", str(tmp_path / "w")])
    assert "does not have" in sentence or "names 1 classes" in sentence
    assert not (tmp_path / "w").exists()


UNREACHABLE = [
    "/no/such/folder",
    "no-such-folder",
    "file:///no/such/folder",
    "memory://nothing-here",
    "s3://no-such-bucket-here/photos",
    "s3://no-such-bucket-here",
    "gopher://old/protocol",
    "nonsense://x",
    "s3://user:secret@bucket/x",
    "https://user:secret@127.0.0.1:1/x",
]


@pytest.mark.parametrize("archive", UNREACHABLE)
def test_an_unreachable_archive_is_one_sentence(
    archive: str, tmp_path: Path, s3_server: str
) -> None:
    sentence = says(
        ["label", archive, "-l", GOOD_LABELS, "-m", "fieldguide", "-w", str(tmp_path / "w")]
    )
    assert "secret" not in sentence
    assert not (tmp_path / "w").exists()


def test_an_s3_endpoint_that_does_not_answer_is_one_sentence(
    tmp_path: Path, s3_endpoint: object
) -> None:
    s3_endpoint("http://127.0.0.1:9")  # type: ignore[operator]
    arguments = ["label", "s3://bucket/x", "-l", GOOD_LABELS, "-m", "fieldguide"]
    assert "s3://bucket/x" in says([*arguments, "-w", str(tmp_path / "w")])


WEIGHTS = {
    "empty": b"",
    "a few zero bytes": bytes(64),
    "text": b"these are not weights",
    "a header that lies": (2**40).to_bytes(8, "little") + b"{}",
    "a header and nothing": (2).to_bytes(8, "little") + b"{}",
    "HTML of an error page": b"<html>404</html>",
    "JSON": b'{"weights": []}',
    "a git-lfs pointer": b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n",
    "a zip": b"PK\x03\x04" + bytes(100),
    "half of the real file": b"half",
}


@pytest.mark.parametrize("name", WEIGHTS)
def test_unreadable_weights_are_one_sentence(name: str, tmp_path: Path) -> None:
    model = tmp_path / "model"
    model.mkdir()
    for file in fieldguide.MODEL_DIR.iterdir():
        (model / file.name).write_bytes(file.read_bytes())
    weights = model / "open_clip_model.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(whole[: len(whole) // 2] if name.startswith("half") else WEIGHTS[name])
    options = ["-l", GOOD_LABELS, "-m", f"local-dir:{model}", "-w", str(tmp_path / "w")]
    sentence = says(["label", str(fieldguide.IMAGES_DIR), *options])
    assert "cannot be loaded" in sentence
    assert not (tmp_path / "w").exists()


UNKNOWN_MODELS = [
    "ViT-B-15:openai",
    "ViT-B-16",
    "ViT-B-16:nope",
    "ViT-B-16:/no/such/file.safetensors",
    "vitb16",
    "local-dir:/no/such/folder",
    "local-dir:",
    ":openai",
    "fieldguid",
    "ViT-B-16-quickgelu:laion",
]


@pytest.mark.parametrize("model", UNKNOWN_MODELS)
def test_an_unknown_model_is_one_sentence(model: str, tmp_path: Path) -> None:
    archive = str(fieldguide.IMAGES_DIR)
    says(["label", archive, "-l", GOOD_LABELS, "-m", model, "-w", str(tmp_path / "w")])
    assert not (tmp_path / "w").exists()


IMPOSSIBLE = [
    ["--theta", "1.5"],
    ["--theta", "-0.1"],
    ["--epsilon", "0"],
    ["--regions", "0"],
    ["--shard-size", "0"],
    ["--batch-size", "-3"],
    ["--rule", "fast"],
    ["--device", "abacus"],
    ["--set", "regions.smallest=0.9", "--set", "regions.largest=0.2"],
    ["--set", "nonsense=1"],
    ["--precision", "float8"],
    ["--top-k", "1", "--set", "scoring.plans=3"],
]


@pytest.mark.parametrize("options", IMPOSSIBLE, ids=" ".join)
def test_impossible_settings_are_one_sentence(options: list[str], tmp_path: Path) -> None:
    sentence = says(["label", "--sample", "-w", str(tmp_path / "w"), *options])
    last = options[-1].split("=")[-1]
    assert last in sentence or options[-2].strip("-").split(".")[-1] in sentence
    assert not (tmp_path / "w").exists()


def test_a_setting_that_would_hide_another_is_refused(tmp_path: Path) -> None:
    command = ["label", "--sample", "-w", str(tmp_path / "w")]
    whole = ["--set", 'scoring={"plans": 1}']
    for part in (["--theta", "0.5"], ["--set", "scoring.theta=0.5"]):
        for options in ([*whole, *part], [*part, *whole]):
            assert "scoring is set as a whole and by its fields" in says([*command, *options])
    assert not (tmp_path / "w").exists()


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_a_help_text_with_an_example(command: str) -> None:
    result = CliRunner().invoke(app, [*command.split(), "--help"])
    assert result.exit_code == 0
    example = " ".join(result.output.split("Example:")[1].split())
    assert f"{example} ".startswith(f"lazsl {command} ")


def test_status_as_json_reconciles(done: Path) -> None:
    result = CliRunner().invoke(app, ["status", "--json", "-w", str(done)])
    assert result.exit_code == 0, result.output
    document = json.loads(result.stdout)
    assert (
        document["listed"],
        document["labelled"],
        document["rejected"],
        document["missing"],
    ) == (
        20,
        13,
        7,
        0,
    )
    assert document["loaded"] and document["unreconciled_shards"] == 0
    assert document["judged"] == 13 and 0 <= document["accuracy"]["lazsl"] <= 1
    assert (
        set(document["seconds"]) == {"stage", "embed", "score"} and document["seconds"]["embed"] > 0
    )


def test_status_of_an_unfinished_run_says_what_is_missing(done: Path, tmp_path: Path) -> None:
    import shutil

    copy = tmp_path / "workspace"
    shutil.copytree(done, copy)
    marker = min(copy.glob("runs/*/shards/*.json"))
    images = json.loads(marker.read_text())["listed"]
    marker.unlink()
    result = CliRunner().invoke(app, ["status", "--json", "-w", str(copy)])
    assert result.exit_code == 1
    document = json.loads(result.stdout)
    assert (
        document["missing"] == images > 0
        and document["shards_done"] == 2
        and document["shards"] == 3
    )


def test_sql_prints_tables_and_csv_and_refuses_to_write(done: Path) -> None:
    query = "select count(*) as images from predictions"
    shown = CliRunner().invoke(app, ["sql", query, "-w", str(done)])
    assert shown.exit_code == 0 and "images" in shown.output and "13" in shown.output
    as_csv = CliRunner().invoke(app, ["sql", query, "--csv", "-w", str(done)])
    assert as_csv.stdout.splitlines() == ["images", "13"]
    assert "only reads" in says(["sql", "delete from predictions", "-w", str(done)])
    wrong = CliRunner().invoke(app, ["sql", "selec 1", "-w", str(done)])
    sentence, line, caret = (line for line in wrong.stderr.splitlines() if line.strip())
    assert wrong.exit_code == 2 and sentence.startswith("lazsl: the query failed")
    assert line == "LINE 1: selec 1" and caret.strip() == "^^^^^"


def test_evaluate_counts_what_the_warehouse_holds(done: Path) -> None:
    result = CliRunner().invoke(app, ["evaluate", "--json", "-w", str(done)])
    assert result.exit_code == 0, result.output
    methods = json.loads(result.stdout)["methods"]
    right = {m["name"]: round(m["top1"]["value"] * methods["images"]) for m in methods["methods"]}
    by_hand = _right_by_hand(done)
    assert {name: right[name.replace("_", "-")] for name in by_hand} == by_hand


def _right_by_hand(workspace: Path) -> dict[str, int]:
    import csv

    from lazsl.warehouse.opening import open_warehouse

    with fieldguide.TRUTH_FILE.open(encoding="utf-8") as file:
        truth = {row["key"]: row["label"] for row in csv.DictReader(file)}
    with closing(open_warehouse(workspace / "warehouse.duckdb")) as connection:
        rows = connection.execute(
            "select i.key, p.clip_label, p.dclip_label, p.crop_mean_label, p.label "
            "from predictions p join images i using (image_id)"
        ).fetchall()
    names = ("clip", "dclip", "crop_mean", "lazsl")
    return {
        name: sum(row[i] == truth[row[0]] for row in rows) for i, name in enumerate(names, start=1)
    }


def test_labels_check_finds_and_counts(tmp_path: Path) -> None:
    good = CliRunner().invoke(app, ["labels", "check", GOOD_LABELS, "-m", "fieldguide"])
    assert good.exit_code == 0 and "60 classes" in good.output, good.output
    bad = tmp_path / "bad.json"
    bad.write_text('{"A": ["red", "Red"], "B": []}')
    result = CliRunner().invoke(app, ["labels", "check", str(bad)])
    assert result.exit_code == 1 and "2 findings" in result.output


def test_the_embedded_model_warns_on_anything_but_its_own_birds(tmp_path: Path) -> None:
    from lazsl.run.run import notices

    assert "only its drawn birds" in notices(small_job(tmp_path, tmp_path / "w"))[0]
    assert notices(small_job(fieldguide.IMAGES_DIR, tmp_path / "w")) == []


def test_the_module_runs_as_the_command() -> None:
    result = subprocess.run(
        [sys.executable, "-m", "lazsl.cli", "--help"], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0 and "label" in result.stdout
