"""The report of one run, shard by shard: memory is bounded by a shard and the label set.

Whatever is killed and run again ends the same: every file is published whole, previews that are
there are kept, all else is made anew, and `index.html` comes last.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lazsl.archive.named_archives import check_named
from lazsl.errors import UserError
from lazsl.report.classes import AverageMaps, write_classes
from lazsl.report.differences import settings_that_differ, words_that_differ
from lazsl.report.gallery import write_gallery
from lazsl.report.images import PART, image_data, image_rows, with_plans
from lazsl.report.numbering import Names
from lazsl.report.overview import overview
from lazsl.report.previews import make_previews
from lazsl.report.rejects import write_rejects
from lazsl.report.site import Site
from lazsl.report.two_runs import write_comparison
from lazsl.warehouse import run_keys, sqlfiles
from lazsl.warehouse.opening import open_warehouse
from lazsl.warehouse.sqlfiles import Connection

PAGES = (
    "gallery.html", "image.html", "judge.html", "classes.html", "class.html", "rejects.html"
)  # fmt: skip


@dataclass(frozen=True)
class Report:
    """What was made."""

    index: str
    """Path or URL of the page to open."""
    run: str
    images: int
    """Images that have a page."""
    labelled: int
    """Images of the run that could have one."""
    missing: int
    """Images that have a page but could not be pictured now."""
    bytes: int
    """Size of the whole site, previews included."""
    preview_bytes: int
    """Of it the previews, those of an earlier report of this run included."""


def make_report(
    warehouse: Path,
    run: str,
    output: str,
    *,
    against: str | None = None,
    images: int | None = None,
    previews: bool = True,
    archive: str | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Report:
    """The report, made or brought up to date.

    Args:
        warehouse: the DuckDB file; the workspace is not needed.
        run: run key.
        output: folder of the site, a path or any fsspec URL; made if need be.
        against: key of another run of the same archive to compare with.
        images: give only so many images a page: half of them the least certain, half at random.
        previews: show the images themselves, which fetches each once.
        archive: where pictures may be read from, beside the archives that this user labelled: a
            warehouse of somebody else's may name any place.
        progress: called with the images done and the images to do.

    Raises:
        UserError: a run is not in the warehouse, or of another archive; the archive was never
            named; its store or the output keeps failing; the output holds something else.
    """
    with ExitStack() as stack:
        connection, plans = (stack.enter_context(closing(open_warehouse(warehouse))) for _ in "12")
        about = _about(connection, run)
        for opened in (connection, plans):
            sqlfiles.run(opened, "report/memory.sql")
        before = None if against is None else _about(connection, against)
        if before is not None:
            _check_comparable(about, before)
        if previews:
            _check_archive(str(about["archive_url"]), archive)
        site = Site(output, run)
        written = site.assets()
        sqlfiles.run(connection, "report/shown.sql", run=run, part_size=PART, limit=images)
        names = Names(connection, run)
        parts = sqlfiles.run(connection, "report/parts.sql").fetchall()
        files = [f"{shard}-{part}" for shard, part, _ in parts]
        total = sum(count for *_, count in parts)
        maps = AverageMaps()
        unpictured = bytearray(total)
        done = preview_bytes = 0
        for shard in dict.fromkeys(shard for shard, *_ in parts):
            reasons = {}
            if previews:
                reasons = _previews(connection, site, about, shard)
                preview_bytes += sum(site.previews(shard).values())
            size, done = _write_shard(
                connection, plans, site, run, shard, names, maps, reasons, unpictured, done,
                images is not None,
                lambda n: progress(n, total) if progress else None,
            )  # fmt: skip
            written += size
        chunks, size = write_gallery(connection, site, names, files, unpictured)
        written += size
        written += write_classes(connection, site, run, names, maps, files)
        rejected, size = write_rejects(connection, site, run)
        written += size
        compared = None
        if before is not None:
            compared, size = write_comparison(connection, site, run, before["run"], files)
            compared["settings"] = settings_that_differ(before["job"], about["job"])
            compared["words"] = words_that_differ(connection, before["run"], run)
            written += size
        facts = overview(connection, about, total, sum(unpictured), names)
        written += site.data("labels", names.to_json())
        samples = _samples(connection, run)
        written += site.data("samples", samples)
        config = {
            "run": about["run"],
            "images": total,
            "chunks": chunks,
            "files": files,
            "previews": previews,
            "truth": bool(facts["accuracy"]),
            "abstained": bool(about["abstained"]),
            "reviewed": bool(facts["reviewed"]["images"]),
            "samples": {name: len(images) for name, images in samples.items()},
            "rejects": rejected,
            "changed": compared["chunks"] if compared else [],
        }
        written += site.data("report", config)
        context = {
            "run": about,
            "facts": facts,
            "compared": compared,
            "samples": samples,
            "title": _title(about),
            "images": total,
            "limited": images is not None and total < facts["listed_labelled"],
            "previews": previews,
        }
        for page in PAGES + (("compare.html",) if compared else ()):
            written += site.page(page, **context)
        context["size"] = written + preview_bytes
        written += site.page("index.html", **context)
    return Report(
        index=site.folder.path("index.html") if site.folder.is_local else f"{output}/index.html",
        run=run,
        images=total,
        labelled=facts["listed_labelled"],
        missing=sum(unpictured),
        bytes=written + preview_bytes,
        preview_bytes=preview_bytes,
    )


def _about(connection: Connection, run: str) -> dict[str, Any]:
    (about,) = sqlfiles.rows(connection, "report/run.sql", run=run_keys.find_run(connection, run))
    about["job"] = json.loads(about["job"] or "{}")
    return about


def _title(about: dict[str, Any]) -> dict[str, str]:
    """What a person calls the archive, the model and the label set of a run."""
    last = {
        "archive": about["archive_url"] or about["archive"],
        "labels": about["job"].get("labels") or about["labels"],
    }
    names = {name: str(url).rstrip("/").rsplit("/", 1)[-1] for name, url in last.items()}
    return {**names, "model": about["model"] or ""}


def _samples(connection: Connection, run: str) -> dict[str, list[int]]:
    """Positions of the images of every sample that was drawn from the run."""
    samples: dict[str, list[int]] = {}
    for name, position in sqlfiles.run(connection, "report/samples.sql", run=run).fetchall():
        samples.setdefault(name, []).append(position)
    return samples


def _check_archive(url: str, given: str | None) -> None:
    try:
        check_named(url, given)
    except UserError as error:
        raise UserError(f"{error} (or make the report without pictures: --no-previews)") from None


def _check_comparable(run: dict[str, Any], other: dict[str, Any]) -> None:
    if run["archive"] != other["archive"]:
        raise UserError(
            f"run {other['run']} is of another archive ({other['archive_url']}) than {run['run']} "
            f"({run['archive_url']}); compare runs of one archive"
        )


def _previews(
    connection: Connection, site: Site, about: dict[str, Any], shard: str
) -> dict[str, str]:
    images = sqlfiles.rows(connection, "report/to_preview.sql", run=about["run"], shard=shard)
    job = about["job"]
    return make_previews(
        site,
        shard,
        images,
        about["archive_url"],
        max_pixels=job.get("max_pixels", 200_000_000),
        fetchers=job.get("fetchers", 16),
    )


def _write_shard(
    connection: Connection,
    plans: Connection,
    site: Site,
    run: str,
    shard: str,
    names: Names,
    maps: AverageMaps,
    reasons: dict[str, str],
    unpictured: bytearray,
    done: int,
    partial: bool,
    progress: Callable[[int], None],
) -> tuple[int, int]:
    """Bytes written for the image pages of one shard, and the images done with them."""
    wanted = None
    if partial:
        rows = sqlfiles.run(connection, "report/to_preview.sql", run=run, shard=shard).fetchall()
        wanted = [row[0] for row in rows]
    written, part = 0, 0
    images: list[dict[str, Any]] = []
    for row, kept in with_plans(image_rows(connection, run, shard), plans, run, shard, wanted):
        if row["part"] != part:
            written += site.data(f"images-{shard}-{part}", images)
            part, images = row["part"], []
            progress(done)
        reason = reasons.get(row["image_id"])
        unpictured[row["position"]] = reason is not None
        images.append(image_data(row, kept, names, reason))
        if kept and kept[0].rank == 1:
            maps.add(kept[0])
        done += 1
    written += site.data(f"images-{shard}-{part}", images)
    progress(done)
    return written, done
