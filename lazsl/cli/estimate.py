"""`lazsl estimate`: what labelling an archive will take, before it is begun."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from lazsl.cli.app import Labels, Only, Set, app, assigned, in_words, meaning, nested, out
from lazsl.cli.progress import duration
from lazsl.errors import UserError
from lazsl.settings import DEFAULT_MODEL, Job, make_job

if TYPE_CHECKING:
    from lazsl.run.estimate import Cost, Listed


@app.command(
    epilog="Example: lazsl estimate s3://bucket/photos --labels birds.json --rate 1.90 --images 1e6"
)
@in_words
def estimate(
    archive: Annotated[str, typer.Argument(help=meaning("archive"))],
    labels: Labels = None,
    model: Annotated[str, typer.Option("--model", "-m", help=meaning("model"))] = DEFAULT_MODEL,
    only: Only = None,
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
    given = {"archive": archive, "labels": labels, "model": model, "only": only, "device": device}
    values: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    values |= assigned(settings, "--set", "regions.count=30")
    job = make_job(**nested(values))
    _refuse_early(job)
    from lazsl.run.estimate import estimate as estimate_jobs

    listed, costs = estimate_jobs([job], pictures)
    count = round(images) if images else listed.images
    if as_json:
        totals = [{**asdict(cost), **total(cost, count, rate)} for cost in costs]
        print(json.dumps({**asdict(listed), "estimated_for": count, "costs": totals}, indent=1))
        return
    _show(listed, costs[0], count, rate)


def _refuse_early(job: Job) -> None:
    from lazsl.archive.listing import check_archive
    from lazsl.labelset.reading import load_labelset

    load_labelset(job.labels)
    check_archive(job.archive)


def total(cost: Cost, images: int, rate: float | None) -> dict[str, float | None]:
    """Of all images: hours on a machine like this one, forward passes, gigabytes, money."""
    from lazsl.run.estimate import WAREHOUSE_BYTES

    hours = cost.seconds * images / 3600
    return {
        "hours": hours,
        "forward_passes": cost.passes * images,
        "embeddings_gb": cost.embeddings * images / 1e9,
        "warehouse_gb": WAREHOUSE_BYTES * images / 1e9,
        "money": None if rate is None else hours * rate,
    }


def _show(listed: Listed, cost: Cost, images: int, rate: float | None) -> None:
    kinds = ", ".join(f"{n:,} {suffix or 'no suffix'}" for suffix, n in listed.kinds.items())
    whole = total(cost, images, rate)
    table = Table("", "", title=f"{images:,} images", show_header=False)
    size = f"{listed.images:,} images, {listed.bytes / 1e9:,.2f} GB"
    table.add_row("listed", escape(f"{size}: {kinds}"))
    tried = f"{cost.tried} pictures" + (f", {cost.rejected} of them rejected" * bool(cost.rejected))
    table.add_row("tried here", tried)
    each = f"{cost.passes:.1f} an image, {whole['forward_passes']:,.0f} in all"
    table.add_row("forward passes", each)
    parts = f"fetch {cost.fetch:.3f} s, embed {cost.embed:.3f} s, score {cost.score:.3f} s"
    table.add_row("an image", parts)
    table.add_row("on a machine like this", duration(cost.seconds * images))
    table.add_row("embeddings", f"{whole['embeddings_gb']:,.2f} GB")
    table.add_row("warehouse", f"about {whole['warehouse_gb']:,.2f} GB")
    if whole["money"] is not None:
        table.add_row("at the rate given", f"{whole['money']:,.2f}")
    out.print(table)
    out.print(
        "Several machines share the work: the time divides by their number, the money does not.",
        highlight=False,
    )
