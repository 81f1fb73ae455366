"""The terminal's one exit: names from archives and label sets may hold anything, URLs secrets."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from io import StringIO
from typing import Any, TextIO

from rich.console import Console, ConsoleDimensions
from rich.markup import escape
from rich.segment import Segment

from lazsl.secret_names import hidden

# Line breaks are the layout's own by now. Marks that only help right-to-left text stay.
_STEERING = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


PIPED = 160
"""Columns of what is written to a file or another program: enough for whole keys."""


class SafeConsole(Console):
    """A console on which texts are seen and steer nothing, and secrets in sentences are `***`."""

    @property
    def size(self) -> ConsoleDimensions:
        """Columns and lines; `PIPED` columns where there is no terminal and COLUMNS is not set."""
        if self.is_terminal or self._width is not None or "COLUMNS" in os.environ:
            return super().size
        return ConsoleDimensions(PIPED, super().size.height)

    @size.setter
    def size(self, new_size: tuple[int, int]) -> None:
        self._width, self._height = new_size

    def print(self, *objects: Any, **options: Any) -> None:
        """As rich's. Cells of a table are data, and shown as they are."""
        super().print(*(hidden(o) if isinstance(o, str) else o for o in objects), **options)

    def say(self, text: str, markup: bool = False) -> None:
        """Print a text as one line, however long, with its markup or as it is."""
        self.print(text, markup=markup, highlight=False, soft_wrap=True)

    def note(self, text: str) -> None:
        """Print what a person should know besides."""
        self.say(f"[yellow]note:[/] {escape(text)}", markup=True)

    def render(self, renderable: Any, options: Any = None) -> Iterable[Segment]:
        """The segments, with control characters of texts written out, such as ‹U+001B›."""
        for segment in super().render(renderable, options):
            if segment.control or not _STEERING.search(segment.text):
                yield segment
            else:
                yield Segment(harmless(segment.text), segment.style)


class Seen(StringIO):
    """A terminal, written to by what is no console, such as rows of CSV."""

    def __init__(self, terminal: TextIO) -> None:
        super().__init__()
        self._terminal = terminal

    def write(self, text: str) -> int:
        return self._terminal.write(harmless(text.replace("\r\n", "\n")))


def harmless(text: str) -> str:
    """The text with control characters but line breaks and tabs written out."""
    return _STEERING.sub(lambda match: f"‹U+{ord(match[0]):04X}›", text)
