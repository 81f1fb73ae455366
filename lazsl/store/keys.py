"""Names made from what made a thing: a changed setting never collides, a second run finds it."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from lazsl.errors import UserError
from lazsl.settings import CutOn, RegionSettings, ScoringSettings
from lazsl.store.urls import canonical_url
from lazsl.visible_text import short

DECIDING = {"aligner", "theta", "epsilon", "gamma", "rule", "max_iterations", "tolerance"}
"""Settings of scoring that decide which class is best."""

_SAFE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,199}")
SAFE = f"^{_SAFE.pattern}$"
"""What a name in an artifact may look like: no slash, so that it names a file in its folder."""

_quoted = json.encoder.encode_basestring

_CUT = 2  # how fast crops are cut; one more when that changes, because embeddings do too


def digest(*parts: Any, length: int = 12) -> str:
    """Hexadecimal SHA-256 prefix of values that JSON can hold, insensitive to key order."""
    text = json.dumps(parts, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:length]


def readable(text: str, length: int = 32) -> str:
    """A prefix for a person: letters, digits, dots and dashes of the text's last path part."""
    last = text.rstrip("/").replace("\\", "/").rsplit("/", 1)[-1]
    return re.sub(r"[^A-Za-z0-9.]+", "-", last).strip("-.")[:length].lower() or "x"


def archive_key(url: str, only: str | None = None) -> str:
    """Name of an archive: its URL, however it is written, without credentials.

    With `only`, the digest of a selection, it is the name of these images of it: another archive.
    """
    url = canonical_url(url)
    of = ("archive", url) if only is None else ("archive", url, "only", only)
    return f"{readable(url)}-{digest(*of)}"


def checked(kind: str, name: Any) -> str:
    """A name that stands in an artifact, as it was read there: it may become part of a path.

    Raises:
        UserError: it is none that `digest` and `readable` make.
    """
    if not isinstance(name, str) or not _SAFE.fullmatch(name):
        raise UserError(
            f"{short(repr(name))} is no name of {kind} that lazsl gives: the workspace or the "
            "warehouse it was read from is damaged, or somebody else made it; do not use it"
        )
    return name


def begun(begin: str, known: Sequence[str], noun: str, where: str, advice: str = "") -> str:
    """The known name that is this, or the only one that begins with it.

    Args:
        begin: what a person gave.
        known: all there are.
        noun: of a name, such as `run`.
        where: they are, such as `in the warehouse`.
        advice: what else might help, after the list of names.

    Raises:
        UserError: none begins so, or several do.
    """
    matching = [begin] if begin in known else [name for name in known if name.startswith(begin)]
    if len(matching) != 1:
        count = (
            f"no {noun} {where} begins"
            if not matching
            else f"{len(matching)} {noun}s {where} begin"
        )
        raise UserError(f"{count} with {begin!r}; there are {', '.join(known)}{advice}")
    return matching[0]


def image_id(uri: str, version: str) -> str:
    """Name of one version of one object (32 hexadecimal digits)."""
    # What `digest` makes of the three, in a fifth of its time: every image that is listed is named.
    text = f'["image",{_quoted(uri)},{_quoted(version)}]'
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def shard_id(archive: str, image_ids: list[str]) -> str:
    """Name of an unchanging list of images of one archive.

    The archive's key is part of it, because the images' keys depend on where the archive begins.
    """
    return digest("shard", archive, image_ids, length=16)


def regions_key(
    settings: RegionSettings,
    max_pixels: int,
    labels: str,
    scoring: ScoringSettings,
    cut_on: CutOn = "processor",
) -> str:
    """Name of a way to cut regions, and of the size above which images are rejected instead.

    Where cutting stops early, the label set and whatever else decides the label are part of it;
    so is the device where that cuts, because its rounding moves levels.
    """
    cutting = settings.model_dump()
    # Embeddings from before there was another way keep their name.
    if settings.resampling == "exact":
        del cutting["resampling"]
    else:
        cutting["resampling"] = [settings.resampling, _CUT]
        if cut_on == "device":
            cutting["cut_on"] = cut_on
    if settings.layout in (None, "random"):
        del cutting["layout"]
    else:
        del cutting["smallest"], cutting["largest"]
    if settings.source == "crops":
        del cutting["source"], cutting["scale"]
    if settings.doubt is None:
        del cutting["doubt"]
    else:
        deciding = scoring.model_dump(include=DECIDING, exclude=_not_deciding(scoring))
        cutting["stopped by"] = [labels, deciding]
    return f"r{settings.count}-{digest('regions', 1, cutting, max_pixels)}"


def _not_deciding(scoring: ScoringSettings) -> set[str]:
    """Settings that have no part in a key: the paper's aligner was once the only one."""
    if scoring.one_sided:
        return {"theta", "gamma", "rule", "max_iterations", "tolerance"}
    return {"aligner"}


def run_key(
    archive: str,
    encoder: str,
    regions: str,
    labels: str,
    scoring: ScoringSettings,
    parents: Mapping[str, str] | None = None,
) -> str:
    """Name of a run: what is labelled, by which model, regions, label set and scoring.

    Parents of classes are part of it where labels may be parents.
    """
    prefix = archive.rsplit("-", 1)[0]
    # What is not set has no part in it: runs from before such a setting existed keep their names.
    deciding = scoring.model_dump(exclude_none=True, exclude=_not_deciding(scoring))
    if scoring.parents_above is not None:
        deciding["parents"] = dict(parents or {})
    return f"{prefix}-{digest('run', archive, encoder, regions, labels, deciding)}"
