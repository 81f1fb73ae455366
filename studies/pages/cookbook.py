"""Write docs/sql.md: every query of sql/examples with what it answers on the sample archive.

python -m studies.pages.cookbook           # labels the sample twice in workspace/cookbook: a minute
python -m studies.pages.cookbook FOLDER    # the same in another folder; finished work is reused
"""

from __future__ import annotations

import csv
import io
import json
import shutil
import sys
import tempfile
import textwrap
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from lazsl import fieldguide
from lazsl.archive.manifest import read_manifest
from lazsl.archive.shard_planning import plan_shards
from lazsl.archive.truth import read_truth
from lazsl.audit import judgements, judging_files
from lazsl.audit import sample as audit
from lazsl.run import embed_step, label_set_step, score_step, stage_step
from lazsl.run.run import Run, open_run, record_run
from lazsl.run.todo import missing_shards
from lazsl.settings import make_job
from lazsl.warehouse import loading, sqlfiles
from lazsl.warehouse.opening import open_warehouse
from lazsl.warehouse.query_results import readable
from lazsl.warehouse.sqlfiles import CONFIG
from studies.pages.filled import DOCS, filled

ROWS = 8  # shown of every answer

COPIES = {
    "desk/for-print.jpg": "1858/plate-023.jpg",
    "desk/plate-041 (2).jpg": "1859/plate-041.jpg",
    "desk/unsorted.jpg": "1863/plate-217.jpg",
}
"""Files that are the same bytes as others of the sample."""

CHAPTERS = {
    "Is everything there, and what did it cost?": (
        "health",
        "reconciled",
        "rejects",
        "cost",
        "copies",
    ),
    "How right is it?": (
        "class_accuracy",
        "called",
        "confusions",
        "confused_by",
        "methods",
        "answered",
        "withheld",
    ),
    "Why was it called that?": ("why", "least_certain"),
    "What do attributes and regions do?": (
        "attributes",
        "silent_attributes",
        "shown",
        "together",
        "small_regions",
        "region_sizes",
        "border",
    ),
    "What changed between two runs?": ("agreement", "drift", "what_moved"),
    "What do people say?": ("reviewers", "corrections"),
    "With your own data, and without the warehouse": ("sites", "plans_in_bucket"),
}


SITES = """\
The query reads `sites` like a table. Any Parquet or CSV file will do, as many as you like:

```sh
lazsl sql --with sites=sites.parquet --file sql/examples/sites.sql
```
"""

BUCKET = """\
Here DuckDB is all that is needed; plans never change once they are there. On a local disk:

```python
import duckdb

query = open("sql/examples/plans_in_bucket.sql").read()
connection = duckdb.connect()
plans = "workspace/runs/RUN/plans/*.parquet"
print(connection.execute(query, {"plans": plans}).fetchall())
```

In a bucket, DuckDB reads through a file system that Python brings along: no extension is fetched,
and only the columns that the query names travel.

```python
import duckdb
import fsspec

query = open("sql/examples/plans_in_bucket.sql").read()
connection = duckdb.connect()
connection.register_filesystem(fsspec.filesystem("s3"))
plans = "s3://bucket/lazsl/runs/RUN/plans/*.parquet"
print(connection.execute(query, {"plans": plans}).fetchall())
```
"""


def main(folder: Path) -> None:
    """Write docs/sql.md from runs below the folder, which are made where they are missing."""
    first, second, judged = prepare(folder)
    answered = answers(second)
    page = filled(
        "sql.md",
        files=len(read_manifest(second.workspace, second.archive)),
        first=f"`{first.key}`",
        second=f"`{second.key}`",
        judged=judged,
        rows=ROWS,
    )
    for chapter, names in CHAPTERS.items():
        page += f"\n## {chapter}\n"
        for name in names:
            page += f"\n{section(name)}\n{table(*answered[name])}"
    (DOCS / "sql.md").write_text(page, encoding="utf-8")


