"""What others open: the warehouse with a real DuckDB 1.4, exported embeddings with real readers.

These come from the package index into a folder of their own, and run in processes of their own.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from lazsl.cli.commands import app
from lazsl.run.run import Run
from lazsl.store import paths
from lazsl.warehouse.opening import open_warehouse

READERS = [
    *("duckdb==1.4.*", "pandas>=2.2", "polars>=1.9", "fastparquet>=2024.11"),
    *("duckdb-cli>=1.4", "duckdb-engine>=0.17", "adbc-driver-manager>=1.7", "pytz"),
]
PAGE = Path(__file__).parents[2] / "docs" / "formats.md"


@pytest.fixture(scope="module")
def readers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with other programs in it."""
    folder = tmp_path_factory.mktemp("readers")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    command.append("--no-compile")  # most of it is never imported
    done = subprocess.run(
        [*command, "--target", str(folder), *READERS], capture_output=True, text=True, check=False
    )
    if done.returncode:
        if os.environ.get("CI"):
            pytest.fail(done.stderr)
        pytest.skip("needs a package index")
    return folder


def answer(readers: Path, script: str, *arguments: str, cwd: Path | None = None) -> Any:
    """What a script prints as JSON that sees these programs first."""
    environment = os.environ | {"PYTHONPATH": str(readers)}
    done = subprocess.run(
        [sys.executable, "-c", script, *arguments],
        env=environment,
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


ASK = """
import duckdb, json, sys
assert duckdb.__version__.startswith("1.4."), duckdb.__version__
with duckdb.connect(sys.argv[1], read_only=True) as warehouse:
    tables = [row[0] for row in warehouse.execute("show tables").fetchall()]
    counts = {
        name: warehouse.execute(f'select count(*) from "{name}"').fetchone()[0] for name in tables
    }
    first = warehouse.execute(
        "select key, label from labelled where label is not null order by key limit 1"
    ).fetchone()
    why = warehouse.execute("select count(*) from why(?, ?)", [sys.argv[2], first[0]]).fetchone()
    print(json.dumps({"counts": counts, "why": why[0]}))
"""


def test_duckdb_1_4_opens_the_warehouse_its_views_and_its_macros(
    labelled: Run, readers: Path
) -> None:
    path = labelled.job.warehouse_path
    theirs = answer(readers, ASK, str(path), labelled.key)
    with closing(open_warehouse(path)) as warehouse:
        for name, rows in theirs["counts"].items():
            ours = warehouse.execute(f'select count(*) from "{name}"').fetchall()[0][0]
            assert rows == ours, name
    assert theirs["counts"]["predictions"] == 43 and theirs["why"] > 0


def test_the_clients_of_the_page_ask_the_warehouse(
    labelled: Run, readers: Path, tmp_path: Path
) -> None:
    (tmp_path / "workspace").mkdir()
    shutil.copy(labelled.job.warehouse_path, tmp_path / "workspace" / "warehouse.duckdb")
    page = PAGE.read_text(encoding="utf-8").split("## Embeddings")[0]
    command = re.search(r"```sh\n(.*?)```", page, re.DOTALL)[1]  # type: ignore[index]
    path = f"{readers / 'bin'}:{os.environ['PATH']}"
    environment = os.environ | {"PATH": path, "PYTHONPATH": str(readers)}
    shell = subprocess.run(
        ["bash", "-c", command],
        cwd=tmp_path, env=environment, capture_output=True, text=True, check=True,
    )  # fmt: skip
    script = "\n".join(re.findall(r"```python\n(.*?)```", page, re.DOTALL))
    with closing(open_warehouse(labelled.job.warehouse_path)) as warehouse:
        labels = dict(
            warehouse.execute("select label, count(*) from labelled group by label").fetchall()
        )
    assert f"{max(labels.values())}" in shell.stdout and "images" in shell.stdout
    # The programs of the page, one after the other: each opens the file in its own way.
    script = script.replace(
        "engine =", "polars = warehouse.sql('from labelled').pl()\nwarehouse.close()\nengine ="
    )
    script = script.replace("from adbc", "engine.dispose()\nfrom adbc")
    counted = answer(
        readers,
        f"{script}\nimport json\nprint(json.dumps([len(frame), len(polars), "
        "sums.iloc[0].labelled.item(), dict(zip(*table.to_pydict().values()))]))",
        cwd=tmp_path,
    )
    images = sum(labels.values())
    assert counted == [images, images, images, labels]


def exported(run: Run, folder: Path, *options: str) -> str:
    arguments = ["export", run.key, "-w", run.job.workspace, "--output", str(folder), *options]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    return " ".join(result.output.split())


def stored(run: Run) -> np.ndarray:
    """The whole images' vectors, in the order of shards and rows."""
    actual = []
    for shard in sorted(paths.embedded_shards(run.workspace, run.encoder, run.regions)):
        rows = run.workspace.read_table(paths.region_embeddings(run.encoder, run.regions, shard))
        for row in rows.to_pylist():
            if row["region"] == 0:
                actual.append(row["embedding"])
    return np.array(actual, np.float32)


def snippet(name: str) -> str:
    """A program of docs/formats.md."""
    text = PAGE.read_text(encoding="utf-8")
    return re.search(rf"^{name}.*?```python\n(.*?)```", text, re.MULTILINE | re.DOTALL)[1]  # type: ignore[index]


MATRIX = "\nimport json\nprint(json.dumps(np.asarray(matrix, dtype='float32').tolist()))"


@pytest.mark.parametrize("reader", ["pandas", "fastparquet", "polars", "NumPy"])
def test_the_lines_of_the_page_read_every_vector_as_it_is_stored(
    reader: str, labelled: Run, readers: Path, tmp_path: Path
) -> None:
    options = ["--format", "npy"] if reader == "NumPy" else []
    exported_files = exported(labelled, tmp_path / "vectors", *options)
    wanted = stored(labelled)
    assert f"{len(wanted)} vectors of {len(wanted)} images" in exported_files
    script = "import numpy as np\n" + snippet("pandas" if reader == "fastparquet" else reader)
    if reader == "NumPy":
        script = f"from pathlib import Path\n{script}"
    else:
        needs = "from importlib.metadata import version\n"
        script = needs + script
    if reader == "fastparquet":
        script = script.replace('"vectors")', '"vectors", engine="fastparquet")')
    matrix = np.array(answer(readers, script + MATRIX, cwd=tmp_path), np.float32)
    order, theirs = np.lexsort(wanted.T), np.lexsort(matrix.T)
    np.testing.assert_array_equal(matrix[theirs], wanted[order])


LIKENESS = """
import duckdb, json
assert duckdb.__version__.startswith("1.4."), duckdb.__version__
found = duckdb.sql(
    "select count(*), max(len(embedding)), "
    "min(list_cosine_similarity(embedding, embedding)), any_value(typeof(embedding)) "
    "from 'vectors/*.parquet'"
).fetchone()
print(json.dumps(found))
"""


def test_duckdb_1_4_reads_every_crop(labelled: Run, readers: Path, tmp_path: Path) -> None:
    exported(labelled, tmp_path / "vectors", "--crops")
    rows, dimension, likeness, kind = answer(readers, LIKENESS, cwd=tmp_path)
    assert rows == len(stored(labelled)) * 25 and kind == "FLOAT[]"
    assert dimension == stored(labelled).shape[1] and likeness == pytest.approx(1, abs=1e-6)


def test_another_format_and_a_run_without_embeddings_are_refused(
    labelled: Run, tmp_path: Path
) -> None:
    arguments = ["export", "-w", labelled.job.workspace, "-o", str(tmp_path), "--format", "csv"]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 2 and "choose parquet or npy" in result.output
