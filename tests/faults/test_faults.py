"""The campaign of `make faults` counts what became of each fault."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from campaign import Campaign, difference


def test_a_campaign_tells_the_bad_from_the_good() -> None:
    campaign = Campaign(seed=0)
    campaign.add("flipped bit", "healed", "")
    campaign.add("flipped bit", "lost", "#1 a bit")
    assert campaign.bad == ["lost: flipped bit: #1 a bit"]
    assert "| flipped bit | 2 | 1 | 0 | 1 |" in campaign.table()
    assert "| all | 2 |" in campaign.table()


def test_a_warehouse_that_is_not_the_undisturbed_one_is_called_what_it_is() -> None:
    whole = {"predictions": [("a", 1), ("b", 2)]}
    assert difference({"predictions": [("a", 1)]}, whole, False) == "lost"
    assert difference({"predictions": [("a", 1)] * 3}, whole, False) == "doubled"
    assert difference({"predictions": [("a", 1), ("b", 3)]}, whole, True) == "silently wrong"
