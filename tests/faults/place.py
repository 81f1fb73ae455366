"""A small archive that was labelled once, to be put back and damaged as often as one likes."""

from __future__ import annotations

import csv
import io
import json
import shutil
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sample import TABLES, copy_sample, small_job

from lazsl import fieldguide
from lazsl.audit.judgements import import_judgements
from lazsl.audit.judging_files import csv_file
from lazsl.audit.sample import draw_sample, shown
from lazsl.run import in_process
from lazsl.run.run import open_relabelling, open_run
from lazsl.run.status import run_status
from lazsl.settings import Job
from lazsl.store import paths
from lazsl.store.checking import check_workspace
from lazsl.store.folder import DAMAGED, Folder
from lazsl.warehouse import loading
from lazsl.warehouse.opening import open_warehouse

PICTURES = 11
THETAS = (0.5, 0.7)
"""Settings that the stored embeddings are scored with, before and after a fault."""
_CLASSES = 5
_TABLES = dict.fromkeys(TABLES, "* exclude (shard)")
_TABLES |= dict.fromkeys(("truth", "samples", "reviews"), "*")

Content = dict[str, list[tuple[Any, ...]]]


@dataclass(frozen=True)
class Place:
    """A folder with `archive`, `workspace` and, loaded from it, `warehouse.duckdb`."""

    home: Path

    @property
    def archive(self) -> str:
        return str(self.home / "archive")

    @property
    def workspace(self) -> str:
        return str(self.home / "workspace")

    @property
    def warehouse(self) -> Path:
        return self.home / "warehouse.duckdb"

    @property
    def is_labelled(self) -> bool:
        """Whether it began with what was put by."""
        return (self.home / "labelled").exists()

    @property
    def folder(self) -> Folder:
        """The workspace, opened anew."""
        return Folder(self.workspace)

    def job(self, **changes: Any) -> Job:
        values: dict[str, Any] = {"regions": {"count": 6}, "shard_size": 2, "fetchers": 4}
        values |= {"labels": str(self.home / "labels.json"), "truth": str(self.home / "truth.csv")}
        values |= {"warehouse": str(self.warehouse), "scratch": str(self.home / "scratch")}
        values |= {"retry_rejects": "moment", "open_set": True, "loss_ceiling": 0.9, **changes}
        return small_job(self.archive, self.workspace, **values)

    def label(self, **changes: Any) -> None:
        """Label and load, as the same command does again and again."""
        in_process.label_archive(open_run(self.job(**changes)))

    def relabel(self, theta: float) -> None:
        """Score what is stored with other settings, and load that too."""
        key = open_run(self.job()).key
        changes = {"scoring": {"theta": theta}, "warehouse": str(self.warehouse)}
        scratch = {"scratch": str(self.home / "scratch")}
        run = open_relabelling(self.folder, key, {**changes, **scratch})
        in_process.relabel_archive(run, relabels=key)

    def load(self, into: Path | None = None, rebuild: bool = False) -> None:
        """Load all that is finished."""
        loading.load(self.folder, into or self.warehouse, rebuild=rebuild)

    def check(self) -> None:
        """Have damaged artifacts set aside."""
        check_workspace(self.folder)

    def unreconciled(self) -> list[str]:
        """What `lazsl status` says of runs that do not add up or are not complete."""
        stands = [run_status(self.folder, key, self.warehouse) for key in paths.runs(self.folder)]
        return [
            f"run {status['run']}: {status}"
            for status in stands
            if status["missing"] or not status["loaded"] or not status["reconciled"]
        ]

    def content(self, path: Path | None = None) -> Content:
        """Every row of a warehouse in a fixed order, without the names of shards."""
        rows = {}
        with closing(open_warehouse(path or self.warehouse)) as connection:
            for table, columns in _TABLES.items():
                query = f"select {columns} from {table}"
                rows[table] = sorted(connection.execute(query).fetchall(), key=repr)
        return rows

    def artifacts(self) -> dict[str, list[str]]:
        """Names of the workspace's artifacts by their kind, in a fixed order."""
        kinds: dict[str, list[str]] = {}
        for name in self.folder.names(""):
            if not name.startswith(f"{DAMAGED}/"):
                kinds.setdefault(kind_of(name), []).append(name)
        return dict(sorted(kinds.items()))

    def restore(self, name: str) -> None:
        """An artifact from the copy that was put by."""
        self.folder.write_bytes(name, (self.home / "kept" / "workspace" / name).read_bytes())

    def put_back(self, labelled: bool) -> None:
        """The place anew: with its workspace and warehouse as they were put by, or without.

        In the same folder, because an archive's address is a part of its keys.
        """
        for name in ("workspace", "scratch"):
            shutil.rmtree(self.home / name, ignore_errors=True)
        for path in self.home.glob("*.duckdb*"):
            path.unlink()
        (self.home / "scratch").mkdir()
        (self.home / "labelled").unlink(missing_ok=True)
        if labelled:
            (self.home / "labelled").touch()
            kept = self.home / "kept"
            shutil.copytree(kept / "workspace", self.workspace)
            shutil.copyfile(kept / "warehouse.duckdb", self.warehouse)


