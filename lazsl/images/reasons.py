"""Why images cannot be used: stable codes, and what each of them means."""

from __future__ import annotations

from dataclasses import dataclass

EMPTY = "empty"
NOT_AN_IMAGE = "not-an-image"
FORMAT_NOT_ALLOWED = "format-not-allowed"
KIND_NOT_READ = "kind-not-read"
EXTRA_MISSING = "extra-missing"
TRUNCATED = "truncated"
CORRUPT = "corrupt"
TOO_MANY_PIXELS = "too-many-pixels"
TOO_MANY_BYTES = "too-many-bytes"
TOO_SMALL = "too-small"
TOO_MUCH_WORK = "too-much-work"
UNREADABLE = "unreadable"
UNREACHABLE = "unreachable"
MISSING = "missing"
CHANGED = "changed"
OUTSIDE = "outside-the-archive"
NOT_FINITE = "not-finite"

REASONS = {
    EMPTY: "the object has no bytes",
    NOT_AN_IMAGE: "the bytes begin like no image format, whatever the name says",
    FORMAT_NOT_ALLOWED: "an image, but of a format that is not read",
    KIND_NOT_READ: "an image of a format that is read, but of a kind that is not, such as a TIFF "
    "of complex numbers; it need not be damaged",
    EXTRA_MISSING: "an image that an optional package reads, which is not installed here",
    TRUNCATED: "an image whose end is missing",
    CORRUPT: "an image of a format that is read, but damaged",
    TOO_MANY_PIXELS: "width x height in the header is above the limit; it was not decoded",
    TOO_MANY_BYTES: "the file is larger than a picture below the limit of pixels can be; it was "
    "not read",
    TOO_MUCH_WORK: "a JPEG whose scans go over it so often that decoding would take minutes",
    TOO_SMALL: "a side is shorter than 2 pixels, so there is nothing to see",
    UNREADABLE: "the store gives this one object to nobody with these credentials, or never whole",
    UNREACHABLE: "an entry of a list whose host does not answer, while others do",
    MISSING: "the object was deleted since it was listed",
    CHANGED: "the object was replaced since it was listed; the next run finds its new version",
    OUTSIDE: "a link that leads out of the archive, or a path that does; links=anywhere follows it",
    NOT_FINITE: "the model gives values for it that are no numbers, as half precision can",
}
"""Every stable reason code and what it means."""

OF_THE_MOMENT = frozenset({UNREADABLE, UNREACHABLE, MISSING, CHANGED, EXTRA_MISSING})
"""Reasons that may be gone another time: the next run tries these images again."""

EXTRA = "pip install 'lazsl[formats]'"
"""How the optional packages are installed."""


@dataclass(frozen=True)
class Reject:
    """Why an image cannot be used: a code of REASONS, and a sentence with what was found."""

    reason: str
    detail: str


class Rejected(Exception):
    """Raised by whatever reads a format once it knows why an image cannot be used."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reject = Reject(reason, detail)


def extra_missing(kind: str, package: str) -> Rejected:
    """What is raised where an optional package is missing."""
    return Rejected(
        EXTRA_MISSING,
        f"{kind}, which the package {package} reads, and it is not installed; run {EXTRA}, then "
        "label again",
    )
