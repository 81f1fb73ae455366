"""What a person does who reads a sentence and does as it says."""

from __future__ import annotations

import re
from pathlib import Path

from place import THETAS, Place


def follow(sentence: str, place: Place) -> None:
    """Do what a sentence asks for: commands, and files to be deleted or restored from a copy.

    A sentence that asks for nothing else than the same command again needs nothing here.
    """
    if "lazsl check" in sentence:
        place.check()
    if "restore it from a copy" in sentence:
        for name in _files(sentence, place):
            place.restore(name.relative_to(place.workspace).as_posix())
    elif re.search(r"\bdelete\b", sentence):
        for path in _files(sentence, place):
            path.unlink()
    if "--rebuild" in sentence:
        place.load(_meant(sentence, place), rebuild=True)
    if re.search(r"\blabel\b", sentence):
        place.label()
    if "relabel" in sentence:
        place.relabel(THETAS[0])


def _meant(sentence: str, place: Place) -> Path | None:
    """The warehouse that a sentence names; None: the place's own."""
    named = re.search(r"--warehouse (\S+)", sentence)
    return Path(named[1].strip("'")) if named else None


def _files(sentence: str, place: Place) -> list[Path]:
    """Files of the place that a sentence names by their whole path."""
    names = re.findall(rf"{re.escape(str(place.home))}/[^\s,;:()']+", sentence)
    paths = [Path(name) for name in dict.fromkeys(names)]
    return [path for path in paths if path.is_file() and path != place.warehouse]