def kind_of(name: str) -> str:
    """What an artifact holds: its table, or the record's name."""
    parts = name.split("/")
    if parts[0] == "runs":
        return "run.json" if parts[2] == "run.json" else parts[2]
    if parts[0] == "embeddings":
        return "images" if name.endswith(".images.parquet") else "embeddings"
    return parts[0]


def make_archive(home: Path) -> Place:
    """An archive with one file that is no picture, a label set, and what is true; not labelled."""
    place = Place(home)
    archive = copy_sample(Path(place.archive), PICTURES, odd=False)
    (archive / "broken.jpg").write_bytes(b"no picture")
    labels = json.loads(fieldguide.LABELS_FILE.read_text())
    true = dict(list(csv.reader(fieldguide.TRUTH_FILE.open()))[1:])
    pictures = [path.relative_to(archive).as_posix() for path in sorted(archive.rglob("1*/*"))]
    # Half of what is true, and classes that nothing shows.
    names = [true[key] for key in pictures[:3]] + list(labels["classes"])[:2]
    labels["classes"] = {name: labels["classes"][name][:4] for name in names}
    (home / "labels.json").write_text(json.dumps(labels))
    rows = "".join(f"{key},{true[key]}\n" for key in pictures)
    (home / "truth.csv").write_text(f"key,label\n{rows}")
    place.put_back(labelled=False)
    return place


def make_place(home: Path) -> tuple[Place, dict[bool, Content]]:
    """A place that was labelled, relabelled and audited, put by in `kept`; and what its warehouse
    holds once it is relabelled another time, undisturbed: with what was put by, and without."""
    place = make_archive(home)
    place.label()
    place.relabel(THETAS[1])
    alone = place.content()
    place.put_back(labelled=False)
    place.label()
    place.relabel(THETAS[0])
    _audit(place)
    kept = home / "kept"
    shutil.copytree(place.workspace, kept / "workspace")
    shutil.copyfile(place.warehouse, kept / "warehouse.duckdb")
    place.relabel(THETAS[1])
    return place, {True: place.content(), False: alone}


def _audit(place: Place) -> None:
    """A sample, judged by somebody who always agrees."""
    run = open_run(place.job()).key
    sample = draw_sample(place.folder, place.warehouse, run, 4)
    place.load()
    text = csv_file(shown(place.warehouse, sample)).decode("utf-8-sig")
    rows = [{**row, "judged_label": row["label"]} for row in csv.DictReader(io.StringIO(text))]
    filled = io.StringIO()
    writer = csv.DictWriter(filled, list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    judged = place.home / "judged.csv"
    judged.write_text(filled.getvalue())
    import_judgements(place.folder, place.warehouse, str(judged), run=run, reviewer="R")
