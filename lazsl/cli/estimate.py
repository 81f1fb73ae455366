"""`lazsl estimate`: what labelling an archive will take, before it is begun."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from lazsl.cli.app import app, in_words, out
from lazsl.cli.options import Exclude, Labels, Only, Set, assigned, meaning, nested
from lazsl.errors import UserError
from lazsl.settings import DEFAULT_MODEL, PRESETS, Job, make_job

if TYPE_CHECKING:
    from lazsl.run.cost_estimate import Cost, Listed


@app.command(
    epilog="Example: lazsl estimate s3://bucket/photos --labels birds.json --rate 1.90 --images 1e6"
)
@in_words
def estimate(
    archive: Annotated[str, typer.Argument(help=meaning("archive"))],
    labels: Labels = None,
    model: Annotated[str, typer.Option("--model", "-m", help=meaning("model"))] = DEFAULT_MODEL,
    presets: Annotated[
        list[str] | None,
        typer.Option(
            "--preset",
            help="Group of settings: paper (default), parts or parts-fast; repeatable, and `all` "
            "compares the three.",
        ),
    ] = None,
    only: Only = None,
    exclude: Exclude = None,
    device: Annotated[str, typer.Option(help=meaning("device"))] = "auto",
    pictures: Annotated[int, typer.Option(min=1, max=1000, help="Number of images to try.")] = 16,
    images: Annotated[
        float | None,
        typer.Option(min=1, help="Estimate for this many images instead of those listed."),
    ] = None,
    rate: Annotated[
        float | None, typer.Option(min=0, help="Price of this machine per hour.")
    ] = None,
    settings: Set = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Estimate what labelling an archive takes: hours, forward passes, gigabytes, money.

    Labels a few of its images on this machine and scales up what they took. Keeps nothing.
    """
    if labels is None:
        raise UserError("a label set is needed: --labels FILE, as for lazsl label")
    given: dict[str, Any] = {
        "archive": archive,
        "labels": labels,
        "model": model,
        "only": only,
        "device": device,
    }
    given["exclude"] = exclude
    values: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    values |= assigned(settings, "--set", "regions.count=30")
    chosen = list(PRESETS) if presets == ["all"] else presets or ["paper"]
    jobs = [make_job(**nested({"preset": preset, **values})) for preset in chosen]
    _refuse_early(jobs[0])
    from lazsl.run.cost_estimate import estimate as estimate_jobs

    listed, costs = estimate_jobs(jobs, pictures)
    count = round(images) if images else listed.images
    if as_json:
        totals = [
            {"preset": preset, **asdict(cost), **total(cost, count, rate)}
            for preset, cost in zip(chosen, costs, strict=True)
        ]
        print(json.dumps({**asdict(listed), "estimated_for": count, "costs": totals}, indent=1))
        return
    _show(listed, dict(zip(chosen, costs, strict=True)), count, rate)


def _refuse_early(job: Job) -> None:
    from lazsl.archive.archive_presence import check_archive
    from lazsl.labelset.reading import load_labelset

    load_labelset(job.labels)
    check_archive(job.archive)


def total(cost: Cost, images: int, rate: float | None) -> dict[str, float | None]:
    """Of all images: hours on a machine like this one, forward passes, gigabytes, money."""
    from lazsl.run.cost_estimate import WAREHOUSE_BYTES

    hours = cost.seconds * images / 3600
    return {
        "hours": hours,
        "forward_passes": cost.passes * images,
        "embeddings_gb": cost.embeddings * images / 1e9,
        "warehouse_gb": WAREHOUSE_BYTES * images / 1e9,
        "money": None if rate is None else hours * rate,
    }


def _show(listed: Listed, costs: dict[str, Cost], images: int, rate: float | None) -> None:
    kinds = ", ".join(f"{n:,} {suffix or 'no suffix'}" for suffix, n in listed.kinds.items())
    out.print(
        f"listed: {listed.images:,} images, {listed.bytes / 1e9:,.2f} GB: {escape(kinds)}",
        highlight=False,
    )
    columns = [_column(cost, images, rate) for cost in costs.values()]
    table = Table("", *costs, title=f"{images:,} images")
    for name in columns[0]:
        table.add_row(name, *(column[name] for column in columns))
    out.print(table)
    out.print(
        "Several machines share the work: the time divides by their number, the money does not.",
        highlight=False,
    )


def _column(cost: Cost, images: int, rate: float | None) -> dict[str, str]:
    """What a preset costs, by the name of its row."""
    from lazsl.cli.progress import duration

    whole = total(cost, images, rate)
    rejected = f", {cost.rejected} of them rejected" * bool(cost.rejected)
    rows = {
        "tried here": f"{cost.tried} pictures{rejected}",
        "forward passes": f"{cost.passes:.1f} an image, {whole['forward_passes']:,.0f} in all",
        "an image": f"fetch {cost.fetch:.3f} s, embed {cost.embed:.3f} s, score {cost.score:.3f} s",
        "on a machine like this": duration(cost.seconds * images),
        "embeddings": f"{whole['embeddings_gb']:,.2f} GB",
        "warehouse": f"about {whole['warehouse_gb']:,.2f} GB",
    }
    return rows if rate is None else {**rows, "at the rate given": f"{whole['money']:,.2f}"}
