"""A small file that asks for much memory or much time gets only what there is for all."""

from __future__ import annotations

import io
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lazsl.images import decoding
from lazsl.images.budget import SCANS, Budget
from lazsl.images.decoding import Picture, Reject, decode


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


@pytest.mark.parametrize("mode", ["I;16", "RGBA", "LA"])
def test_many_threads_that_decode_large_pictures_stay_below_the_budget(
    mode: str, tmp_path: Path
) -> None:
    # 36 million pixels in a few kilobytes; the peak is of a process of its own.
    file = tmp_path / "large.png"
    file.write_bytes(saved(Image.new(mode, (6000, 6000)), "PNG"))
    script = """
import resource, sys
from concurrent.futures import ThreadPoolExecutor
from lazsl.images import budget
budget.MEMORY.total = 600_000_000
from lazsl.images.decoding import decode
data = open(sys.argv[1], "rb").read()
with ThreadPoolExecutor(6) as pool:
    sizes = list(pool.map(lambda _: decode(data, max_pixels=10**9).size, range(12)))
assert sizes == [(6000, 6000)] * 12
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
"""
    # (`decode` results are dropped at once: what is measured is decoding.)
    done = subprocess.run(
        [sys.executable, "-c", script, str(file)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 1_300_000_000


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
    assert {decoding.TOO_MUCH_WORK, decoding.OUTSIDE} <= set(decoding.REASONS)
