"""A small file that asks for much memory or much time gets only what there is for all."""

from __future__ import annotations

import io
import struct
import subprocess
import sys
import threading
import time
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lazsl.images import reasons
from lazsl.images.budget import SCANS, TRIMMED, Budget, scans
from lazsl.images.decoding import Picture, decode
from lazsl.images.reasons import Reject


def saved(image: Image.Image, kind: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
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


MEASURE = """
import ctypes, io, itertools, sys
from concurrent.futures import ThreadPoolExecutor
from PIL import Image
from lazsl.images import budget, decoding

def resident(field):
    lines = open("/proc/self/status").read().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(field))

def peak(work):
    ctypes.CDLL(None).malloc_trim(0)
    before = resident("VmRSS")
    open("/proc/self/clear_refs", "w").write("5")
    work()
    return resident("VmHWM") - before

def decode(data):
    assert decoding.decode(data, max_pixels=10**9).size in [(side, side)], "no picture"

def decode_smaller(data):
    small = decoding.decode(data, max_pixels=10**9, shrink=lambda _: 8)
    assert small.factor == 8 and small.size == (side, side)
"""
"""Peaks of a process of its own, above what it holds without a picture."""

KINDS = [
    *[("RGBA", "PNG", {}), ("LA", "PNG", {}), ("I;16", "PNG", {}), ("P", "PNG", {})],
    *[("P", "PNG", {"transparency": 1}), ("RGB", "PNG", {"transparency": (1, 2, 3)})],
    *[("RGB", "JPEG", {}), ("L", "JPEG", {"progressive": True})],
    *[("RGB", "JPEG", {"progressive": True, "subsampling": 0})],
    *[("CMYK", "JPEG", {"progressive": True}), ("RGB", "WEBP", {})],
    *[("RGBA", "WEBP", {"lossless": True}), ("F", "TIFF", {}), ("I", "TIFF", {})],
    *[("CMYK", "TIFF", {"compression": "tiff_deflate"}), ("P", "GIF", {}), ("RGB", "BMP", {})],
    *[("RGBA", "TIFF", {"compression": "tiff_adobe_deflate", "strip_size": 10**9})],
    *[("RGB", "JPEG2000", {}), ("RGBA", "JPEG2000", {}), ("RGB", "AVIF", {"speed": 10})],
]


def measured(script: str) -> list[list[float]]:
    """The rows of numbers that a process prints."""
    if not Path("/proc/self/clear_refs").exists():
        pytest.skip("this system does not say what a process held at most")
    done = subprocess.run(
        [sys.executable, "-c", MEASURE + script], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return [[float(number) for number in line.split()] for line in done.stdout.splitlines()]


def test_what_a_header_claims_covers_what_decoding_takes_whatever_the_format() -> None:
    script = f"""
side, claims = 1200, []
real = budget.MEMORY.take
budget.MEMORY.take = lambda amount: claims.append(amount) or real(amount)
turned = Image.Exif()
turned[0x112] = 6
for mode, kind, how in {KINDS!r}:
    file = io.BytesIO()
    if kind not in ("GIF", "BMP"):
        how = dict(how, exif=turned)
    Image.new(mode, (side, side)).save(file, kind, **how)
    print(peak(lambda: decode(file.getvalue())), claims[-1])
file = io.BytesIO()
Image.new("RGB", (side, side)).save(file, "JPEG", progressive=True, subsampling=0)
print(peak(lambda: decode_smaller(file.getvalue())), claims[-1])
"""
    *rows, smaller = measured(script)
    assert len(rows) == len(KINDS)
    assert smaller[0] <= smaller[1], "all coefficients are kept, however small the picture becomes"
    wrong = {str(kind): row for kind, row in zip(KINDS, rows, strict=True) if row[0] > row[1]}
    assert not wrong
    # It is no guess far above, either: that would have threads wait for nothing.
    assert sum(row[1] for row in rows) < 3 * sum(row[0] for row in rows)


def test_many_threads_that_decode_large_pictures_stay_below_the_budget() -> None:
    script = """
side = 2000
for kind in ("PNG", "WEBP"):
    file = io.BytesIO()
    Image.new("RGBA", (side, side)).save(file, kind, lossless=True)
    for total in (150_000_000, 10**12):
        budget.MEMORY.total = total
        with ThreadPoolExecutor(8) as pool:
            print(peak(lambda: list(pool.map(decode, [file.getvalue()] * 16))))
"""
    (png,), (png_without,), (webp,), (webp_without,) = measured(script)
    # What is freed and not given back yet, and two pictures whose threads go on just now.
    most = 150_000_000 + TRIMMED + 2 * 4 * 2000 * 2000
    assert png < most < png_without
    assert webp < most < webp_without


def test_a_small_tiff_in_an_enormous_tile_is_rejected_before_it_is_unpacked() -> None:
    packed = zlib.compressobj(9)
    body = b"".join(packed.compress(bytes(2**20)) for _ in range(300)) + packed.flush()
    side = 17_400  # of the tile; the picture has 10 x 10 pixels in 300 kB
    tags = [(256, 10), (257, 10), (258, 8), (259, 8), (262, 1), (277, 1), (322, side), (323, side)]
    tags += [(324, 14 + 12 * 10), (325, len(body))]
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
    data = struct.pack("<2sHIH", b"II", 42, 8, len(tags)) + entries + bytes(4) + body
    reject = decode(data, max_pixels=200_000_000)
    assert isinstance(reject, Reject) and "tiles are larger" in reject.detail


def test_a_jpeg_of_endless_scans_is_rejected_before_it_is_decoded() -> None:
    data = saved(Image.new("RGB", (4000, 4000), "red"), "JPEG", progressive=True)
    start = data.rindex(b"\xff\xda")
    scan = data[start:-2]
    bomb = data[:-2] + scan * 5000 + data[-2:]
    started = time.process_time()
    reject = decode(bomb, max_pixels=10**9)
    assert isinstance(reject, Reject) and reject.reason == "too-much-work"
    assert time.process_time() - started < 1
    assert isinstance(decode(data, max_pixels=10**9), Picture)
    assert scans(data) < SCANS / 10
    for between in (b"\xff\xff", b"\xff\x00", b"\xff\xd0", b"\xff\xfe\0\4ab"):  # what decoders skip
        hidden = data[:-2] + (between + scan) * 600 + data[-2:]
        assert scans(hidden) > 600


def test_what_lies_in_segments_of_a_jpeg_or_after_its_end_is_no_scan() -> None:
    picture = Image.effect_noise((300, 200), 90).convert("RGB")
    markers = b"\xff\xda" * 1000
    plain = saved(picture, "JPEG")
    assert scans(plain) == 1 and plain.count(b"\xff\xda") == 1
    data = saved(picture, "JPEG", comment=markers) + b"a film: " + markers
    assert scans(data) == 1
    started = time.thread_time()
    assert scans(b"\xff\xd8" + b"\xff" * 4_000_000) == 0
    assert time.thread_time() - started < 1
    film, without = decode(data, max_pixels=10**6), decode(plain, max_pixels=10**6)
    assert isinstance(film, Picture) and isinstance(without, Picture)
    assert film.image.tobytes() == without.image.tobytes()


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
