"""Runs to make reports of: two of the sample archive, and one whose every name is hostile."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image
from sample import label_plainly, sample_files, small_job

from lazsl.run import plan_step, score_step
from lazsl.run.run import Run, open_relabelling, record_run
from lazsl.store.folder import Folder
from lazsl.warehouse import loading

MARKUP = "<img src=x onerror=pwned=1>"
CLOSING = "</script><script>pwned=1</script>"
REVERSED = "\u202egnp.exe\u2066"
HOSTILE_CLASSES: dict[str, list[str]] = {
    MARKUP: [f"a {MARKUP} crest", "a \"quoted\" 'bill'"],
    CLOSING: [f"a tail {CLOSING}", "__proto__"],
    REVERSED: [f"wings {REVERSED}", "a \u2028 b \u2029 c \x00 \x7f d"],
    "__proto__": ["constructor", "toString"],
    "../../etc/passwd": ["{{ 7 * 7 }}", "${7 * 7} `ls`"],
}
HOSTILE_FILES = (
    f"{MARKUP}.jpg",
    f"{CLOSING}.jpg",
    f"photo {REVERSED}.jpg",
    "'\";-- %41 #? & [0]\\n.jpg",
    "__proto__.jpg",
    "شجرة 鳥.jpg",
)


@dataclass(frozen=True)
class Two:
    """Two runs of one archive in one warehouse; `new` weighs the whole image differently."""

    old: Run
    new: Run

    @property
    def warehouse(self) -> Path:
        """The DuckDB file of both."""
        return self.old.job.warehouse_path


def two_runs(labelled: Run, home: Path) -> Two:
    """A copy of a finished run, relabelled beside it."""
    shutil.copytree(labelled.job.workspace, home / "workspace")
    changes: dict[str, Any] = {"workspace": str(home / "workspace"), "warehouse": None}
    old = open_relabelling(Folder(str(home / "workspace")), labelled.key, changes)
    scoring = labelled.job.scoring.model_copy(update={"theta": 0.3})
    new = open_relabelling(
        old.workspace, labelled.key, {**changes, "scoring": scoring.model_dump()}
    )
    record_run(new)
    for shard in plan_step.archive_shards(new):
        score_step.score_shard(new, shard)
    loading.load(new.workspace, new.job.warehouse_path, [new.key])
    return Two(old, new)


def hostile_run(home: Path) -> Run:
    """A finished run in which file names, classes, attributes and EXIF hold markup and worse."""
    archive = home / "archive"
    plates = sample_files(len(HOSTILE_FILES), odd=False)
    for name, plate in zip(HOSTILE_FILES, plates, strict=True):
        target = archive / name
        target.parent.mkdir(parents=True, exist_ok=True)
        with Image.open(plate) as image:
            exif = image.getexif()
            exif[270] = exif[315] = f"{MARKUP} {CLOSING}"
            image.save(target, "JPEG", exif=exif, comment=CLOSING.encode())
    (archive / f"no image {MARKUP}.jpg").write_text(CLOSING)
    labels = home / "labels.json"
    labels.write_text(json.dumps(HOSTILE_CLASSES), encoding="utf-8")
    truth = home / "truth.csv"
    quoted = f'"{MARKUP}.jpg","{CLOSING}"'
    truth.write_text(f"key,label\n{quoted}\n", encoding="utf-8")
    job = small_job(archive, home / "workspace", labels=str(labels), truth=str(truth))
    return label_plainly(job, home / "scratch")
