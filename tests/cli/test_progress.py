"""Claims about how long work is followed without a terminal."""

from __future__ import annotations

import io
import json
import re
from typing import Any

import pytest
from rich.console import Console

from lazsl.cli import progress
from lazsl.cli.progress import Bar, Lines, Silent, as_text, duration, follower


def marker(shard: str, listed: int = 8, rejected: int = 0) -> dict[str, Any]:
    return {"shard": shard, "listed": listed, "labelled": listed - rejected, "rejected": rejected}


def two_shards(as_json: bool, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The lines of a job of two shards, none of them held back."""
    monkeypatch.setattr(progress, "SHORTEST", 0.0)
    stream = io.StringIO()
    with Lines(stream, "labelling", as_json) as lines:
        lines.waiting("listing the archive")
        lines.begin(16, 2)
        lines.images("a", 5)
        lines.shard(marker("a", rejected=1))
        lines.images("b", 3)
        lines.shard(marker("b"))
    return stream.getvalue().splitlines()


def test_a_line_a_shard_says_what_is_done_of_how_many_how_fast_and_what_was_rejected(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lines = two_shards(False, monkeypatch)
    assert lines[0] == "lazsl: listing the archive"
    assert lines[1].startswith("lazsl: labelling images: 0 of 16 (0%), shard 0 of 2")
    assert re.fullmatch(
        r"lazsl: labelling images: 8 of 16 \(50%\), shard 1 of 2, [\d,.]+ images/s.*, 1 rejected",
        lines[2],
    )
    assert "16 of 16 (100%), shard 2 of 2" in lines[3] and len(lines) == 4
    assert "\x1b" not in "".join(lines)


def test_json_lines_are_the_same_for_other_programs(monkeypatch: pytest.MonkeyPatch) -> None:
    events = [json.loads(line) for line in two_shards(True, monkeypatch)]
    assert [event["images"] for event in events] == [0, 0, 8, 16]
    assert [event["shards"] for event in events] == [0, 0, 1, 2]
    assert events[-1]["rejected"] == 1 and events[-1]["left"] == 0
    assert all(event["of"] == 16 for event in events[1:])


def test_many_small_shards_are_not_a_line_each() -> None:
    stream = io.StringIO()
    with Lines(stream, "labelling") as lines:
        lines.begin(8 * 500, 500)
        for number in range(499):
            lines.shard(marker(str(number)))
    assert len(stream.getvalue().splitlines()) <= 3


def test_a_line_comes_while_no_shard_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "LONGEST", 0.05)
    stream = io.StringIO()
    with Lines(stream, "labelling") as lines:
        lines.begin(8, 1)
        for done in range(1, 200):
            lines.images("a", min(done, 7))
            if stream.getvalue().count("\n") >= 3:
                break
            lines._ended.wait(0.02)
    assert "of 8" in stream.getvalue().splitlines()[-1]


def test_what_follows_suits_the_terminal_and_the_options() -> None:
    pipe, terminal = Console(file=io.StringIO()), Console(file=io.StringIO(), force_terminal=True)
    assert isinstance(follower(pipe, "labelling", False, False), Lines)
    assert isinstance(follower(terminal, "labelling", False, False), Bar)
    assert isinstance(follower(terminal, "labelling", False, True), Lines)
    assert isinstance(follower(terminal, "labelling", True, False), Silent)


@pytest.mark.parametrize(
    ("seconds", "text"), [(7, "7 s"), (89, "89 s"), (720, "12 min"), (12_000, "3 h 20 min")]
)
def test_a_duration_reads_as_a_person_says_it(seconds: int, text: str) -> None:
    assert duration(seconds) == text


def test_an_archive_without_news_is_not_divided_by() -> None:
    event = {"phase": "labelling images", "images": 0, "of": 0}
    assert as_text(event) == "lazsl: labelling images"
