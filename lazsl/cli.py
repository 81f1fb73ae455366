"""The `lazsl` command. Bad input ends in one sentence and exit code 2, never in a traceback."""

from __future__ import annotations

import csv
import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, ParamSpec, TypeVar

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from lazsl import fieldguide
from lazsl.errors import UserError
from lazsl.settings import DEFAULT_MODEL, Job, make_job

app = typer.Typer(
    name="lazsl",
    help="Label large image archives without training and without annotation, "
    "and keep the evidence.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    add_completion=False,
)
labels_app = typer.Typer(help="Work with label sets.", no_args_is_help=True)
app.add_typer(labels_app, name="labels")

out = Console()
err = Console(stderr=True)

P = ParamSpec("P")
R = TypeVar("R")


def in_words(function: Callable[P, R]) -> Callable[P, R]:
    """The command, with a UserError as one sentence on standard error and exit code 2."""

    @wraps(function)
    def command(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return function(*args, **kwargs)
        except UserError as error:
            err.print(f"[bold red]lazsl:[/] {escape(str(error))}", soft_wrap=True, highlight=False)
            raise typer.Exit(2) from None
        except KeyboardInterrupt:
            err.print("[bold red]lazsl:[/] stopped; run the same command again to go on from here")
            raise typer.Exit(130) from None

    return command


Workspace = Annotated[
    str,
    typer.Option("--workspace", "-w", help="Where embeddings and results are kept: path or URL."),
]
WarehouseFile = Annotated[
    Path | None, typer.Option("--warehouse", help="The DuckDB file. Default: in the workspace.")
]
Labels = Annotated[
    str | None, typer.Option("--labels", "-l", help="Label set: path or URL of JSON.")
]
Truth = Annotated[
    str | None, typer.Option("--truth", help="CSV of key,label: what is really shown, if you know.")
]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="NAME=VALUE", help="Any other setting of the Job; repeatable."),
]
Theta = Annotated[
    float | None, typer.Option(help="Weight of regions against the whole image, 0..1.")
]
Epsilon = Annotated[float | None, typer.Option(help="Entropic regularisation.")]
Gamma = Annotated[float | None, typer.Option(help="Keep regions this much above the mean.")]
RuleName = Annotated[str | None, typer.Option("--rule", help="paper or converged.")]
TopK = Annotated[int | None, typer.Option(help="Classes kept per image.")]


