"""Buckets that are open to everybody, or whose requests are paid for by who asks."""

from __future__ import annotations

import os

from lazsl.errors import UserError
from lazsl.store.folder import Folder

VARIABLE = "LAZSL_BUCKETS"
"""Environment variable that says how archives in S3 are asked; it stands beside credentials."""

_OPTIONS = {"public": {"anon": True}, "requester-pays": {"requester_pays": True}}

ACCESS = f"{VARIABLE}=public or {VARIABLE}=requester-pays in the environment"
"""What to set, for the sentences that refuse."""


def with_access(archive: Folder) -> Folder:
    """The archive, asked as VARIABLE says: `public` (without credentials), `requester-pays`, or as
    usual where it is not set.

    Raises:
        UserError: it says something else.
    """
    wanted = os.environ.get(VARIABLE, "")
    if not wanted:
        return archive
    if wanted not in _OPTIONS:
        raise UserError(
            f"{VARIABLE} is {wanted!r}; set it to {' or '.join(_OPTIONS)}, or to nothing"
        )
    if hasattr(archive.fs, "call_s3"):
        archive.fs = type(archive.fs)(**{**archive.fs.storage_options, **_OPTIONS[wanted]})
    elif hasattr(getattr(archive.fs, "inner", None), "call_s3"):
        inner = archive.fs.inner
        archive.fs.inner = type(inner)(**{**inner.storage_options, **_OPTIONS[wanted]})
    return archive
