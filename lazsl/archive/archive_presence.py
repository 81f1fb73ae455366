"""Whether an archive is there at all, which is asked before anything large is imported."""

from __future__ import annotations

from lazsl.archive.access import with_access
from lazsl.archive.containers import archive_url
from lazsl.archive.entries import nowhere, unlistable
from lazsl.errors import UserError
from lazsl.store.folder import Folder
from lazsl.store.urls import masked


def check_archive(url: str) -> None:
    """Ask the store whether the archive is there at all, without listing it.

    Raises:
        UserError: it is missing or out of reach.
    """
    archive = open_archive(url)
    try:
        exists = archive.fs.exists(archive.path(""))
    except Exception as error:  # every store has its own; each is told in one sentence
        raise UserError(unlistable(archive.url, error)) from None
    if not exists:
        raise UserError(nowhere(archive.url))


def open_archive(url: str) -> Folder:
    """The archive as a folder; nothing is listed yet. What is no folder is opened by
    `containers.archive_url`.

    Raises:
        UserError: the scheme is unknown, or the host cannot be reached.
    """
    try:
        return with_access(Folder(archive_url(url)))
    except UserError as error:
        raise UserError(masked(str(error), url)) from None
    except Exception as error:  # some stores connect at once, and each has its own errors
        raise UserError(unlistable(url, error)) from None