@app.command(
    epilog="Example: lazsl label s3://bucket/photos --labels birds.json --workspace s3://bucket/lazsl"
)
@in_words
def label(
    archive: Annotated[
        str | None, typer.Argument(help="Where the images are: a path or any fsspec URL.")
    ] = None,
    labels: Labels = None,
    workspace: Workspace = "workspace",
    model: Annotated[
        str,
        typer.Option(
            "--model", "-m", help="NAME:TAG, NAME:/file, local-dir:/folder, hf-hub:org/name."
        ),
    ] = DEFAULT_MODEL,
    truth: Truth = None,
    warehouse: WarehouseFile = None,
    sample: Annotated[
        bool,
        typer.Option("--sample", help="Label the embedded sample archive with the embedded model."),
    ] = False,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, mps.")] = "auto",
    precision: Annotated[str, typer.Option(help="auto, float32, bfloat16, float16.")] = "auto",
    regions: Annotated[int | None, typer.Option(help="Random crops per image.")] = None,
    theta: Theta = None,
    epsilon: Epsilon = None,
    gamma: Gamma = None,
    rule: RuleName = None,
    top_k: TopK = None,
    shard_size: Annotated[int | None, typer.Option(help="Images per shard.")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Crops per forward pass.")] = None,
    settings: Set = None,
) -> None:
    """Label an archive: list, stage, cut, embed, score, load.

    Stop it at any time; the same command goes on where it was. Run it again on a grown archive and
    it labels only what is new or changed.
    """
    values: dict[str, Any] = {
        "archive": archive,
        "labels": labels,
        "workspace": workspace,
        "model": model,
        "truth": truth,
        "warehouse": warehouse and str(warehouse),
        "device": device,
        "precision": precision,
        "regions.count": regions,
        "shard_size": shard_size,
        "batch_size": batch_size,
        **_scoring(theta, epsilon, gamma, rule, top_k),
    }
    if sample:
        defaults = {
            "archive": str(fieldguide.IMAGES_DIR),
            "labels": str(fieldguide.LABELS_FILE),
            "truth": str(fieldguide.TRUTH_FILE),
            "shard_size": 32,
        }
        values = {**{k: v for k, v in values.items() if v is not None}, "model": "fieldguide"}
        values = {**defaults, **values}
    job = _job({k: v for k, v in values.items() if v is not None}, settings)
    with _prefect():
        from flows.label import label_archive
        from lazsl import run as steps

        run = steps.open_run(job)
        _check_inputs(run, "both")
        for notice in steps.notices(job):
            err.print(f"[yellow]note:[/] {escape(notice)}")
        _follow(lambda: label_archive(job, return_state=True), "labelling")
        _show_run(run)


@app.command(
    epilog="Example: lazsl relabel photos-3f2a --labels better.json --workspace s3://bucket/lazsl"
)
@in_words
def relabel(
    run: Annotated[
        str, typer.Argument(help="The run whose embeddings to score: its key or beginning.")
    ],
    labels: Labels = None,
    workspace: Workspace = "workspace",
    truth: Truth = None,
    warehouse: WarehouseFile = None,
    theta: Theta = None,
    epsilon: Epsilon = None,
    gamma: Gamma = None,
    rule: RuleName = None,
    top_k: TopK = None,
) -> None:
    """Score stored embeddings with another label set or other settings. No image is read."""
    given = {"labels": labels, "truth": truth, "warehouse": warehouse and str(warehouse)}
    changes: dict[str, Any] = {k: v for k, v in given.items() if v is not None}
    how = _nested(
        {k: v for k, v in _scoring(theta, epsilon, gamma, rule, top_k).items() if v is not None}
    )
    with _prefect():
        from flows.label import relabel as relabel_flow
        from lazsl import run as steps
        from lazsl.storage import Folder

        record = steps.read_run_record(Folder(workspace), run)
        before = record["job"]["scoring"]
        if rule is not None and rule != before["rule"]:
            before = {k: v for k, v in before.items() if k not in ("max_iterations", "tolerance")}
        if how:
            changes["scoring"] = {**before, **how["scoring"]}
        opened = steps.open_relabelling(workspace, record["run"], changes)
        _check_inputs(opened, "text")
        _follow(
            lambda: relabel_flow(
                workspace,
                record["run"],
                labels=opened.job.labels,
                scoring=opened.job.scoring,
                warehouse=str(opened.job.warehouse_path),
                truth=opened.job.truth,
                return_state=True,
            ),
            "scoring",
        )
        _show_run(opened)


@app.command(epilog="Example: lazsl status --json")
@in_words
def status(
    run: Annotated[
        str | None, typer.Argument(help="Key of a run or its beginning; default: latest.")
    ] = None,
    workspace: Workspace = "workspace",
    warehouse: WarehouseFile = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show how a run stands: reconciled counts, accuracy, timings. Exit code 1 while incomplete."""
    from lazsl.status import run_status
    from lazsl.storage import Folder

    found = run_status(Folder(workspace), run, warehouse)
    if as_json:
        print(json.dumps(found, indent=1, default=str))
    else:
        _show_status(found)
    if found["missing"] or not found["loaded"]:
        raise typer.Exit(1)


@app.command(epilog="Example: lazsl load --workspace s3://bucket/lazsl --warehouse archive.duckdb")
@in_words
def load(workspace: Workspace = "workspace", warehouse: WarehouseFile = None) -> None:
    """Load every finished shard that the warehouse does not hold yet; also while a run goes on."""
    from lazsl import warehouse as warehouses
    from lazsl.storage import Folder

    folder = Folder(workspace)
    path = warehouse or make_job(archive="-", labels="-", workspace=workspace).warehouse_path
    loaded = warehouses.load(folder, path)
    out.print(f"{loaded.shards} shards, {loaded.images} images loaded into {path}", highlight=False)


@app.command(
    epilog="Example: lazsl sql "
    '"select label, count(*) from predictions group by all order by 2 desc"'
)
@in_words
def sql(
    query: Annotated[
        str | None, typer.Argument(help="A query, or nothing to read it from stdin.")
    ] = None,
    file: Annotated[
        Path | None, typer.Option("--file", "-f", help="Read the query from a file.")
    ] = None,
    workspace: Workspace = "workspace",
    warehouse: WarehouseFile = None,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV.")] = False,
    rows: Annotated[int, typer.Option(help="Rows shown in the table.")] = 40,
) -> None:
    """Ask the warehouse, read-only; never in the way of a load."""
    import duckdb

    from lazsl.warehouse import open_warehouse

    path = warehouse or make_job(archive="-", labels="-", workspace=workspace).warehouse_path
    if file is not None:
        try:
            query = file.read_text(encoding="utf-8")
        except OSError as error:
            raise UserError(
                f"cannot read {file}: {error.strerror}; give a file with a query"
            ) from None
    text = query if query is not None else sys.stdin.read()
    with closing(open_warehouse(path)) as connection:
        try:
            found = connection.execute(text)
            names = [column[0] for column in found.description or []]
            if as_csv:
                writer = csv.writer(sys.stdout)
                writer.writerow(names)
                while chunk := found.fetchmany(10_000):
                    writer.writerows(chunk)
                return
            shown = found.fetchmany(rows + 1) if names else []
        except duckdb.Error as error:
            reason = str(error).splitlines()[0]
            raise UserError(f"the query failed: {reason}") from None
    table = Table(*(escape(name) for name in names))
    for row in shown[:rows]:
        table.add_row(*(escape(_cell(value)) for value in row))
    out.print(table)
    if len(shown) > rows:
        out.print(f"the first {rows} rows; use --rows or --csv for more")


@labels_app.command(epilog="Example: lazsl labels check birds.json --model fieldguide")
@in_words
def check(
    labels: Annotated[str, typer.Argument(help="Label set: path or URL of JSON.")],
    model: Annotated[
        str | None,
        typer.Option("--model", "-m", help="Also check prompts against its context length."),
    ] = None,
) -> None:
    """Read a label set critically. Exit code 1 when there are findings."""
    from lazsl.labelset import check as check_labels
    from lazsl.labelset import load_labelset

    labelset = load_labelset(labels)
    tokens, context = None, 0
    if model is not None:
        from lazsl.encoder import count_tokens, find_model, load_tokenizer

        tokenizer = load_tokenizer(find_model(model, "float32"))
        prompts = [prompt for prompts in labelset.prompts for prompt in prompts]
        tokens = dict(zip(prompts, count_tokens(tokenizer, prompts), strict=True))
        context = tokenizer.context_length
    findings = check_labels(labelset, tokens, context)
    for finding in findings:
        out.print(f"[bold]{escape(finding.label)}[/] {escape(finding.message)}", highlight=False)
    attributes = sum(labelset.sizes)
    out.print(f"{len(labelset)} classes, {attributes} sentences, {len(findings)} findings")
    if findings:
        raise typer.Exit(1)


@app.command(epilog="Example: lazsl measure fieldguide")
@in_words
def measure(
    run: Annotated[str | None, typer.Argument(help="Key of a run; default: latest.")] = None,
    workspace: Workspace = "workspace",
    warehouse: WarehouseFile = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """How right CLIP, DCLIP, the plain mean over crops and LaZSL are on one run, paired."""
    from lazsl.fieldguide.measure import METHODS
    from lazsl.fieldguide.measure import measure as measure_run
    from lazsl.status import run_status
    from lazsl.storage import Folder

    found = run_status(Folder(workspace), run, warehouse)
    measured = measure_run(Path(found["warehouse"]), found["run"])
    if not measured:
        raise UserError(f"no truth is known of run {found['run']}; label with --truth file.csv")
    if as_json:
        print(json.dumps([m.__dict__ for m in measured], indent=1))
        return
    table = Table("method", "top-1", "only it right", "only LaZSL right", "McNemar p")
    for m in measured:
        p = "" if m.p_value is None else f"{m.p_value:.2g}"
        pair = ("", "") if m.p_value is None else (str(m.only_this), str(m.only_lazsl))
        table.add_row(METHODS[m.method], f"{m.accuracy:.1%}", *pair, p)
    out.print(table)
    out.print(f"{measured[0].images} images of run {found['run']}", highlight=False)


# What commands share


def _scoring(
    theta: float | None,
    epsilon: float | None,
    gamma: float | None,
    rule: str | None,
    top_k: int | None,
) -> dict[str, Any]:
    return {
        "scoring.theta": theta,
        "scoring.epsilon": epsilon,
        "scoring.gamma": gamma,
        "scoring.rule": rule,
        "scoring.top_k": top_k,
    }


def _nested(values: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in values.items():
        section, _, field = name.rpartition(".")
        (found.setdefault(section, {}) if section else found)[field] = value
    return found


def _job(values: dict[str, Any], settings: list[str] | None) -> Job:
    for name in ("archive", "labels"):
        if name not in values:
            what = "an archive" if name == "archive" else "a label set with --labels"
            raise UserError(
                f"{what} is needed; see lazsl label --help, or try lazsl label --sample"
            )
    for setting in settings or []:
        name, equals, value = setting.partition("=")
        if not equals:
            raise UserError(f"--set {setting!r} is not NAME=VALUE, such as scoring.plans=3")
        try:
            values[name] = json.loads(value)
        except json.JSONDecodeError:
            values[name] = value
    return make_job(**_nested(values))


def _check_inputs(run: Any, towers: Any) -> None:
    """What is wrong with the input is said before anything is started or written.

    The model stays loaded for the flow, which runs in this process.
    """
    from lazsl import run as steps
    from lazsl.archive import check_archive
    from lazsl.truth import read_truth

    if run.job.truth is not None:
        read_truth(run.job.truth, run.labelset)
    if towers == "both":
        check_archive(run.job.archive)
    if towers == "both" or not steps.attributes_embedded(run):
        steps.load_model(run, towers)


@contextmanager
def _prefect() -> Iterator[None]:
    """Prefect, quiet: what a person needs to know is said by the command itself."""
    quiet = {
        "PREFECT_LOGGING_LEVEL": "ERROR",
        "PREFECT_LOGGING_ROOT_LEVEL": "ERROR",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "180",
        "DO_NOT_TRACK": "1",
    }
    for name, value in quiet.items():
        os.environ.setdefault(name, value)
    yield


def _follow(flow: Callable[[], Any], verb: str) -> None:
    """Run a flow under a progress bar.

    Raises:
        UserError: it did not complete; the sentence is its state's message.
    """
    from flows.label import on_progress, on_shards

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=err, transient=True) as progress:
        bar = progress.add_task("starting Prefect", total=None)
        images: dict[str, int] = {}

        def image_done(shard: str, done: int) -> None:
            images[shard] = done
            progress.update(bar, description=f"{verb} images", completed=sum(images.values()))

        def begin(total: int) -> None:
            progress.update(bar, description=f"{verb} images", total=total, completed=0)

        tokens = (on_progress.set(image_done), on_shards.set(begin))
        try:
            state = flow()
        except RuntimeError as error:
            if "Prefect API" not in str(error):
                raise
            raise UserError(
                f"Prefect did not start ({error}); try again, or start a server"
            ) from None
        finally:
            on_progress.reset(tokens[0])
            on_shards.reset(tokens[1])
    if not state.is_completed():
        raise UserError(state.message or f"the flow ended {state.name}; run it again")


def _show_run(run: Any) -> None:
    from lazsl import sqlfiles
    from lazsl.status import run_status
    from lazsl.warehouse import open_warehouse

    path = run.job.warehouse_path
    found = run_status(run.workspace, run.key, path)
    _show_status(found)
    with closing(open_warehouse(path)) as connection:
        rows = sqlfiles.run(connection, "few_predictions.sql", run=run.key, how_many=5).fetchall()
    if rows:
        table = Table("image", "called", "margin", "truth", "because of", title="a few predictions")
        for key, label_, _score, margin, truth, strongest in rows:
            right = "" if truth is None else ("[green]✓[/] " if truth == label_ else "[red]✗[/] ")
            table.add_row(
                escape(key),
                escape(label_),
                "" if margin is None else f"{margin:.3f}",
                right + escape(truth or ""),
                escape("; ".join(strongest)),
            )
        out.print(table)
    image = rows[0][0] if rows else "KEY"
    started = Path(sys.argv[0])
    command = str(started) if started.name == "lazsl" and started.parts[0] == ".venv" else "lazsl"
    option = "" if str(path) == "workspace/warehouse.duckdb" else f" --warehouse {path}"
    out.print(f"\nThe warehouse is [bold]{escape(str(path))}[/]. Three questions to ask it:\n")
    for query in (
        "select label, count(*) as images, round(avg(margin), 3) as margin "
        "from predictions group by label order by images desc limit 10",
        f"select attribute, contribution, share, box from why('{run.key}', '{_quoted(image)}')",
        f"select * from close_calls('{run.key}', 0.005) limit 10",
    ):
        out.print(
            f'  {command} sql{option} "{query}"', soft_wrap=True, markup=False, highlight=False
        )


def _cell(value: Any) -> str:
    """A value as a person reads it in a table; `--csv` has all digits."""
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, dict):
        return ", ".join(f"{name} {_cell(inner)}" for name, inner in value.items())
    if isinstance(value, list):
        return "; ".join(_cell(inner) for inner in value)
    return "" if value is None else str(value)


def _quoted(text: str) -> str:
    return text.replace("'", "''")


def _show_status(found: dict[str, Any]) -> None:
    table = Table("", "", title=f"run {found['run']}", show_header=False)
    table.add_row("archive", escape(str(found["archive"])))
    table.add_row("shards done", f"{found['shards_done']} of {found['shards']}")
    table.add_row("images listed", f"{found['listed']:,}")
    table.add_row("images labelled", f"{found.get('labelled', 0):,}")
    reasons = ", ".join(f"{n} {reason}" for reason, n in (found.get("rejects") or {}).items())
    rejected = f"{found.get('rejected', 0):,}" + (f"  ({reasons})" if reasons else "")
    table.add_row("images rejected", escape(rejected))
    table.add_row("images missing", f"{found['missing']:,}")
    for method, value in (found.get("accuracy") or {}).items():
        table.add_row(f"accuracy, {method}", f"{value:.1%}")
    if found.get("seconds"):
        spent = ", ".join(
            f"{name} {value:.1f} s" for name, value in found["seconds"].items() if value
        )
        table.add_row("time", spent)
    if not found["loaded"]:
        table.add_row("warehouse", "not everything that is done is loaded; run lazsl load")
    out.print(table)


def main() -> None:
    """Entry point of the console script."""
    app()


if __name__ == "__main__":
    main()