def section(name: str) -> str:
    """The question, what there is to say about it, and the query: all of it from its file."""
    lines = sqlfiles.read(f"examples/{name}.sql").splitlines()
    end = next(at for at, line in enumerate(lines) if not line.startswith("--"))
    sentence = " ".join(line.removeprefix("--").strip() for line in lines[:end])
    question, _, rest = sentence.partition("? ")
    question = question.removesuffix("?") + "?"
    extra = {"sites": SITES, "plans_in_bucket": BUCKET}.get(name, "")
    parts = [
        f"### {question}",
        textwrap.fill(rest, 100),
        "```sql\n" + "\n".join(lines[end:]) + "\n```",
        extra.strip(),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def table(names: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """An answer in Markdown, its first rows; numbers are flush right."""
    sides = []
    for column in zip(*rows, strict=True):
        known = [value for value in column if value is not None]
        numbers = all(isinstance(v, int | float) and not isinstance(v, bool) for v in known)
        sides.append("---:" if numbers and known else "---")
    lines = [list(names), sides, *([_cell(value) for value in row] for row in rows[:ROWS])]
    more = f"\nand {len(rows) - ROWS} more rows\n" if len(rows) > ROWS else ""
    return "".join(f"| {' | '.join(line)} |\n" for line in lines) + more


def _cell(value: Any) -> str:
    text = " ".join(readable(value).split())
    return text.replace("&", "&amp;").replace("<", "&lt;").replace("|", "\\|")


def answers(run: Run) -> dict[str, tuple[list[str], list[tuple[Any, ...]]]]:
    """By name of the example: the names of its columns, and its rows."""
    plans = f"{run.workspace.path('runs')}/{run.key}/plans/*.parquet"
    by_file = {}
    with (
        closing(open_warehouse(run.job.warehouse_path)) as opened,
        closing(duckdb.connect(config=CONFIG)) as alone,
        sqlfiles.registered(opened, {"sites": sites()}),
    ):
        for name in (name for names in CHAPTERS.values() for name in names):
            if name == "plans_in_bucket":
                answer = sqlfiles.run(alone, f"examples/{name}.sql", plans=plans)
            else:
                answer = sqlfiles.run(opened, f"examples/{name}.sql")
            by_file[name] = ([column[0] for column in answer.description], answer.fetchall())
    return by_file


def sites() -> pa.Table:
    """Metadata as a user might have it: where every picture of the sample was taken, invented."""
    keys = list(_truth())
    places = ("heath", "marsh", "shore")
    return pa.table({"key": keys, "site": [places[sum(key.encode()) % 3] for key in keys]})


def prepare(folder: Path) -> tuple[Run, Run, int]:
    """The run with some of the attributes, the run with all of them, and how many images a
    reviewer judged; all of it is in the warehouse of the second."""
    labels = json.loads(fieldguide.LABELS_FILE.read_text(encoding="utf-8"))
    labels["classes"] = {name: words[:4] for name, words in labels["classes"].items()}
    short = folder / "four-attributes.json"
    folder.mkdir(parents=True, exist_ok=True)
    short.write_text(json.dumps(labels), encoding="utf-8")
    first = labelled(folder, str(short), scoring={"temperature": 0.005, "abstain_below": 0.5})
    second = labelled(folder, str(fieldguide.LABELS_FILE))
    return first, second, _judged(folder, second)


def _archive(folder: Path) -> Path:
    """The sample archive with its copies, beside a truth file that knows them too. Files keep their
    times, so that another call finds nothing changed."""
    archive = folder / "archive"
    shutil.copytree(fieldguide.IMAGES_DIR, archive, dirs_exist_ok=True)
    for copy, key in COPIES.items():
        (archive / copy).parent.mkdir(exist_ok=True)
        shutil.copy2(archive / key, archive / copy)
    rows = [{"key": key, "label": label} for key, label in _truth().items()]
    _write_csv(folder / "truth.csv", rows)
    return archive


def _truth() -> dict[str, str]:
    with fieldguide.TRUTH_FILE.open(encoding="utf-8") as file:
        truth = {row["key"]: row["label"] for row in csv.DictReader(file)}
    return truth | {copy: truth[key] for copy, key in COPIES.items()}


def _write_csv(path: Path, rows: Sequence[dict[str, Any]]) -> str:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    return str(path)


def labelled(folder: Path, labels: str, **changes: Any) -> Run:
    job = make_job(
        archive=str(_archive(folder)),
        labels=labels,
        workspace=str(folder / "workspace"),
        model="fieldguide",
        shard_size=32,
        # The sample's last file by name has no bytes, and may be a shard of its own.
        reject_ceiling=1.0,
        **changes,
    )
    run = open_run(job)
    plan = plan_shards(run.workspace, job.archive, job.suffixes, job.shard_size)
    record_run(run)
    label_set_step.embed_attributes(run)
    for shard in missing_shards(run, list(plan.shards)):
        if not embed_step.is_embedded(run, shard):
            with tempfile.TemporaryDirectory() as scratch:
                embed_step.embed_shard(
                    run, shard, stage_step.stage_shard(run, shard, Path(scratch))
                )
        score_step.score_shard(run, shard)
    truth = read_truth(str(folder / "truth.csv"), run.labelset)
    loading.load(run.workspace, job.warehouse_path, truth=truth, archive=run.archive)
    return run


def _judged(folder: Path, run: Run) -> int:
    """Images of a sample, every one of them judged by the truth file."""
    truth = _truth()
    path = run.job.warehouse_path
    sample = audit.draw_sample(run.workspace, path, run.key, 120)
    text = judging_files.csv_file(audit.shown(path, sample)).decode("utf-8-sig")
    rows = [{**r, "judged_label": truth[r["key"]]} for r in csv.DictReader(io.StringIO(text))]
    file_url = _write_csv(folder / "audit.csv", rows)
    judgements.import_judgements(run.workspace, path, file_url, reviewer="the truth file")
    return len(rows)


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "workspace/cookbook"))
