"""Pages in Chromium that must stay within their site."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from playwright.sync_api import Browser, Page

WIDE = {"width": 1280, "height": 900}
PHONE = {"width": 390, "height": 844}

Row = dict[str, Any]


@contextmanager
def opened(browser: Browser, base: str, size: Row = WIDE, scheme: str = "light") -> Iterator[Page]:
    """A page that asks for nothing outside of the report, opens no dialog and logs no error."""
    context = browser.new_context(
        viewport=size, color_scheme=scheme, has_touch=size is PHONE, reduced_motion="reduce"
    )
    page = context.new_page()
    requests: list[str] = []
    wrong: list[str] = []
    page.on("request", lambda request: requests.append(request.url))
    page.on("pageerror", lambda error: wrong.append(f"error: {error}"))
    page.on(
        "console", lambda message: wrong.append(message.text) if message.type == "error" else None
    )
    page.on("dialog", lambda dialog: (wrong.append("a dialog"), dialog.dismiss()))
    # Leaving a page cuts off what it still loads: that is no failure.
    page.on(
        "requestfailed",
        lambda request: (
            request.failure != "net::ERR_ABORTED" and wrong.append(f"failed: {request.url}")
        ),
    )
    yield page
    assert page.evaluate("typeof pwned") == "undefined"
    context.close()
    assert not wrong, wrong
    # A file that the page hands to the person comes from the page itself.
    outside = [url for url in requests if not url.startswith((f"{base}/", "blob:"))]
    assert requests and outside == []
