"""What every section knows: where it runs, how much of everything, and how long it may take."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

Row = dict[str, Any]
Rows = Iterator[Row]


@dataclass(frozen=True)
class Size:
    """How much of everything is measured.

    models: for what is right; throughput: for what is fast. crops: embedded in every way; images:
    of the field guide that are labelled; photographs: sizes in pixels; batches: rows of a forward
    pass, the middle one being the batch size elsewhere; decoders: threads; seconds: a rate is
    measured for at least so long; classes: of label sets; product: side of square matrices;
    pictures: photographs of each size; regions: crops of each.
    """

    models: tuple[str, ...]
    throughput: tuple[str, ...]
    crops: int
    images: int
    photographs: tuple[tuple[int, int], ...]
    batches: tuple[int, ...]
    decoders: tuple[int, ...]
    seconds: float
    classes: tuple[int, ...]
    product: int
    pictures: int = 4
    regions: int = 90

    @property
    def batch(self) -> int:
        """Rows of a forward pass where nothing else is said."""
        return self.batches[len(self.batches) // 2]


SIZES = {
    "full": Size(
        models=("ViT-B-32", "ViT-B-16", "ViT-L-14", "RN50"),
        throughput=("ViT-B-16", "ViT-L-14"),
        crops=48,
        images=60,
        photographs=((1600, 1200), (4000, 3000)),
        batches=(64, 128, 256, 512, 1024),
        decoders=(4, 8, 16, 32),
        seconds=3.0,
        classes=(1_000, 21_000),
        product=8192,
    ),
    "processor": Size(
        models=("ViT-B-32", "RN50"),
        throughput=("ViT-B-32",),
        crops=8,
        images=12,
        photographs=((1600, 1200),),
        pictures=2,
        batches=(4, 8, 16),
        decoders=(1, 2),
        seconds=1.0,
        classes=(1_000, 21_000),
        product=1024,
        regions=7,
    ),
    "small": Size(
        models=("fieldguide",),
        throughput=("fieldguide",),
        crops=4,
        images=2,
        photographs=((320, 240),),
        batches=(16, 32),
        decoders=(1, 2),
        seconds=0.05,
        classes=(50,),
        product=128,
        regions=7,
    ),
}
"""`full` is for a GPU, `processor` for a machine without one, `small` for the tests."""


@dataclass(frozen=True)
class Place:
    """Where a section runs: the device, how much, and until when (`time.monotonic`)."""

    device: str
    size: Size
    until: float

    @property
    def on_gpu(self) -> bool:
        return self.device.startswith("cuda")

    def left(self) -> float:
        """Seconds that the section may still take."""
        return self.until - time.monotonic()

    def enough(self, seconds: float) -> bool:
        """Whether so many seconds are left, for something that takes about that long where rates
        are measured for a second or more."""
        return self.left() > seconds * min(1.0, self.size.seconds)

    def wait(self) -> None:
        """Until the device has done everything that is queued."""
        if self.on_gpu:
            import torch

            torch.cuda.synchronize(self.device)


def rate(place: Place, work: Callable[[], Any], units: float, least: float | None = None) -> float:
    """Units a second, after one turn that is not counted.

    Args:
        place: says for how long at least, unless `least` does.
        work: does `units` of something; may leave it queued on the device.
    """
    work()
    place.wait()
    started, turns = time.perf_counter(), 0
    while True:
        work()
        turns += 1
        if turns == 1 or time.perf_counter() - started > (least or place.size.seconds):
            place.wait()
            spent = time.perf_counter() - started
            if spent > (least or place.size.seconds) or not place.enough(spent):
                return turns * units / spent


def peak_memory(place: Place, work: Callable[[], Any]) -> tuple[Any, int | None]:
    """What the work returns, and the device's memory that it took beyond what was taken before,
    in bytes; None on a processor."""
    if not place.on_gpu:
        return work(), None
    import torch

    place.wait()
    before = torch.cuda.memory_allocated(place.device)
    torch.cuda.reset_peak_memory_stats(place.device)
    result = work()
    place.wait()
    return result, torch.cuda.max_memory_allocated(place.device) - before


def figures(value: float, digits: int = 3) -> float:
    """The value to so many significant digits."""
    return float(f"{value:.{digits}g}")
