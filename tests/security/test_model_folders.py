"""A model folder is a stranger's: its configuration runs no code and looks nothing up."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from lazsl.errors import UserError
from lazsl.fieldguide import LABELS_FILE, MODEL_DIR
from lazsl.model.checkpoints import find_model
from lazsl.model.configuration import check_configuration
from lazsl.model.encoder import load_tokenizer

PLANTED = """
import pathlib
pathlib.Path({mark!r}).touch()
from transformers import PreTrainedTokenizerFast
class Planted(PreTrainedTokenizerFast):
    pass
"""


def folder_with(tmp_path: Path, **changes: Any) -> Path:
    """The embedded model in a folder, with another configuration."""
    folder = tmp_path / "model"
    shutil.copytree(MODEL_DIR, folder)
    config = json.loads((folder / "open_clip_config.json").read_text())
    for part, values in changes.items():
        config["model_cfg"].setdefault(part, {}).update(values)
    (folder / "open_clip_config.json").write_text(json.dumps(config))
    return folder


def plant_code(folder: Path, mark: Path) -> None:
    """Code beside the tokenizer, which transformers runs where it is trusted."""
    (folder / "planted.py").write_text(PLANTED.format(mark=str(mark)))
    file = folder / "tokenizer_config.json"
    config = json.loads(file.read_text())
    config["auto_map"] = {"AutoTokenizer": [None, "planted.Planted"]}
    config["tokenizer_class"] = "Planted"
    file.write_text(json.dumps(config))


def check_labels(folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """`lazsl labels check` with the model of a folder."""
    return subprocess.run(
        [
            *(sys.executable, "-m", "lazsl.cli", "labels", "check", str(LABELS_FILE)),
            f"--model=local-dir:{folder}",
        ],
        env={**os.environ, "HF_HOME": str(folder.parent / "hub"), **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


def test_code_in_a_model_folder_is_not_run_whether_its_configuration_asks_for_it_or_not(
    tmp_path: Path,
) -> None:
    mark = tmp_path / "planted-code-ran"
    trusting = {"tokenizer_kwargs": {"clean": "canonicalize", "trust_remote_code": True}}
    folder = folder_with(tmp_path, text_cfg=trusting)
    plant_code(folder, mark)
    refused = check_labels(folder)
    assert refused.returncode == 2 and "Traceback" not in refused.stderr
    assert "tokenizer_kwargs.trust_remote_code" in " ".join(refused.stderr.split())
    assert not mark.exists()

    shutil.copy(MODEL_DIR / "open_clip_config.json", folder)
    try:
        load_tokenizer(find_model(f"local-dir:{folder}", "float32"))
    except UserError as error:  # transformers may know another tokenizer for it, or refuse
        assert "cannot be loaded" in str(error)
    assert not mark.exists()


def test_what_a_model_folder_names_is_not_looked_up_on_a_hub(tmp_path: Path) -> None:
    requests: list[str] = []

    class Hub(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            requests.append(self.path)
            self.send_response(404)
            self.end_headers()

        do_HEAD = do_GET

        def log_message(self, *_: object) -> None:
            pass

    hub = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=hub.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{hub.server_port}"
    try:
        folders = [
            folder_with(tmp_path / "tower", vision_cfg={"timm_model_name": "hf-hub:someone/model"}),
            folder_with(tmp_path / "text", text_cfg={"hf_model_name": "someone/model"}),
        ]
        script = (
            "import sys\n"
            "from lazsl.errors import UserError\n"
            "from lazsl.model.checkpoints import find_model\n"
            "from lazsl.model.encoder import load_encoder\n"
            "for folder in sys.argv[1:]:\n"
            "    try:\n"
            "        load_encoder(find_model(f'local-dir:{folder}', 'float32'), 'cpu')\n"
            "    except UserError as error:\n"
            "        print(error)\n"
        )
        refused = subprocess.run(
            [sys.executable, "-c", script, *map(str, folders)],
            env={**os.environ, "HF_ENDPOINT": url, "HF_HOME": str(tmp_path / "hub")},
            capture_output=True,
            text=True,
            check=False,
        )
        lines = refused.stdout.splitlines()
        assert ["someone/model" in line for line in lines] == [True, True], refused
    finally:
        hub.shutdown()
    assert not requests


@pytest.mark.parametrize(
    "changes",
    [
        {"vision_cfg": {"timm_model_name": "local-dir:/elsewhere"}},
        {"vision_cfg": {"pretrained_path": "/elsewhere"}},
        {"text_cfg": {"tokenizer_kwargs": {"use_auth_token": True}}},
        {"text_cfg": {"act_kwargs": {"approximate": {"nested": 1}}}},
        {"vision_cfg": {"image_size": [[64]]}},
        {"something": {"new": 1}},
    ],
    ids=str,
)
def test_a_configuration_with_a_name_or_value_that_is_not_on_the_list_is_refused(
    tmp_path: Path, changes: dict[str, Any]
) -> None:
    folder = folder_with(tmp_path, **changes)
    with pytest.raises(UserError, match="model"):
        find_model(f"local-dir:{folder}", "float32")


def test_every_architecture_that_open_clip_ships_passes_the_list() -> None:
    import open_clip

    for name in open_clip.list_models():
        config = open_clip.get_model_config(name)
        config["text_cfg"].pop("hf_model_name", None)  # would be looked up
        check_configuration(name, {"model_cfg": config})
