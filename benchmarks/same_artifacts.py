"""Whether another checkout makes the same artifacts, to the bit, of a few pictures of the sample.

    git worktree add ../before COMMIT
    python benchmarks/same_artifacts.py ../before

Both label the same pictures, each with its own code in a process of its own, by several settings;
every column of every Parquet table that they write is compared by its digest. What is not the same
is listed, and the exit code is 1 then. A column that only one of them writes is listed, and is no
difference. `--settings paper converged` leaves out what an old commit has not.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

ROOT = Path(__file__).resolve().parents[1]
PICTURES = 24
SETTINGS: dict[str, dict[str, Any]] = {
    "paper": {"regions": {"count": 12}},
    "parts-fast": {"preset": "parts-fast", "regions": {"count": 29, "layout": "zoom"}},
    "converged": {
        "regions": {"count": 12},
        "scoring": {"rule": "converged", "epsilon": 0.05, "top_k": 3},
    },
}

Digests = dict[str, dict[str, str]]
"""By table, the digest of each column."""


def label(checkout: Path, archive: Path, folder: Path, settings: dict[str, Any]) -> None:
    """Label the archive into a workspace with the code that this process has."""
    import lazsl
    from lazsl import fieldguide

    common = {"shard_size": 8, "device": "cpu"}
    if not hasattr(lazsl, "label"):  # before there was a Python API, the tests had one
        sys.path.insert(0, str(checkout / "tests"))
        from sample import label_plainly, small_job

        label_plainly(small_job(archive, folder, **common, **settings), folder / "scratch")
        return
    lazsl.label(
        archive,
        fieldguide.LABELS_FILE,
        model="fieldguide",
        workspace=folder,
        progress=False,
        reject_ceiling=1.0,
        **common,
        **settings,
    )


def make(checkout: Path, archive: Path, workspace: Path, names: list[str]) -> Digests:
    """Label the archive by some settings with the code that this process has; the digests."""
    warnings.simplefilter("ignore")
    digests: Digests = {}
    for name in names:
        folder = workspace / name
        label(checkout, archive, folder, SETTINGS[name])
        for file in sorted(folder.rglob("*.parquet")):
            digests[f"{name}/{file.relative_to(folder)}"] = digests_of(pq.read_table(file))
    return digests


def digests_of(table: pa.Table) -> dict[str, str]:
    """The digest of each column: its type and its values, whatever file they are kept in, and
    whether or not there might have been none."""
    digests = {}
    for name in table.column_names:
        column = pa.table({name: table[name]}).combine_chunks()
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, column.schema) as writer:
            writer.write_table(column)
        digests[name] = hashlib.sha256(sink.getvalue()).hexdigest()
    return digests


def made_by(checkout: Path, archive: Path, workspace: Path, names: list[str]) -> Digests:
    """The digests that a checkout's code makes, in a process of its own."""
    environment = os.environ | {
        "PYTHONPATH": f"{checkout}:{checkout / 'flows'}",
        "XDG_STATE_HOME": str(workspace / "state"),
        "OMP_NUM_THREADS": "1",
    }
    command = [sys.executable, __file__, str(checkout), "--settings", *names]
    command += ["--make", str(archive), str(workspace)]
    answer = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True)
    digests: Digests = json.loads(answer.stdout.splitlines()[-1])
    return digests


def compare(before: Digests, after: Digests) -> tuple[list[str], list[str]]:
    """Sentences about what is not the same, and about columns that only one of them has."""
    different = [f"only before: {name}" for name in sorted(before.keys() - after.keys())]
    different += [f"only now: {name}" for name in sorted(after.keys() - before.keys())]
    alone: set[str] = set()
    for name in sorted(before.keys() & after.keys()):
        old, new = before[name], after[name]
        different += [f"{name}: {c}" for c in sorted(old.keys() & new.keys()) if old[c] != new[c]]
        alone |= {f"column {c}, only before" for c in old.keys() - new.keys()}
        alone |= {f"column {c}, only now" for c in new.keys() - old.keys()}
    return different, sorted(alone)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("before", type=Path, help="the other checkout")
    parser.add_argument("--make", nargs=2, type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--settings", nargs="+", choices=SETTINGS, default=list(SETTINGS))
    given = parser.parse_args()
    if given.make:
        print(json.dumps(make(given.before, *given.make, given.settings)))
        return 0
    # The field guide that every commit has, whatever is shipped now.
    os.environ["LAZSL_FIELDGUIDE"] = str(ROOT / "tests" / "data" / "first_guide")
    sys.path.insert(0, str(ROOT / "tests" / "support"))
    from sample import copy_sample

    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        archive = copy_sample(home / "archive", PICTURES)
        before = made_by(given.before.resolve(), archive, home / "before", given.settings)
        after = made_by(ROOT, archive, home / "now", given.settings)
    different, alone = compare(before, after)
    print("\n".join([*alone, *different]))
    tables = before.keys() & after.keys()
    same = sum(not any(d.startswith(f"{name}:") for d in different) for name in tables)
    print(f"{same} of {len(before.keys() | after.keys())} tables are the same")
    return 1 if different else 0


if __name__ == "__main__":
    sys.exit(main())
