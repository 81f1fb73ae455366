"""What decoders complain of, kept with the image instead of printed among the progress."""

from __future__ import annotations

import ctypes
import logging
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any, TextIO

import PIL

from lazsl.errors import in_one_line
from lazsl.visible_text import short

_LONGEST = 200
_MOST = 8
_SOURCES = ("PIL", "tifffile", "pillow_heif", "pillow_jxl")

_QUOTED = re.compile(r"(?<!\w)b?(?:'(?:[^'\\]|\\.)*(?:'|\\?$)|\"(?:[^\"\\]|\\.)*(?:\"|\\?$))")

_open: ContextVar[list[str] | None] = ContextVar("complaints", default=None)

# Set once for the process, because warnings.catch_warnings is not safe in threads.
warnings.filterwarnings("always", module=r"(PIL|tifffile|pillow_heif|pillow_jxl)\b")


@contextmanager
def collected(notes: list[str]) -> Iterator[None]:
    """Add to the notes what decoders warn of in this thread during a block."""
    if warnings.showwarning is not _show:
        _before.append(warnings.showwarning)
        warnings.showwarning = _show
    token = _open.set(notes)
    try:
        yield
    finally:
        _open.reset(token)


def unquoting(text: object) -> str:
    """What a decoder says, without what it quotes, whole or cut off: decoders quote bytes, and what
    an archive's file holds may be nobody else's affair."""
    return _QUOTED.sub("…", str(text))


def joined(notes: list[str]) -> str | None:
    """The notes as one text, each once; None where there is none."""
    texts = list(dict.fromkeys(short(unquoting(note), _LONGEST) for note in notes))
    return "; ".join(texts[:_MOST]) or None


def _show(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    notes = _open.get()
    if notes is None:
        _before[-1](message, category, filename, lineno, file, line)
    else:
        notes.append(" ".join(str(message).split()))


class _ToNotes(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        notes = _open.get()
        if notes is not None and record.levelno >= logging.WARNING:
            try:
                notes.append(" ".join(record.getMessage().split()))
            except Exception as error:  # a message whose arguments do not fit it
                notes.append(in_one_line(error))


_before: list[Any] = [warnings.showwarning]
_handler = _ToNotes()
for _name in _SOURCES:
    _logger = logging.getLogger(_name)
    _logger.addHandler(_handler)
    _logger.propagate = False


@ctypes.CFUNCTYPE(None, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_void_p)  # type: ignore[untyped-decorator]
def _from_libtiff(_module: bytes, form: bytes, values: int) -> None:
    """What libtiff says, which it would else print; `values` are those of C's vprintf."""
    notes = _open.get()
    if notes is not None:
        text = ctypes.create_string_buffer(_LONGEST)
        _c.vsnprintf(text, ctypes.c_size_t(_LONGEST), form, ctypes.c_void_p(values))
        notes.append(" ".join(text.value.decode("utf-8", "replace").split()))


def _listen_to_libtiff() -> None:
    """Take the complaints of the libtiff that comes with Pillow's wheels; another one prints."""
    home = Path(PIL.__file__).parent
    for path in [*home.parent.glob("pillow.libs/libtiff*"), *home.glob(".dylibs/libtiff*")]:
        library = ctypes.CDLL(str(path))
        library.TIFFSetErrorHandler(_from_libtiff)
        library.TIFFSetWarningHandler(_from_libtiff)


_c = ctypes.CDLL(None)
_listen_to_libtiff()
