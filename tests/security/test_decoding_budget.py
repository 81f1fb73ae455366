"""A small file that asks for much memory or much time gets only what there is for all."""

from __future__ import annotations

import io
import threading
import time

import numpy as np
import pytest
from PIL import Image

from lazsl.images import reasons
from lazsl.images.budget import SCANS, Budget
from lazsl.images.decoding import Picture, decode
from lazsl.images.reasons import Reject


def saved(image: Image.Image, kind: str, **how: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **how)
    return file.getvalue()


def test_threads_together_hold_no_more_than_the_budget_and_a_large_one_goes_alone() -> None:
    budget, held, most = Budget(10), 0, 0
    lock = threading.Lock()

    def work(amount: int) -> None:
        nonlocal held, most
        with budget.take(amount):
            with lock:
                held += min(amount, 10)
                most = max(most, held)
            time.sleep(0.005)
            with lock:
                held -= min(amount, 10)

    threads = [threading.Thread(target=work, args=(1 + n % 13,)) for n in range(60)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert not any(thread.is_alive() for thread in threads)
    assert 5 < most <= 10 and held == 0


def test_a_jpeg_of_endless_scans_is_rejected_before_it_is_decoded() -> None:
    data = saved(Image.new("RGB", (4000, 4000), "red"), "JPEG", progressive=True)
    start = data.rindex(b"\xff\xda")
    scan = data[start:-2]
    bomb = data[:-2] + scan * 5000 + data[-2:]
    started = time.perf_counter()
    reject = decode(bomb, max_pixels=10**9)
    assert isinstance(reject, Reject) and reject.reason == "too-much-work"
    assert time.perf_counter() - started < 1
    assert isinstance(decode(data, max_pixels=10**9), Picture)
    assert data.count(b"\xff\xda") < SCANS / 10


@pytest.mark.parametrize("mode", ["RGBA", "I;16", "I", "F"])
def test_working_in_bands_changes_no_pixel(mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(5).integers(0, 2**16, (61, 47))
    image = {
        "RGBA": lambda: Image.fromarray((np.stack([values] * 4, -1) % 251).astype(np.uint8)),
        "I;16": lambda: Image.fromarray(values.astype(np.uint16)),
        "I": lambda: Image.fromarray((values * 3).astype(np.int32)),
        "F": lambda: Image.fromarray((values / 7 - 100).astype(np.float32)),
    }[mode]()
    data = saved(image, "TIFF")
    whole = decode(data, max_pixels=10**6)
    monkeypatch.setattr("lazsl.images.budget.BAND", 100)
    banded = decode(data, max_pixels=10**6)
    assert isinstance(whole, Picture) and isinstance(banded, Picture)
    assert np.array_equal(np.asarray(whole.image), np.asarray(banded.image))
    if mode == "RGBA":  # an independent computation
        white = Image.new("RGBA", image.size, "white")
        alone = Image.alpha_composite(white, image).convert("RGB")
        assert np.array_equal(np.asarray(whole.image), np.asarray(alone))


def test_every_reason_for_a_reject_is_explained() -> None:
    assert {reasons.TOO_MUCH_WORK, reasons.OUTSIDE} <= set(reasons.REASONS)
