"""A few rounds of `make faults`, one of every cheap kind, and what counts as a bad end."""

from __future__ import annotations

import os
import random
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import kinds
from apart import Broken, apart
from campaign import GOOD, Campaign, Places, difference, one_round
from place import Place

from lazsl.store import kinds as stored_kinds
from lazsl.store import seals


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Places]:
    """One place on the disk for all rounds."""
    yield Places(tmp_path_factory.mktemp("faults"))


CHEAP = ["damaged", "warehouse", "killed_later", "two_planners"]
if os.geteuid() == 0:
    CHEAP.append("full_disk")  # mounts small ones


@pytest.mark.starts
@pytest.mark.parametrize("kind", CHEAP)
def test_every_fault_of_a_round_heals_once_what_is_said_is_done(kind: str, places: Places) -> None:
    for _, outcome, what in one_round(places, getattr(kinds, kind), f"suite {kind}"):
        assert outcome in GOOD, what


@pytest.mark.starts
def test_a_byte_that_nobody_checks_is_not_called_healed(
    places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The campaign sees what it is for: without the digests, a flipped bit goes through."""

    def flip(place: Place, chance: random.Random) -> list[tuple[str, str]]:
        place.put_back(labelled=True)
        name = place.artifacts()["embeddings"][0]
        data = bytearray(place.folder.read_bytes(name))
        vectors = place.folder.read_table(name)["embedding"].combine_chunks().flatten()
        first = data.index(vectors.buffers()[1].slice(0, 16).to_pybytes())
        data[first + 1] ^= 1  # a quarter of a float16 number
        place.folder.write_bytes(name, bytes(data))
        return [("flipped bit", name)]

    monkeypatch.setattr(seals, "check_columns", lambda *_: None)
    monkeypatch.setattr(stored_kinds, "check_vectors", lambda _: None)  # sees the larger changes
    ((_, outcome, what),) = one_round(places, flip, "suite unchecked")
    assert outcome == "silently wrong", what


def test_a_campaign_tells_the_bad_from_the_good() -> None:
    campaign = Campaign(seed=0)
    campaign.add("flipped bit", "healed", "")
    campaign.add("flipped bit", "lost", "#1 a bit")
    assert campaign.bad == ["lost: flipped bit: #1 a bit"]
    assert "| flipped bit | 2 | 1 | 0 | 1 |" in campaign.table()
    assert "| all | 2 |" in campaign.table()


def test_a_warehouse_that_is_not_the_undisturbed_one_is_called_what_it_is() -> None:
    whole: dict[str, list[tuple[Any, ...]]] = {"predictions": [("a", 1), ("b", 2)]}
    assert difference({"predictions": [("a", 1)]}, whole) == "lost"
    assert difference({"predictions": [("a", 1)] * 3}, whole) == "doubled"
    assert difference({"predictions": [("a", 1), ("b", 3)]}, whole) == "silently wrong"


@pytest.mark.starts
def test_what_ends_a_copy_of_this_process_is_told() -> None:
    assert apart(lambda: 3) == 3
    with pytest.raises(Broken, match="ZeroDivisionError"):
        apart(lambda: 1 // 0)
