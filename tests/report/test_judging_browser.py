"""Judging in the report: from its pages, through the downloaded file, to the estimate."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import fake_run
import pyarrow as pa
import pytest
from browsing import opened
from playwright.sync_api import Browser, Page, expect

from lazsl.archive.selection import read_selection
from lazsl.audit.estimate import estimate_run
from lazsl.audit.judgements import import_judgements
from lazsl.audit.sample import draw_sample
from lazsl.report.make import make_report
from lazsl.report.site import visible
from lazsl.store.folder import Folder
from lazsl.warehouse import loading
from lazsl.warehouse.opening import open_warehouse

CLASSES = list(fake_run.CLASSES)
DRAWN = 12


@dataclass(frozen=True)
class Place:
    """A run with a sample, and its report."""

    workspace: Folder
    warehouse: Path
    site: Path
    run: str
    sample: pa.Table

    def called(self) -> dict[str, str]:
        """Best class by key, of every image that is shown."""
        with closing(open_warehouse(self.warehouse)) as connection:
            query = "select key, best_class from audit_frame(?, false, false)"
            return dict(connection.execute(query, [self.run]).fetchall())

    def judged(self) -> dict[str, str | None]:
        """By key, what was brought in."""
        with closing(open_warehouse(self.warehouse)) as connection:
            return dict(connection.execute("select key, judged_label from reviews").fetchall())


@pytest.fixture
def place(tmp_path: Path) -> Place:
    workspace = Folder(str(tmp_path / "workspace"))
    warehouse = tmp_path / "warehouse.duckdb"
    run = fake_run.write_run(workspace, images=50, shard_size=20, abstain_every=7).run
    loading.load(workspace, warehouse)
    sample = draw_sample(workspace, warehouse, run, DRAWN, by=())
    loading.load(workspace, warehouse, runs=[])
    make_report(warehouse, run, str(tmp_path / "site"), images=10, previews=False)
    return Place(workspace, warehouse, tmp_path / "site", run, sample)


def downloaded(page: Page, button: str, folder: Path) -> str:
    with page.expect_download() as waiting:
        page.locator(button).click()
    file = folder / waiting.value.suggested_filename
    waiting.value.save_as(file)
    return str(file)


def shown_key(page: Page, keys: list[str]) -> str:
    text = page.locator("#key").text_content() or ""
    (key,) = [key for key in keys if visible(key) == text]
    return key


def test_a_sample_is_judged_by_keyboard_and_gives_the_accuracy_of_the_run(
    browser: Browser, place: Place, tmp_path: Path
) -> None:
    called = place.called()
    answers: dict[str, str | None] = {}
    with opened(browser, place.site.as_uri()) as page:
        page.goto(f"{place.site.as_uri()}/index.html")
        page.get_by_role("link", name="Judge", exact=True).click()
        for number in range(DRAWN):
            expect(page.locator("#progress")).to_have_text(f"{number} of {DRAWN} judged")
            expect(page.locator("#place")).to_have_text(f"{number + 1} of {DRAWN}")
            key = shown_key(page, list(called))
            if number % 4 == 1:
                other = CLASSES[(CLASSES.index(called[key]) + 1) % len(CLASSES)]
                page.keyboard.press("w")
                page.keyboard.insert_text(visible(other)[2:9])
                page.keyboard.press("Enter")
                answers[key] = other
            elif number % 4 == 2:
                page.keyboard.press("n")
                answers[key] = None
            elif number == 3:
                page.keyboard.press("u")
            else:
                page.keyboard.press("r")
                answers[key] = called[key]
            if number == 5:
                page.reload()
        expect(page.locator("#finished")).to_be_visible()
        page.locator("#reviewer").fill("Ada")
        file = downloaded(page, "#download", tmp_path)
    brought = import_judgements(place.workspace, place.warehouse, file)
    assert set(answers) < set(place.sample["key"].to_pylist())
    assert brought.judgements == DRAWN - 1 == len(answers)
    assert place.judged() == answers
    estimate = estimate_run(place.warehouse, place.run).accuracy
    with closing(open_warehouse(place.warehouse)) as connection:
        labels = dict(
            connection.execute(
                "select key, label from labelled where run = ?", [place.run]
            ).fetchall()
        )
    counted = [key for key in answers if labels[key] is not None]
    assert estimate.judged == len(counted)
    assert estimate.value == pytest.approx(
        sum(labels[key] == answers[key] for key in counted) / len(counted)
    )


def test_pictures_chosen_by_filter_or_by_hand_are_keys_and_can_be_judged(
    browser: Browser, place: Place, tmp_path: Path
) -> None:
    make_report(place.warehouse, place.run, str(place.site), previews=False)
    called = place.called()
    label = CLASSES[2]
    with opened(browser, place.site.as_uri()) as page:
        page.goto(f"{place.site.as_uri()}/gallery.html")
        for name in (label, CLASSES[0]):
            page.locator("#label").fill(visible(name))
            page.locator("#label").press("Enter")
        expect(page.locator("#chips li")).to_have_count(2)
        chosen = {key for key, name in called.items() if name in (label, CLASSES[0])}
        expect(page.locator("#count")).to_contain_text(f"{len(chosen)} of {len(called)}")
        by_filter = read_selection(downloaded(page, "#keys", tmp_path)).keys
        assert by_filter == chosen
        page.get_by_role("button", name="Clear", exact=True).click()
        for number in (0, 3):
            page.locator(".pick input").nth(number).check()
        page.locator("#picked").select_option("yes")
        expect(page.locator("#count")).to_contain_text(f"2 of {len(called)}")
        by_hand = read_selection(downloaded(page, "#keys", tmp_path)).keys
        page.locator("#judge").click()
        expect(page.locator("#progress")).to_have_text("0 of 2 judged")
        page.keyboard.press("r")
        expect(page.locator("#progress")).to_have_text("1 of 2 judged")
        page.keyboard.press("r")
        file = downloaded(page, "#download", tmp_path)
        page.goto(f"{place.site.as_uri()}/gallery.html#label=0&picked=yes&from=9")
        page.get_by_role("button", name="Clear all filters").click()
        expect(page.locator("#count")).to_have_text(f"{len(called)} images")
    import_judgements(place.workspace, place.warehouse, file, reviewer="Ada")
    assert place.judged() == {key: called[key] for key in by_hand}
