"""The report as a person uses it: in Chromium, from disk and from a server, wide and narrow."""

from __future__ import annotations

import base64
import functools
import io
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from browsing import PHONE, WIDE, opened
from PIL import Image
from plans import class_place_map, kept_plans
from playwright.sync_api import Browser, Page, expect
from reported import HOSTILE_CLASSES, Two, hostile_run, two_runs

from lazsl.explain.evidence import Evidence
from lazsl.explain.explanation import Explanation
from lazsl.explain.localised import localised, permutation
from lazsl.explain.maps import place_maps, sharpened
from lazsl.explain.picture.scene import Scene
from lazsl.explain.side_by_side import pair, spoken
from lazsl.explain.words import reasons
from lazsl.report.make import make_report
from lazsl.report.site import visible
from lazsl.run.run import Run
from lazsl.warehouse.opening import open_warehouse

PAGES = (
    "index.html", "gallery.html", "judge.html", "image.html", "classes.html", "class.html#class=0",
    "rejects.html", "compare.html",
)  # fmt: skip

Row = dict[str, Any]
Opener = Callable[..., Page]


@dataclass(frozen=True)
class Reported:
    """A report on disk, and the warehouse it was made from."""

    two: Two
    site: Path

    @property
    def base(self) -> str:
        return self.site.as_uri()

    def labelled(self) -> list[Row]:
        """The images of the run, least certain first."""
        with closing(open_warehouse(self.two.warehouse)) as connection:
            result = connection.execute(
                "select * from labelled where run = ? order by margin, image_id",
                [self.two.new.key],
            )
            names = [column[0] for column in result.description or []]
            return [dict(zip(names, row, strict=True)) for row in result.fetchall()]

    def evidence(self, image: str) -> list[Evidence]:
        with closing(open_warehouse(self.two.warehouse)) as connection:
            return kept_plans(connection, self.two.new.key, image)


@pytest.fixture(scope="module")
def reported(labelled: Run, tmp_path_factory: pytest.TempPathFactory) -> Reported:
    home = tmp_path_factory.mktemp("reported")
    two = two_runs(labelled, home)
    make_report(two.warehouse, two.new.key, str(home / "site"), against=two.old.key)
    return Reported(two, home / "site")


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report in which every name is hostile."""
    home = tmp_path_factory.mktemp("hostile")
    run = hostile_run(home)
    make_report(run.job.warehouse_path, run.key, str(home / "site"))
    return home / "site"


@pytest.fixture(params=[WIDE, PHONE], ids=["wide", "phone"])
def page(request: pytest.FixtureRequest, browser: Browser, reported: Reported) -> Iterator[Page]:
    with opened(browser, reported.base, request.param) as page:
        page.goto(f"{reported.base}/gallery.html")
        expect(page.locator(".card").first).to_be_visible()
        yield page


def is_phone(page: Page) -> bool:
    return page.viewport_size == PHONE


def open_filters(page: Page) -> None:
    if not page.locator("#sort").is_visible():
        page.locator("#more summary").click()


def keys(page: Page) -> list[str]:
    return page.locator(".card .path").all_text_contents()


def point(page: Page, where: str) -> None:
    """Point with the mouse, or tap."""
    if is_phone(page):
        page.locator(where).first.tap()
    else:
        page.locator(where).first.hover()


def pixels(page: Page) -> np.ndarray:
    """(h, w, 4) red, green, blue and opacity of the light over the picture, 0..255."""
    drawn = page.evaluate("document.getElementById('light').toDataURL()").partition(",")[2]
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(drawn))).convert("RGBA"), np.float64)


def shown_piece(page: Page, side: str, place: int, plan: Evidence) -> tuple[float, ...]:
    """Left, top, right, bottom of what an attribute's crop shows of the picture, in its pixels."""
    piece = page.locator(f"#attributes .{side} .crop").nth(place)
    style = piece.evaluate("(e) => [e.style.backgroundSize, e.style.backgroundPosition]")
    whole, before = ([float(n.removesuffix("%")) / 100 for n in text.split()] for text in style)
    size = (plan.width, plan.height)
    side_of = [pixels / times for pixels, times in zip(size, whole, strict=True)]
    first = [part * (s - w) for part, s, w in zip(before, size, side_of, strict=True)]
    return (*first, first[0] + side_of[0], first[1] + side_of[1])


