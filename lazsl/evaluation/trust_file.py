"""`trust.json`: what `lazsl evaluate` measured, for `lazsl label --trust` to apply."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from lazsl.errors import UserError, in_one_line
from lazsl.evaluation.stored import StoredRun
from lazsl.evaluation.trust import Trust
from lazsl.run.recorded_jobs import uncalibrated
from lazsl.run.run import Run
from lazsl.store.folder import Folder
from lazsl.store.named_files import read_given


class TrustFile(BaseModel):
    """What `trust.json` holds: what to set, and what it was measured on."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    temperature: float = Field(gt=0, le=1000)
    threshold: float | None = Field(ge=0, le=1)
    abstain_by: Literal["presence"] | None = None
    floor: float | None = Field(default=None, ge=-1, le=1)
    parents_above: float | None = Field(default=None, ge=0, le=1)
    precision: float = Field(gt=0, lt=1)
    sentence: str
    images: int
    run: str
    encoder: str
    regions: str
    labels: str
    scoring: dict[str, Any]


def write_trust(path: Path, trust: Trust, run: Run | StoredRun) -> None:
    """Put down what `label` needs to abstain, and the run it was measured on."""
    file = TrustFile(
        temperature=trust.temperature,
        threshold=trust.threshold,
        abstain_by="presence" if trust.abstain_by == "presence" else None,
        floor=trust.floor,
        parents_above=trust.backing_off.threshold if trust.backing_off else None,
        precision=trust.precision,
        sentence=trust.sentence,
        images=trust.images,
        run=run.key,
        encoder=run.encoder,
        regions=run.regions,
        labels=run.labels,
        scoring=uncalibrated(run.job.scoring.model_dump()),
    )
    Folder(str(path.parent)).write_json(path.name, file.model_dump())


def read_trust(url: str) -> TrustFile:
    """What a trust file says.

    Raises:
        UserError: the file is missing or holds something else.
    """
    where = f"trust file {url!r}"
    advice = "give a trust.json that lazsl evaluate wrote"
    data = read_given(url, where, advice)
    try:
        return TrustFile.model_validate(json.loads(data))
    except ValidationError as error:
        problem = error.errors()[0]
        place = ".".join(map(str, problem["loc"])) or "it"
        raise UserError(f"{where} cannot be used: {place}: {problem['msg']}; {advice}") from None
    except (ValueError, RecursionError) as error:
        raise UserError(f"{where} is not JSON ({in_one_line(error)}); {advice}") from None


def trust_notices(measured: TrustFile, run: Run) -> list[str]:
    """A sentence for everything in which a run differs from the one the trust was measured on."""
    scoring = uncalibrated(run.job.scoring.model_dump())
    compared = {
        "encoder": (measured.encoder, run.encoder),
        "way of cutting regions": (measured.regions, run.regions),
        "label set": (measured.labels, run.labels),
        **{name: (measured.scoring.get(name), scoring[name]) for name in scoring},
    }
    return [
        f"the trust file was measured with {name} {before}, this run has {after}: its threshold "
        "may not keep what it promises; evaluate this run and take its own"
        for name, (before, after) in compared.items()
        if before != after and name != "plans"
    ]
