"""URLs of archives and workspaces: split, written in one way, and shown without secrets."""

from __future__ import annotations

import os

import fsspec
from fsspec.implementations.local import LocalFileSystem

from lazsl.errors import in_one_line
from lazsl.secret_names import PARAMETER, USERINFO, hidden, secrets_of

_LONGEST = 500  # characters of an error


def split_url(url: str) -> tuple[str, str]:
    """The folder and the name of a file given by path or URL."""
    scheme, separator, path = url.rpartition("://")
    parent, slash, name = path.rpartition("/")
    return scheme + separator + (parent or slash or ("" if separator else ".")), name


def canonical_url(url: str) -> str:
    """The same text for all ways to write a place, without credentials and trailing slash.

    A local folder is `file://` and its absolute path (links are not followed); `/` and a name can
    be added to all of them. A local file that another protocol reads, as in `zip://::photos.zip`,
    has its absolute path too.
    """
    reader, mark, inner = url.rpartition("::")
    if mark:
        inner = canonical_url(inner)
        return f"{reader}::{inner.removeprefix('file://')}"
    if fsspec.core.split_protocol(url)[0] in (None, "file", "local"):
        local = str(os.path.abspath(LocalFileSystem._strip_protocol(url)))
        return "file://" + local.rstrip("/")
    place, mark, query = USERINFO.sub("", url).partition("?")
    # A folder may be called key=5: only what follows the question mark can be a secret.
    public = place + mark + PARAMETER.sub(r"\1=***", query)
    scheme, separator, path = public.rpartition("://")
    return scheme + separator + path.rstrip("/")


def reason(error: BaseException, url: str = "") -> str:
    """What a library's error about `url` says, on one line, for a sentence or a record: as much of
    it as a person reads, since it may quote what a server sent.

    Credentials are replaced by `***`: those of URLs in it, and those of `url` wherever they stand.
    """
    text = masked(in_one_line(error), url)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


def masked(text: str, url: str = "") -> str:
    """The text with credentials replaced by `***`: those of URLs in it, and those of `url`."""
    for secret in secrets_of(url):
        text = text.replace(secret, "***")
    return hidden(text)


def trimmed(url: str) -> str:
    """The URL without trailing slashes, except those that say where it is."""
    scheme, separator, path = url.rpartition("://")
    return scheme + separator + (path.rstrip("/") or path[:1] or ("" if separator else "/"))


def leaves_folder(name: str) -> bool:
    """True when a relative path leads out of the folder that it is relative to."""
    return ".." in name.split("/") or "\0" in name
