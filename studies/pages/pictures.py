"""Make the README's pictures: an explanation, and the report as a person sees it in a browser.

python -m studies.pages.pictures            # labels the sample in workspace/pictures: two minutes
python -m studies.pages.pictures FOLDER     # the same in another folder
"""

from __future__ import annotations

import io
import shutil
import sys
from contextlib import closing
from pathlib import Path

from PIL import Image
from playwright.sync_api import ViewportSize, sync_playwright

from lazsl import fieldguide
from lazsl.archive.named_archives import note
from lazsl.explain.explanation import explain
from lazsl.explain.lookup import find_image, find_run
from lazsl.explain.picture.draw import draw
from lazsl.explain.pixels import read_pixels
from lazsl.report.make import make_report
from lazsl.run.run import Run
from lazsl.warehouse.opening import open_warehouse
from studies.pages.cookbook import labelled
from studies.pages.filled import DOCS

PICTURES = DOCS / "pictures"
EXPLAINED = "1858/plate-019.jpg"
WINDOW = ViewportSize(width=1180, height=860)


def main(folder: Path) -> None:
    """Write docs/pictures from a run below the folder, which is made where it is missing."""
    run = labelled(folder, str(fieldguide.LABELS_FILE), preset="parts")
    note(run.job.archive)
    PICTURES.mkdir(exist_ok=True)
    _write("explanation", _explanation(run))
    site = folder / "report"
    make_report(run.job.warehouse_path, run.key, str(site))
    for name, picture in _pages(site).items():
        _write(name, picture)


def _explanation(run: Run) -> bytes:
    with closing(open_warehouse(run.job.warehouse_path)) as connection:
        found_run = find_run(connection, run.key, run.job.workspace)
        image = find_image(connection, run.key, EXPLAINED)
        explanation = explain(connection, found_run, image)
    pixels = read_pixels(image, run.job.max_pixels)
    return draw(explanation, None if isinstance(pixels, str) else pixels)


def _pages(site: Path) -> dict[str, bytes]:
    """By name, pictures of the overview and of an image, whose deciding attribute is lit."""
    base = site.resolve().as_uri()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium") or shutil.which("google-chrome"),
            args=["--no-sandbox", "--disable-gpu"],
        )
        page = browser.new_page(viewport=WINDOW, color_scheme="light", reduced_motion="reduce")
        page.goto(f"{base}/gallery.html")
        page.locator("#q").fill(EXPLAINED)
        page.locator(".path", has_text=EXPLAINED).click()
        page.locator("#lit").wait_for()
        page.locator("#photo").evaluate("(image) => image.decode()")
        image = page.screenshot()
        page.goto(f"{base}/index.html")
        page.locator(".card img").last.evaluate("(image) => image.decode()")
        overview = page.screenshot()
        browser.close()
    return {"report-image": image, "report": overview}


def _write(name: str, picture: bytes) -> None:
    # All colours are kept: of few, a bird loses its own to the water behind it.
    Image.open(io.BytesIO(picture)).convert("RGB").save(PICTURES / f"{name}.png", optimize=True)


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "workspace/pictures"))
