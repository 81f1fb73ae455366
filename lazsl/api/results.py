"""The results of a run: counts, SQL, explanations."""

from __future__ import annotations

from functools import cached_property
from os import PathLike, fspath
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal

from lazsl.api.pages import render
from lazsl.errors import UserError
from lazsl.run.status import run_status
from lazsl.settings import make_job
from lazsl.store.folder import Folder
from lazsl.warehouse import run_keys
from lazsl.warehouse.opening import open_warehouse
from lazsl.warehouse.sqlfiles import Connection, first_line

if TYPE_CHECKING:
    import duckdb

    from lazsl.api.explained import ExplainedImage
    from lazsl.explain.similar import Match


class Results:
    """What a run found, read from its warehouse.

    The warehouse is read as it is when it is first used; open the results again after a load. Use
    it as a context manager, or call `close`, to let go of the file.

    Attributes:
        run: the run's key.
        workspace: path or URL of the workspace.
        warehouse: the DuckDB file.
    """

    def __init__(self, run: str, workspace: str, warehouse: Path) -> None:
        self.run = run
        self.workspace = workspace
        self.warehouse = warehouse

    @cached_property
    def connection(self) -> Connection:
        """A read-only DuckDB connection to the warehouse, with its views and macros.

        It reaches no other file and no network; a data frame or Arrow table of yours is queried
        after `results.connection.register("sites", table)`.
        """
        return open_warehouse(self.warehouse)

    def status(self) -> dict[str, Any]:
        """Counts of the run (`listed = labelled + rejected + missing`), its accuracy where truth is
        known, and its timings in seconds; as `lazsl status --json` prints."""
        return run_status(Folder(self.workspace), self.run, self.warehouse)

    def sql(self, query: str, params: object = None) -> duckdb.DuckDBPyRelation:
        """The result of a query, read-only.

        Args:
            query: one statement; `show tables` lists what there is.
            params: values of `$name` or `?` in the query.

        Returns:
            A relation: show it, or take its rows with `fetchall()`, `to_arrow_table()`, `df()`
            (needs pandas) or `pl()` (needs polars).

        Raises:
            UserError: the query fails.
        """
        import duckdb

        try:
            relation = self.connection.sql(query, params=params)
        except duckdb.Error as error:
            raise UserError(f"the query failed: {first_line(error)}") from None
        if relation is None:
            raise UserError("the query is empty; try results.sql('show tables')")
        return relation

    def explain(self, image: str, against: str | None = None) -> ExplainedImage:
        """Why an image was called what it was called; a notebook shows it as a picture and a table.

        Args:
            image: its key in the archive, the end of the key, or its image_id.
            against: the class to hold the label against; default: the runner-up.

        Raises:
            UserError: there is no such image or class, or the image was rejected.
        """
        from lazsl.api.explained import ExplainedImage
        from lazsl.explain.explanation import explain
        from lazsl.explain.lookup import find_image, find_run

        run = find_run(self.connection, self.run, self.workspace)
        labelled = find_image(self.connection, self.run, image)
        return ExplainedImage(explain(self.connection, run, labelled, against))

    def find(
        self,
        sentence: str,
        count: int = 20,
        by: Literal["region", "image"] = "region",
        index: bool = False,
    ) -> list[Match]:
        """The images most like a sentence, the most similar first, over stored embeddings.

        Args:
            sentence: what to look for, such as "a red crest".
            count: how many images at most.
            by: what is compared: an image's most similar region, or the whole image.
            index: search an index, which is made or completed first: seconds for a million images,
                and the last images of the exact answer may be missing.

        Raises:
            UserError: the embeddings or the run's model are not there.
        """
        from lazsl.explain.lookup import find_run
        from lazsl.explain.similar import embed_sentence, find_similar

        run = find_run(self.connection, self.run, self.workspace)
        vector = embed_sentence(run, sentence)
        progress = (lambda done, of: None) if index else None
        return find_similar(self.connection, run, vector, count, by, progress)

    def close(self) -> None:
        """Let go of the warehouse."""
        opened = self.__dict__.pop("connection", None)
        if opened is not None:
            opened.close()

    def __enter__(self) -> Results:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        counts = ", ".join(f"{value} {name}" for name, value in _rows(self.status()))
        return f"<lazsl run {self.run}: {counts}>"

    def _repr_html_(self) -> str:
        return render("results.html", run=self.run, rows=_rows(self.status()))


def open_results(
    workspace: str | PathLike[str] = "workspace",
    run: str | None = None,
    warehouse: str | PathLike[str] | None = None,
) -> Results:
    """The results of a run that was loaded into a warehouse before.

    Args:
        workspace: path or URL of the workspace.
        run: key of a run, or its beginning; default: the latest.
        warehouse: the DuckDB file; default: in the workspace.

    Raises:
        UserError: there is no such warehouse, or no such run in it.
    """
    url = fspath(workspace)
    job = make_job(archive="-", labels="-", workspace=url, warehouse=_path(warehouse))
    results = Results("", url, job.warehouse_path)
    results.run = run_keys.find_run(results.connection, run)
    return results


def _path(path: str | PathLike[str] | None) -> str | None:
    return None if path is None else fspath(path)


def _rows(status: dict[str, Any]) -> list[tuple[str, str]]:
    """What a person wants to know first, by name."""
    rows = [(name, f"{status.get(name, 0):,}") for name in ("listed", "labelled", "rejected")]
    rows.append(("missing", f"{status['missing']:,}"))
    accuracy = (status.get("accuracy") or {}).get("lazsl")
    return rows if accuracy is None else [*rows, ("accuracy", f"{accuracy:.1%}")]
