"""Claims about crops on their way through the model."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from lazsl.embedding.forward import ForwardPasses

SECONDS = 0.01


class Gpu:
    """An encoder that works while others do: a batch is embedded when its result is fetched, which
    takes a while. It notes what happens."""

    device, framing = "cpu", SimpleNamespace(size=(1, 1))

    def __init__(self) -> None:
        self.noted: list[str] = []

    def encode_crops(self, crops: torch.Tensor) -> Any:
        self.noted.append(f"start {len(crops)}")

        def cpu() -> torch.Tensor:
            time.sleep(SECONDS)
            self.noted.append(f"fetch {len(crops)}")
            return crops[:, 0, 0].float()

        return SimpleNamespace(cpu=cpu)


def passed(adding: list[int], batch_size: int) -> tuple[np.ndarray, ForwardPasses, list[str]]:
    """Embeddings of numbered crops that are added so many at a time."""
    gpu = Gpu()
    passes = ForwardPasses(gpu, batch_size, on_device=False)  # type: ignore[arg-type]
    numbers = torch.arange(sum(adding), dtype=torch.uint8).view(-1, 1, 1, 1).expand(-1, 1, 1, 3)
    actual = [part for crops in torch.split(numbers, adding) for part in passes.add(crops)]
    actual += passes.flush()
    assert not list(passes.flush()), "all of it came back"
    return np.concatenate([np.empty((0, 3), np.float16), *actual]), passes, gpu.noted


@pytest.mark.parametrize("adding", [[], [5], [12], [1] * 9, [7, 0, 30, 2]])
@pytest.mark.parametrize("batch_size", [1, 4, 100])
def test_embeddings_come_back_in_order_from_batches_that_are_full_but_the_last(
    adding: list[int], batch_size: int
) -> None:
    vectors, _, noted = passed(adding, batch_size)
    assert vectors.dtype == np.float16
    assert vectors[:, 0].tolist() == list(range(sum(adding)))
    full, rest = divmod(sum(adding), batch_size)
    sizes = [batch_size] * full + [rest] * (rest > 0)
    assert [note for note in noted if note.startswith("start")] == [f"start {n}" for n in sizes]


def test_a_batch_is_started_before_the_one_before_it_is_fetched() -> None:
    _, _, noted = passed([3, 4], 3)
    assert noted == ["start 3", "start 3", "fetch 3", "start 1", "fetch 3", "fetch 1"]


def test_all_waiting_for_the_model_is_counted() -> None:
    started = time.perf_counter()
    _, passes, noted = passed([3, 4], 3)
    assert noted.count("fetch 3") + noted.count("fetch 1") == 3
    assert 3 * SECONDS <= passes.seconds <= time.perf_counter() - started


class Queue:
    """A GPU's queue, imitated: passes wait in it until an event behind them is waited for. What
    cannot be had without a GPU (pinned memory, streams, events) is replaced by this."""

    device, framing = "cuda", SimpleNamespace(size=(1, 1))
    source = SimpleNamespace(given="imitated", precision="float16")

    def __init__(self, patch: pytest.MonkeyPatch, values: torch.Tensor | None = None) -> None:
        self.rows: list[int] = []
        self.done = 0
        self.values = values
        plain = torch.empty

        def empty(*shape: Any, pin_memory: bool = False, **options: Any) -> torch.Tensor:
            return plain(*shape, **options).zero_()

        queue = self

        class Event:
            def record(self, stream: object) -> None:
                self.behind = len(queue.rows)

            def synchronize(self) -> None:
                queue.done = max(queue.done, self.behind)

        patch.setattr("lazsl.embedding.forward.torch.empty", empty)
        patch.setattr("torch.cuda.Event", Event)
        patch.setattr("torch.cuda.current_stream", lambda device: None)

    def encode_crops(self, crops: torch.Tensor) -> torch.Tensor:
        self.rows.append(len(crops))
        return crops[:, 0, 0].float() if self.values is None else self.values[: len(crops)]


def numbered(count: int) -> torch.Tensor:
    return torch.arange(count, dtype=torch.uint8).view(-1, 1, 1, 1).expand(-1, 1, 1, 3)


def test_fetching_a_batch_from_a_gpu_does_not_wait_for_the_next_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    queue = Queue(monkeypatch)
    passes = ForwardPasses(queue, 4, on_device=False)  # type: ignore[arg-type]
    assert not list(passes.add(numbered(4)))
    [first] = passes.add(numbered(4))
    assert (len(queue.rows), queue.done) == (2, 1), "the second pass is queued and not waited for"
    assert first[:, 0].tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize("adding", [[3], [5], [4, 4], [1] * 9])
def test_every_pass_on_a_gpu_has_the_same_number_of_rows(
    adding: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    queue = Queue(monkeypatch)
    passes = ForwardPasses(queue, 4, on_device=False)  # type: ignore[arg-type]
    crops = torch.split(numbered(sum(adding)), adding)
    vectors = np.concatenate(
        [part for crop in crops for part in passes.add(crop)] + [*passes.flush()]
    )
    assert set(queue.rows) == {4}
    assert vectors[:, 0].tolist() == list(range(sum(adding)))


def test_values_that_are_no_numbers_come_back_as_such_wherever_the_model_runs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What is done about them is for whoever knows the images: `embedding.shard` rejects these."""
    broken = torch.ones(4, 3)
    broken[2, 1] = torch.nan
    queue = Queue(monkeypatch, broken)
    for device in ("cuda", "cpu"):
        queue.device = device
        passes = ForwardPasses(queue, 4, on_device=False)  # type: ignore[arg-type]
        list(passes.add(numbered(4)))
        [vectors] = passes.flush()
        assert np.argwhere(np.isnan(vectors)).tolist() == [[2, 1]]