def over(map: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """A map's nearest cells at the pixels of a picture."""
    rows = (np.arange(shape[0]) * map.shape[0]) // shape[0]
    columns = (np.arange(shape[1]) * map.shape[1]) // shape[1]
    return map[rows][:, columns]


# The gallery


def test_the_gallery_begins_with_the_least_certain(page: Page, reported: Reported) -> None:
    wanted = [row["key"] for row in reported.labelled()]
    expect(page.locator("#count")).to_have_text(f"{len(wanted)} images")
    assert keys(page) == wanted[:48]


def test_the_gallery_filters_by_label_truth_and_margin(page: Page, reported: Reported) -> None:
    rows = reported.labelled()
    open_filters(page)
    page.locator("#truth").select_option("wrong")
    wrong = [r for r in rows if r["correct"] is False]
    assert wrong
    expect(page.locator("#count")).to_have_text(f"{len(wrong)} of {len(rows)} images")
    assert keys(page) == [r["key"] for r in wrong]
    label = wrong[0]["label"]
    page.locator("#label").fill(label)
    page.locator("#label").press("Enter")
    both = [r for r in wrong if r["label"] == label]
    expect(page.locator("#count")).to_have_text(f"{len(both)} of {len(rows)} images")
    page.get_by_role("button", name="Clear").click()
    expect(page.locator("#count")).to_have_text(f"{len(rows)} images")
    limit = rows[10]["margin"]
    page.locator("#from").fill(f"{limit:.5f}")
    above = [r for r in rows if round(1e5 * r["margin"]) >= round(1e5 * limit)]
    expect(page.locator("#count")).to_have_text(f"{len(above)} of {len(rows)} images")
    page.locator("#to").fill(f"{rows[20]['margin']:.5f}")
    expect(page.locator("#count")).not_to_have_text(f"{len(above)} of {len(rows)} images")
    assert keys(page) == [r["key"] for r in above if r["margin"] <= rows[20]["margin"] + 5e-6]


def test_the_gallery_sorts(page: Page, reported: Reported) -> None:
    rows = reported.labelled()
    open_filters(page)
    for order, wanted in (
        ("certain", [r["key"] for r in sorted(rows, key=lambda r: -round(1e5 * r["margin"]))]),
        ("key", sorted(r["key"] for r in rows)),
        ("score", [r["key"] for r in sorted(rows, key=lambda r: round(1e4 * r["score"]))]),
    ):
        page.locator("#sort").select_option(order)
        expect(page.locator(".card .path").first).to_have_text(wanted[0])
        assert keys(page) == wanted[:48]


def test_the_gallery_searches_file_names_labels_and_attributes(
    page: Page, reported: Reported
) -> None:
    rows = reported.labelled()
    with closing(open_warehouse(reported.two.warehouse)) as connection:
        strongest = connection.execute(
            "select image_id, list(attribute order by contribution desc)[:3] from evidence "
            "where run = ? and rank = 1 group by image_id",
            [reported.two.new.key],
        ).fetchall()
    spoke = dict(strongest)
    for wanted in (rows[7]["key"][-9:].upper(), rows[3]["label"][:5], "black legs"):
        matching = [
            r["key"]
            for r in rows
            if wanted.lower() in r["key"].lower()
            or wanted.lower() in r["label"].lower()
            or any(wanted.lower() in attribute for attribute in spoke[r["image_id"]])
        ]
        assert 0 < len(matching) < len(rows)
        page.locator("#q").fill(wanted)
        expect(page.locator("#count")).to_contain_text(f"{len(matching)} of {len(rows)}")
        expect(page.locator(".card .path")).to_have_text(matching)


def test_a_view_of_the_gallery_is_in_its_address(page: Page, reported: Reported) -> None:
    open_filters(page)
    page.locator("#truth").select_option("right")
    page.locator("#sort").select_option("key")
    right = sorted(r["key"] for r in reported.labelled() if r["correct"])
    expect(page.locator(".card .path").first).to_have_text(right[0])
    address = page.url
    page.goto(f"{reported.base}/index.html")
    page.goto(address)
    expect(page.locator(".card .path").first).to_have_text(right[0])
    assert keys(page) == right[:48]
    page.locator(".card a").nth(1).click()
    expect(page.locator("#place")).to_have_text(f"2 of {len(right)}")
    page.locator("#back").click()
    expect(page.locator(".card .path").first).to_have_text(right[0])
    assert page.locator("#truth").input_value() == "right"


# An image


def test_pointing_at_an_attribute_lights_its_pixels_and_outlines_its_regions(
    page: Page, reported: Reported
) -> None:
    key = keys(page)[4]
    page.locator(".card a").nth(4).click()
    expect(page.locator("#attributes button").first).to_be_visible()
    best, second = reported.evidence(key)
    assert page.locator("#label").text_content() == best.label
    pairs = sorted(pair(best, second), key=lambda p: (p.shared, -abs(p.difference)))
    scene = Scene(cast(Explanation, SimpleNamespace(this=best, other=second)), None, pairs)
    rows = page.locator("#attributes tbody tr")
    expect(rows).to_have_count(len(pairs))
    for side, plan in (("mine", best), ("theirs", second)):
        spoken = [p.this if side == "mine" else p.other for p in pairs]
        texts = page.locator(f"#attributes .{side} .text").all_text_contents()
        assert texts == [s.text for s in spoken if s is not None]
        shares = page.locator(f"#attributes .{side} .number").all_text_contents()
        percent = [float(s.removesuffix("\u202f%").replace("−", "-")) for s in shares]
        assert percent == pytest.approx([100 * s.share for s in spoken if s is not None], abs=0.6)
        pointing = localised(plan)
        marked = page.locator(f"#attributes .{side}").filter(has_text="not localised").count()
        assert marked == sum(not pointing[s.index] for s in spoken if s is not None)
        number = next(s.index for s in spoken if s is not None and pointing[s.index])
        spoken_of = {s.index: s for s in spoken if s is not None}
        for s in (s for s in spoken_of.values() if pointing[s.index]):
            assert shown_piece(page, side, texts.index(s.text), plan) == pytest.approx(
                scene.region(plan, s), abs=1
            )
        place = texts.index(plan.attributes[number])
        page.locator(f"#attributes .{side}").nth(place).hover()
        expect(page.locator("#lit")).to_contain_text(plan.attributes[number])
        lit = pixels(page)
        # What lies elsewhere is darkened, the more the less it was found; but for the outline.
        opacity = lit[..., 3] / 255
        wanted = over(place_maps(plan)[number], opacity.shape).clip(0)
        error = np.abs(opacity - 0.65 * (1 - wanted / wanted.max()))
        assert np.quantile(error, 0.75) < 0.02
        # White lines run along the sides of the region that explain's picture shows, too.
        left, top, right, bottom = scene.region(plan, spoken_of[number])
        x = (np.asarray((left, right)) * lit.shape[1] / plan.width).astype(int)
        y = (np.asarray((top, bottom)) * lit.shape[0] / plan.height).astype(int)
        white = (lit[..., :3].min(axis=-1) > 240) & (opacity > 0.98)
        middle = lit.shape[1] * (left + right) // (2 * plan.width)
        assert white[max(0, y[0] - 1) : y[0] + 5, middle].any()
        assert white[y[1] - 5 : y[1] + 1, middle].any()
        assert white[(y[0] + y[1]) // 2, max(0, x[0] - 1) : x[0] + 5].any()


def test_the_runner_up_can_be_held_against_the_label(page: Page, reported: Reported) -> None:
    key = keys(page)[4]
    page.locator(".card a").nth(4).click()
    best, second = reported.evidence(key)
    page.get_by_role("button", name="Against the runner-up").click()
    expect(page.locator("#legend")).to_contain_text(f"for {best.label}")
    page.mouse.move(2, 2)
    lit = pixels(page)
    wanted = over(class_place_map(best, second), lit.shape[:2])
    clear = lit[..., 3] > 40
    blue = lit[..., 2] > lit[..., 0]
    assert clear.mean() > 0.1
    assert (blue[clear] == (wanted[clear] > 0)).mean() > 0.98


def test_a_page_opens_with_the_answer_and_lights_what_decided(
    page: Page, reported: Reported
) -> None:
    key = keys(page)[4]
    page.locator(".card a").nth(4).click()
    best, second = reported.evidence(key)
    pairs = pair(best, second)
    expect(page.locator("#because")).to_have_text(reasons(second.label, pairs))
    first = min((p for p in pairs if not p.shared), key=lambda p: -abs(p.difference))
    if first.this is not None and first.difference > 0 and localised(best)[first.this.index]:
        expect(page.locator("#lit")).to_contain_text(first.this.text)
        assert pixels(page).any()
    page.locator("#copy-key").click()
    expect(page.locator("#copied")).not_to_have_text("")


@pytest.mark.parametrize("count", [1, 7, 91])
def test_a_page_shuffles_as_the_picture_of_explain_does(
    page: Page, reported: Reported, count: int
) -> None:
    page.locator(".card a").first.click()
    expect(page.locator("#because")).not_to_have_text("")
    for draw in (1, 50, 99):
        drawn = page.evaluate(f"lazsl.maps.permutation({draw}, {count})")
        assert drawn == permutation(draw, count).tolist()
    values = np.random.default_rng(count).normal(size=count)
    for side in (40, 60):
        boxes = np.array([[0, 0, side, side]] * count)
        given = [boxes.ravel().tolist(), values.tolist(), [120, 100]]
        apart = page.evaluate("(given) => lazsl.maps.sharpened(...given)", given)
        assert apart == pytest.approx(sharpened(boxes, values[:, None], (120, 100))[:, 0])


def test_a_page_shows_of_an_attribute_the_region_that_the_picture_of_explain_shows(
    page: Page, reported: Reported
) -> None:
    best, _ = reported.evidence(keys(page)[0])
    page.locator(".card a").first.click()
    expect(page.locator("#because")).not_to_have_text("")
    rng = np.random.default_rng(7)
    for side in (30, 60):
        corner = rng.integers(0, (120 - side, 100 - side), (91, 2))
        boxes = np.concatenate([corner, corner + side], axis=1)
        # Found at a place; of the regions that show it at their border, some are the most like it.
        apart = np.minimum((40, 60) - corner, corner + side - (40, 60)).min(axis=1) / side
        values = (
            np.where(apart > 0, 1.0, 0.0) + 0.1 * rng.random(91) + (abs(apart - 0.05) < 0.05) / 4
        )
        shown = replace(
            best, width=120, height=100, boxes=boxes, mass=np.full((91, 1), 1 / 91),
            similarity=values[:, None], passed_boxes=None, passed_similarity=None,
            attributes=("x",), presence=None,
        )  # fmt: skip
        scene = Scene(cast(Explanation, SimpleNamespace(this=shown, other=None)), None, [])
        given = [boxes.ravel().tolist(), values.tolist(), [120, 100]]
        number = page.evaluate("(given) => lazsl.maps.region(...given)", given)
        (spoken_of,) = spoken(shown)
        assert tuple(boxes[number].tolist()) == scene.region(shown, spoken_of)
        assert number != values.argmax()


def test_an_image_shows_every_method_and_what_else_it_might_be(
    page: Page, reported: Reported
) -> None:
    row = reported.labelled()[4]
    page.locator(".card a").nth(4).click()
    table = page.locator("#classes tbody tr")
    expect(table).to_have_count(6)
    with closing(open_warehouse(reported.two.warehouse)) as connection:
        wanted = connection.execute(
            "select class, score, crop_mean_score, dclip_score, clip_score from scores "
            "where run = ? and image_id = ? order by rank",
            [reported.two.new.key, row["image_id"]],
        ).fetchall()
    for line, (label, *scores) in enumerate(wanted):
        assert label in (table.nth(line).locator("th").text_content() or "")
        shown = table.nth(line).locator("td").all_text_contents()
        assert shown == [f"{score:.4f}" for score in scores]
    last = table.nth(5).locator("td").all_text_contents()
    assert last == [row["label"], row["crop_mean_label"], row["dclip_label"], row["clip_label"]]


def test_a_person_with_a_keyboard_gets_everywhere(browser: Browser, reported: Reported) -> None:
    rows = reported.labelled()
    with opened(browser, reported.base) as page:
        page.goto(f"{reported.base}/gallery.html")
        page.keyboard.press("Tab")
        expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
        expect(page.locator(".card").first).to_be_visible()
        page.locator(".card a").first.focus()
        page.keyboard.press("Enter")
        expect(page.locator("#about")).to_contain_text(rows[0]["key"])
        for step, row in (("ArrowRight", 1), ("ArrowRight", 2), ("ArrowLeft", 1)):
            page.keyboard.press(step)
            expect(page.locator("#about")).to_contain_text(rows[row]["key"])
        page.locator("#why-not a").focus()
        page.keyboard.press("Tab")
        expect(page.locator("#attributes button").first).to_be_focused()
        texts = page.locator("#attributes .text").all_text_contents()
        expect(page.locator("#lit")).to_contain_text(texts[0])
        page.keyboard.press("Tab")
        expect(page.locator("#lit")).to_contain_text(texts[1])
        page.keyboard.press("Enter")
        expect(page.locator("#attributes button").nth(1)).to_have_attribute("aria-pressed", "true")
        page.locator("#back").focus()
        assert pixels(page).any()
        page.keyboard.press("Escape")
        assert not pixels(page).any()


def test_an_address_without_an_image_says_so(browser: Browser, reported: Reported) -> None:
    with opened(browser, reported.base) as page:
        page.goto(f"{reported.base}/image.html#id={'0' * 32}")
        expect(page.get_by_role("alert")).to_contain_text("no page of that image")


# The other pages


def test_a_class_shows_what_carries_it_and_leads_to_its_images(
    page: Page, reported: Reported
) -> None:
    rows = reported.labelled()
    label = max((r["label"] for r in rows), key=lambda name: [r["label"] for r in rows].count(name))
    page.goto(f"{reported.base}/classes.html")
    page.locator("#q").fill(label)
    page.get_by_role("link", name=label).click()
    expect(page.locator("#name")).to_have_text(label)
    assert page.locator(".tiles li").count() >= 6
    drawn = page.evaluate(
        """() => [...document.querySelectorAll(".tiles canvas")].map((canvas) => {
            const data = canvas.getContext("2d").getImageData(0, 0, 96, 96).data;
            return new Set(data).size;
        })"""
    )
    assert min(drawn) > 50
    page.get_by_role("link", name="All of them").click()
    of_class = [r["key"] for r in rows if r["label"] == label]
    expect(page.locator("#count")).to_contain_text(f"{len(of_class)} of {len(rows)}")
    assert keys(page) == of_class


def test_rejects_are_filtered_by_reason(page: Page, reported: Reported) -> None:
    page.goto(f"{reported.base}/index.html")
    page.get_by_role("link", name="not-an-image").click()
    expect(page.locator("#count")).to_have_text("1 image")
    texts = page.locator("#rejects tbody tr").all_text_contents()
    assert len(texts) == 1 and "not-an-image" in texts[0]
    page.locator("#reason").select_option("")
    expect(page.locator("#count")).to_have_text("7 images")


def test_two_runs_are_compared(page: Page, reported: Reported) -> None:
    page.goto(f"{reported.base}/compare.html")
    with closing(open_warehouse(reported.two.warehouse)) as connection:
        changed = connection.execute(
            "select label_a, label_b, truth from disagreements(?, ?)",
            [reported.two.old.key, reported.two.new.key],
        ).fetchall()
    expect(page.locator("#count")).to_contain_text(f"{len(changed)} change")
    heads = {head.replace(" → ", ">") for head in page.locator(".change h3").all_text_contents()}
    assert heads == {f"{old}>{new}" for old, new, _ in changed}
    assert page.locator(".change .moves").count() > 0
    page.locator("#change").select_option("broken")
    broken = [row for row in changed if row[2] == row[0]]
    expect(page.locator("#count")).to_contain_text(f"{len(broken)} change")
    page.locator("#change").select_option("")
    page.locator(".change a").first.click()
    expect(page.locator("#attributes button").first).to_be_visible()


# Anywhere, any light, anybody


ONLY_VIOLATIONS = {"preload": False, "resultTypes": ["violations"]}


# Colours are a matter of the scheme, and what fits of the size: each of these is seen once.
@pytest.mark.parametrize(
    ("size", "scheme"), [(WIDE, "light"), (PHONE, "dark")], ids=["light-wide", "dark-phone"]
)
def test_every_page_is_accessible_and_fits_the_screen(
    browser: Browser, reported: Reported, size: Row, scheme: str
) -> None:
    with opened(browser, reported.base, size, scheme) as page:
        for name in PAGES:
            if name == "image.html":
                page.goto(f"{reported.base}/gallery.html")
                page.locator(".card a").first.click()
                point(page, "#attributes tr:nth-child(2) button")
            else:
                page.goto(f"{reported.base}/{name}")
            expect(page.locator("h1")).to_be_visible()
            expect(page.locator("main")).not_to_contain_text("loading")
            if name == "compare.html":
                expect(page.locator(".change").first).to_be_visible()
            wide = page.evaluate("document.scrollingElement.scrollWidth - innerWidth")
            assert wide <= 0, name
            response = Axe().run(page, options=ONLY_VIOLATIONS).response
            violations = response["violations"]
            summaries = [
                (v["id"], v["impact"], [n["html"] for n in v["nodes"]][:3]) for v in violations
            ]
            assert summaries == [], name


def test_dark_follows_the_system_and_a_choice_is_remembered(
    browser: Browser, reported: Reported
) -> None:
    def lightness(page: Page) -> float:
        colour = page.evaluate("getComputedStyle(document.body).backgroundColor")
        return float(np.mean([int(part) for part in colour[4:-1].split(",")]))

    with opened(browser, reported.base, scheme="dark") as page:
        page.goto(f"{reported.base}/index.html")
        assert lightness(page) < 60
        page.get_by_role("button", name="Light").click()
        assert lightness(page) > 200
        page.goto(f"{reported.base}/rejects.html")
        assert lightness(page) > 200
        page.get_by_role("button", name="Dark").click()
        assert lightness(page) < 60


def test_a_report_on_a_server_works_as_on_a_disk(browser: Browser, reported: Reported) -> None:
    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: Any) -> None:
            pass

    handler = functools.partial(Quiet, directory=str(reported.site))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        base = f"http://127.0.0.1:{server.server_port}"
        with opened(browser, base) as page:
            page.goto(f"{base}/index.html")
            page.locator(".card a").first.click()
            page.locator("#attributes button").first.hover()
            expect(page.locator("#lit")).not_to_be_empty()
            picture = page.locator("#photo")
            decoded = "(image) => image.decode().then(() => image.naturalWidth)"
            assert picture.evaluate(decoded) > 100
            page.get_by_role("link", name="Compare").click()
            expect(page.locator(".change").first).to_be_visible()
        server.shutdown()


def test_hostile_names_break_no_page_and_run_in_none(browser: Browser, hostile: Path) -> None:
    base = hostile.as_uri()
    names = [visible(name) for name in HOSTILE_CLASSES]
    with opened(browser, base) as page:
        page.goto(f"{base}/index.html")
        expect(page.locator(".card")).to_have_count(6)
        assert page.locator("main img:not([src^='previews/'])").count() == 0
        page.goto(f"{base}/gallery.html")
        expect(page.locator("#count")).to_have_text("6 images")
        shown = page.locator(".card").all_text_contents()
        assert any("<img src=x onerror=pwned=1>.jpg" in text for text in shown)
        assert any("‹U+202E›" in text for text in shown)
        open_filters(page)
        page.locator("#label").focus()
        assert set(page.locator("#label-list li").all_text_contents()) == set(names)
        page.locator("#label").press("Escape")
        page.locator("#q").fill("__proto__")
        expect(page.locator("#count")).to_contain_text("of 6 images")
        page.goto(f"{base}/gallery.html#truth=constructor&judged=__proto__&sort=toString&label=x")
        expect(page.locator("#count")).to_have_text("0 of 6 images")
        page.goto(f"{base}/gallery.html#")
        expect(page.locator("#count")).to_have_text("6 images")
        page.locator(".card a").first.click()
        for _ in range(5):
            expect(page.locator("#attributes button").first).to_be_visible()
            page.locator("#attributes button").first.hover()
            expect(page.locator("#lit")).not_to_be_empty()
            before = page.url
            page.keyboard.press("ArrowRight")
            page.wait_for_url(lambda url, before=before: url != before)
        for number, name in enumerate(names):
            page.goto(f"{base}/class.html#class={number}")
            expect(page.locator("#name")).to_have_text(name)
            assert page.title().startswith(name[:8])
        page.goto(f"{base}/classes.html")
        expect(page.locator("#classes tbody tr")).to_have_count(len(names))
        page.goto(f"{base}/rejects.html")
        expect(page.locator("#rejects tbody tr")).to_contain_text(f"no image {names[0]}.jpg")
