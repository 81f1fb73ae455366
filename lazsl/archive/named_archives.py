"""Which archives this user has named: pictures are read from no place because a warehouse says so.

A warehouse may be anybody's, and what a report shows of a private folder may be published. Places
are noted when an archive is labelled, in `lazsl/archives` of the user's state folder
(XDG_STATE_HOME, or ~/.local/state), one URL a line.
"""

from __future__ import annotations

import os
import shlex
from pathlib import Path

from lazsl.archive.containers import archive_url
from lazsl.errors import UserError
from lazsl.fieldguide import IMAGES_DIR
from lazsl.store.private import private_folder
from lazsl.store.urls import canonical_url, leaves_folder, masked

_of_this_process: set[str] = set()


def note(url: str) -> None:
    """Note that the user named an archive. Where that cannot be written, it holds for this process
    alone."""
    place = _place(url)
    if is_named(url):
        return
    _of_this_process.add(place)
    try:
        file = private_folder(_state()) / "archives"
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW
        with os.fdopen(os.open(file, flags, 0o600), "a", encoding="utf-8") as lines:
            lines.write(f"{place}\n")
    except (OSError, UserError, RuntimeError):  # no home, or none of this user's
        return


def is_named(url: str) -> bool:
    """True for a place that the user named, or one below it."""
    place = _place(url)
    return any(
        place == named or (place.startswith(f"{named}/") and not leaves_folder(place))
        for named in _named()
    )


def check_named(url: str, given: str | None = None) -> None:
    """Raise UserError unless the user has named the place, with `given` or before.

    Args:
        url: where a warehouse says that pictures lie.
        given: what the user names now.
    """
    if given is not None:
        note(given)
    if not is_named(url):
        raise UserError(
            f"the warehouse says that its pictures lie in {masked(url)}, which you never labelled "
            f"on this account; if you know that place, say so: --archive {shlex.quote(masked(url))}"
        )


def _named() -> set[str]:
    given = [os.environ.get("LAZSL_ARCHIVE"), str(IMAGES_DIR)]
    return {_place(url) for url in given if url} | _of_this_process | _noted()


def _noted() -> set[str]:
    try:
        return set((_state() / "archives").read_text(encoding="utf-8").splitlines())
    except (OSError, UnicodeDecodeError, RuntimeError):
        return set()


def _place(url: str) -> str:
    return canonical_url(archive_url(url))


def _state() -> Path:
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "lazsl"
