"""Files that a person names by path or URL."""

from __future__ import annotations

from lazsl.errors import UserError, in_one_line
from lazsl.store.folder import Folder
from lazsl.store.urls import split_url


def read_given(url: str, named: str, wanted: str) -> bytes:
    """The bytes of a file.

    Args:
        url: its path or URL.
        named: what it is called in an error, such as `truth 'truth.csv'`.
        wanted: what to do where it cannot be read, such as `give a CSV of class,label`.

    Raises:
        UserError: it is missing, out of reach, or no file.
    """
    folder, name = split_url(url)
    try:
        return Folder(folder).read_given(name)
    except UserError as error:  # it says itself what to do
        raise UserError(f"{named} cannot be read: {error}") from None
    except Exception as error:  # what is no store's trouble: a folder, a name that cannot be one
        missing = isinstance(error, FileNotFoundError)
        reason = "no such file" if missing else in_one_line(error)
        raise UserError(f"{named} cannot be read: {reason}; {wanted}") from None
