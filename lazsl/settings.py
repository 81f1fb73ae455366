"""The Job: one frozen, validated object that says everything about a run.

The same object is the Python argument, the command line and the parameters of the Prefect flow.
Fields that change results are part of the run's identity (see `store.keys`); fields that only
change how fast or where it runs (shards, batches, devices, threads) are not.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    field_serializer,
    model_validator,
)

from lazsl.errors import UserError
from lazsl.secret_names import USERINFO, without_signature

IMAGE_SUFFIXES = (
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".tif", ".tiff", ".bmp", ".gif"),
    *(".heic", ".heif", ".hif", ".avif", ".jxl"),
    *(".jp2", ".j2k", ".j2c", ".jpf", ".jpx", ".jpc"),
    # cameras' raw files
    *(".dng", ".cr2", ".cr3", ".nef", ".nrw", ".arw", ".sr2", ".orf", ".rw2", ".rwl", ".raf"),
    *(".pef", ".srw", ".3fr", ".iiq", ".x3f", ".mrw"),
)
"""Ends of names that count as images."""
MAX_PIXELS = 200_000_000
"""Pixels of a picture that is decoded, where nobody sets another limit."""
DEFAULT_MODEL = "ViT-B-16-quickgelu:openai"
"""The paper's smaller model, in the variant with the activation it was trained with."""

Rule = Literal["paper", "converged"]

STOPPING: dict[Rule, tuple[int, float]] = {"paper": (100, 1e-2), "converged": (10_000, 1e-9)}
"""Most iterations of Sinkhorn, and tolerance, of each stopping rule where nobody names others.

Rows right to 1e-9 make plans right to about 1e-8 from epsilon 0.01 up; rows right to 1e-6 do not
make plans right to 1e-6 below 0.05."""
Aligner = Literal["paper", "one-sided"]
"""Which marginals a plan holds: those of regions and attributes, or of attributes alone."""
Layout = Literal["random", "pyramid", "zoom"]
Preset = Literal["paper", "parts", "parts-fast"]
Resampling = Literal["exact", "fast"]
RegionSource = Literal["crops", "dense"]
CutOn = Literal["processor", "device"]


class DeviceDefaults(NamedTuple):
    """What a job leaves to the kind of device that it runs on."""

    precision: Literal["float32", "bfloat16", "float16"]
    batch_size: int
    cut_on: CutOn


DEVICE_DEFAULTS = {
    "cpu": DeviceDefaults("float32", 256, "processor"),
    "cuda": DeviceDefaults("float16", 256, "processor"),
    "mps": DeviceDefaults("float32", 256, "processor"),
}
"""By the kind of device. On CUDA nothing has been measured yet: float16 is what trained CLIP models
were published in, the others are those of a processor. Which figures decide them stands in
docs/research/device.md, and `make device` measures them."""


def device_defaults(device: str) -> DeviceDefaults:
    """Those of a device such as `cuda:1`."""
    return DEVICE_DEFAULTS.get(device.partition(":")[0], DEVICE_DEFAULTS["cpu"])


_FOLDED = {
    "regions": "As the preset has them",
    "scoring": "As the preset has them",
    "suffixes": "The usual ones",
}
_UNFOLDED = "Set each"


def _plain_form(schema: dict[str, Any]) -> None:
    """Show a setting that may be left out as a plain field, which is empty: in a form, a choice
    between a type and null would come before the field itself. What has many fields of its own is
    folded, though: they are shown once somebody wants to set them."""
    for name, field in schema.get("properties", {}).items():
        if name in _FOLDED and "anyOf" not in field:
            keys = [key for key in ("$ref", "type", "items", "minItems") if key in field]
            unfolded = {key: field.pop(key) for key in keys}
            field["anyOf"] = [
                {"type": "null", "title": _FOLDED[name]},
                {"title": _UNFOLDED, **unfolded},
            ]
            field.pop("default", None)
            continue
        kinds = [kind for kind in field.get("anyOf", []) if kind != {"type": "null"}]
        if len(kinds) != 1 or len(field["anyOf"]) != 2 or "type" not in kinds[0]:
            continue
        del field["anyOf"]
        field.update(kinds[0])
        if "enum" in field:
            field["enum"] = [*field["enum"], None]
        if field.get("default", "") is None:
            del field["default"]


def _processors() -> int:
    return max(1, os.cpu_count() or 1)


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", json_schema_extra=_plain_form)


WHOLE_LEVELS = {"pyramid": (4, 13, 29, 54, 90), "zoom": (29, 90)}
"""Crops per image that a layout can have."""


class RegionSettings(_Frozen):
    """Which crops are cut from an image. Defaults are the paper's."""

    model_config = ConfigDict(title=_UNFOLDED)

    layout: Annotated[
        Layout | None,
        Field(
            description="Where crops lie: random (squares anywhere; default), pyramid (a grid at "
            "every scale) or zoom (a coarse grid, then closer to the subject; with a count of 29 "
            "for labels alone, 90 for evidence as well)."
        ),
    ] = None
    count: Annotated[int, Field(ge=1, le=1000, description="Square crops per image.")] = 90
    smallest: Annotated[
        float,
        Field(gt=0, le=1, description="Smallest crop, as a fraction of the image's shorter side."),
    ] = 0.6
    largest: Annotated[
        float,
        Field(gt=0, le=1, description="Largest crop, as a fraction of the image's shorter side."),
    ] = 0.9
    seed: Annotated[int, Field(ge=0, description="Random seed of the crops.")] = 0
    resampling: Annotated[
        Resampling,
        Field(
            description="How crops are resampled: exact, or fast: about five times faster "
            "(SIMD), differs from exact about as much as re-saving the JPEG would; "
            "stored under its own key."
        ),
    ] = "exact"
    doubt: Annotated[
        float | None,
        Field(
            gt=0,
            lt=0.5,
            description="Stop embedding an image's crops once the chance that the rest would "
            "change its label is at most this, such as 0.02 (default: embed every "
            "crop).",
        ),
    ] = None

    source: Annotated[
        RegionSource,
        Field(
            description="How regions are embedded: crops (each by itself), or dense (all pooled "
            "from one pass over the image: far fewer forward passes, other "
            "embeddings)."
        ),
    ] = "crops"
    scale: Annotated[
        float,
        Field(
            ge=1,
            le=8,
            description="For dense regions: the image's shorter side, as a multiple of the "
            "model's input.",
        ),
    ] = 2.0

    @model_validator(mode="after")
    def _either_fewer_or_dense(self) -> RegionSettings:
        if self.source == "dense" and self.doubt is not None:
            raise ValueError(
                f"doubt {self.doubt:g} saves forward passes of crops, and dense regions have none; "
                "set one of source and doubt"
            )
        return self

    @model_validator(mode="after")
    def _fits_the_layout(self) -> RegionSettings:
        counts = WHOLE_LEVELS.get(self.layout or "random")
        if counts is None:
            return self
        if self.count not in counts:
            *first, last = map(str, counts)
            raise ValueError(
                f"a {self.layout} of {self.count} crops has no whole levels; set count to "
                f"{', '.join(first)} or {last}"
            )
        for name in ("smallest", "largest"):
            if getattr(self, name) != type(self).model_fields[name].default:
                raise ValueError(
                    f"{name} {getattr(self, name):g} belongs to random crops, and a "
                    f"{self.layout} has sides of its own; leave {name} out, or set layout to random"
                )
        if self.layout == "zoom" and self.source == "dense":
            raise ValueError(
                "a zoom looks again where the first crops say, and dense regions come from one "
                "look; set layout to pyramid, or source to crops"
            )
        return self

    @model_validator(mode="after")
    def _ordered(self) -> RegionSettings:
        if self.smallest > self.largest:
            raise ValueError(
                f"the smallest crop ({self.smallest}) is larger than the largest ({self.largest}); "
                "swap them"
            )
        return self


PAPER_EPSILON = 0.1
WITHOUT_REGION_MARGINAL: dict[str, Any] = {"theta": 1.0, "gamma": -2.0}
"""What one-sided plans make of two of the paper's settings: no mix with the whole image, which is
a region like the others, and no selection."""
_OF_SINKHORN = ("rule", "max_iterations", "tolerance")


class ScoringSettings(_Frozen):
    """How regions are matched with attributes. Defaults are the paper's."""

    model_config = ConfigDict(title=_UNFOLDED)

    aligner: Annotated[
        Aligner | None,
        Field(
            description="How regions and attributes are aligned: paper (every region explains "
            "its share; default), or one-sided (each attribute takes its mass from "
            "whichever regions show it)."
        ),
    ] = None
    theta: Annotated[
        float, Field(ge=0, le=1, description="Weight of the regions against the whole image.")
    ] = 0.8
    epsilon: Annotated[
        float | None,
        Field(
            gt=0,
            le=100,
            description="Entropic regularisation (default: 0.1; for one-sided plans 2.5 / the "
            "model's logit scale).",
        ),
    ] = None
    gamma: Annotated[
        float,
        Field(
            ge=-2,
            le=2,
            description="Keep regions whose similarity to the whole image is this much above the "
            "mean.",
        ),
    ] = 0.0
    rule: Annotated[
        Rule, Field(description="When Sinkhorn stops: paper (as published) or converged.")
    ] = "paper"
    max_iterations: Annotated[
        int, Field(ge=1, le=1_000_000, description="Maximum number of Sinkhorn iterations.")
    ] = STOPPING["paper"][0]
    tolerance: Annotated[
        float,
        Field(
            gt=0,
            description="Change (paper) or marginal error (converged) at which Sinkhorn stops.",
        ),
    ] = STOPPING["paper"][1]
    top_k: Annotated[int, Field(ge=1, le=1000, description="Classes kept per image.")] = 5
    plans: Annotated[
        int,
        Field(
            ge=0, le=1000, description="Best classes per image whose whole transport plan is kept."
        ),
    ] = 2
    presence_temperature: Annotated[
        float | None,
        Field(
            gt=0,
            le=100,
            description="For one-sided plans: temperature of the presence of attributes "
            "(default: 1 / the model's logit scale).",
        ),
    ] = None
    temperature: Annotated[
        float | None,
        Field(
            gt=0,
            le=1000,
            description="Temperature of the confidence, as fitted by `lazsl evaluate`.",
        ),
    ] = None
    abstain_below: Annotated[
        float | None,
        Field(ge=0, le=1, description="Give no label below this confidence (needs a temperature)."),
    ] = None
    abstain_by: Annotated[
        Literal["confidence", "presence"] | None,
        Field(
            description="What abstain_below is compared with: confidence (default), or presence "
            "(confidence times presence, for archives with images of no known class; "
            "one-sided plans only)."
        ),
    ] = None
    floor: Annotated[
        float | None,
        Field(ge=-1, le=1, description="Give no label if the best score is below this."),
    ] = None
    parents_above: Annotated[
        float | None,
        Field(
            ge=0,
            le=1,
            description="Give an image without a label its best class's deepest parent with at "
            "least this chance (needs a temperature and a label set with parents).",
        ),
    ] = None

    @model_validator(mode="before")
    @classmethod
    def _defaults_of_aligner_and_rule(cls, values: Any) -> Any:
        if not isinstance(values, dict):
            return values
        if values.get("aligner") == "one-sided":
            paper = {name: cls.model_fields[name].default for name in WITHOUT_REGION_MARGINAL}
            # A form sends the paper's defaults along.
            unset = [n for n, value in paper.items() if values.get(n, value) == value]
            return values | {name: WITHOUT_REGION_MARGINAL[name] for name in unset}
        if values.get("epsilon") is None:
            values = {**values, "epsilon": PAPER_EPSILON}
        if values.get("rule") == "converged":
            most, tolerance = STOPPING["converged"]
            return {"max_iterations": most, "tolerance": tolerance, **values}
        return values

    @property
    def one_sided(self) -> bool:
        """Whether the plans hold the attributes' marginal only."""
        return self.aligner == "one-sided"

    def aligning(self, memory_bytes: int) -> dict[str, Any]:
        """What the functions of `alignment` take of these settings.

        Raises:
            ValueError: epsilon of one-sided plans was not resolved by the model (`resolved`).
        """
        if self.epsilon is None:
            raise ValueError("epsilon of one-sided plans depends on the model; resolve it first")
        names = {"theta", "epsilon", "rule", "max_iterations", "tolerance"}
        aligner = self.aligner or "paper"
        return {
            "aligner": aligner,
            **self.model_dump(include=names),
            "memory_bytes": memory_bytes,
        }

    @property
    def needs_logit_scale(self) -> bool:
        """Whether a setting waits for the model's logit scale."""
        return self.one_sided and None in (self.epsilon, self.presence_temperature)

    def resolved(self, logit_scale: float) -> ScoringSettings:
        """The settings of one-sided plans with what follows from the model's logit scale."""
        return self.model_copy(
            update={
                "epsilon": self.epsilon or 2.5 / logit_scale,
                "presence_temperature": self.presence_temperature or 1 / logit_scale,
            }
        )

    @model_validator(mode="after")
    def _settings_of_the_aligner(self) -> ScoringSettings:
        if not self.one_sided:
            if self.presence_temperature is not None:
                raise ValueError(
                    f"presence_temperature {self.presence_temperature:g} belongs to one-sided "
                    "plans; set aligner to one-sided, or leave it out"
                )
            return self
        fixed = WITHOUT_REGION_MARGINAL | {
            name: type(self).model_fields[name].default for name in _OF_SINKHORN
        }
        for name, value in fixed.items():
            if getattr(self, name) != value:
                raise ValueError(
                    f"{name} {getattr(self, name)} belongs to the paper's plans, and one-sided "
                    f"plans have none; leave {name} out, or set aligner to paper"
                )
        return self

    @model_validator(mode="after")
    def _plans_within_top(self) -> ScoringSettings:
        if self.plans > self.top_k:
            raise ValueError(
                f"plans of {self.plans} classes are asked for but only the best {self.top_k} are "
                "kept; raise top_k or lower plans"
            )
        return self

    @model_validator(mode="after")
    def _confidence_has_what_it_needs(self) -> ScoringSettings:
        if self.abstain_below is not None and self.temperature is None:
            raise ValueError(
                f"abstain_below {self.abstain_below} is a confidence, and there is none without a "
                "temperature; set both, or take both from a trust file with --trust"
            )
        if self.parents_above is not None and self.temperature is None:
            raise ValueError(
                f"parents_above {self.parents_above} is a chance, and there is none without a "
                "temperature; set both, or take both from a trust file with --trust"
            )
        if self.abstain_by == "presence" and not self.one_sided:
            raise ValueError(
                "abstain_by is presence, which the paper's plans do not measure; set aligner to "
                "one-sided, or leave abstain_by out"
            )
        if self.temperature is not None and self.top_k < 2:
            raise ValueError(
                "a temperature is set, but confidence compares the best classes and only the best "
                f"{self.top_k} is kept; raise top_k to 2 or more"
            )
        return self


PRESETS: dict[str, dict[str, dict[str, Any]]] = {
    "paper": {},
    "parts": {"regions": {"layout": "zoom"}, "scoring": {"aligner": "one-sided"}},
    "parts-fast": {
        "regions": {"layout": "zoom", "count": 29},
        "scoring": {"aligner": "one-sided"},
    },
}
"""What each preset sets where nothing else is said."""

_SECTIONS: dict[str, type[_Frozen]] = {"regions": RegionSettings, "scoring": ScoringSettings}

Links = Literal["inside", "anywhere"]
"""Which links of a local archive are followed."""


class Job(_Frozen):
    """Everything about one labelling run."""

    archive: Annotated[
        str,
        Field(
            min_length=1,
            description="Where the images are: a path or any fsspec URL, such as "
            "s3://bucket/prefix; also a .zip, .tar, .parquet or .csv file, or a folder of "
            "them (tars://::FOLDER, parquet://::FOLDER).",
        ),
    ]
    labels: Annotated[
        str,
        Field(
            min_length=1,
            description="Label set (class -> attributes): path or URL of a JSON, YAML, CSV or "
            "text file.",
        ),
    ]
    model: Annotated[
        str,
        Field(
            min_length=1,
            description="Model, by open_clip's name: NAME:TAG, NAME:/file.safetensors, "
            "local-dir:/folder, hf-hub:org/name, or fieldguide (the embedded one).",
        ),
    ] = DEFAULT_MODEL
    preset: Annotated[
        Preset,
        Field(
            description="Group of settings, each of which can still be set: paper (as published), "
            "parts (one-sided plans over regions at every scale, for evidence: 91 passes) or "
            "parts-fast (the same for labels: 30 forward passes)."
        ),
    ] = "paper"
    truth: Annotated[
        str | None,
        Field(
            description="What the images really show, if you know: CSV or Parquet of key,label "
            "(FILE:COLUMN for another column), or `folders` if folders are named after classes."
        ),
    ] = None
    only: Annotated[
        str | None,
        Field(
            description="Label only the images in this file of keys (CSV or Parquet with a "
            "column key, or one key per line; a truth file will do)."
        ),
    ] = None
    workspace: Annotated[
        str,
        Field(
            min_length=1,
            description="Where embeddings and results are kept: a path or any fsspec URL.",
        ),
    ] = "workspace"
    warehouse: Annotated[
        str | None,
        Field(
            description="The DuckDB file, on a local disk (default: in a local workspace, else "
            "in the current folder)."
        ),
    ] = None
    open_set: Annotated[
        bool,
        Field(description="Allow truth to name classes that the label set lacks."),
    ] = False
    precision: Annotated[
        Literal["auto", "float32", "bfloat16", "float16"],
        Field(
            description="Precision of the forward pass: auto (float16 on CUDA, else float32), "
            "float32, bfloat16 (twice as fast on CPUs with AVX-512 BF16 or AMX) or "
            "float16."
        ),
    ] = "auto"
    device: Annotated[
        str, Field(description="Device of the model: auto, cpu, cuda, cuda:1 or mps.")
    ] = "auto"
    regions: RegionSettings = RegionSettings()
    scoring: ScoringSettings = ScoringSettings()
    suffixes: Annotated[
        tuple[str, ...],
        Field(min_length=1, description="File suffixes that count as images (any case)."),
    ] = IMAGE_SUFFIXES
    exclude: Annotated[
        tuple[str, ...],
        Field(
            description="Globs of keys to leave out: a path such as raw/*.jpg, a folder such as "
            "old/2019, or a name on any level such as *_thumb.jpg. Litter (._*, @eaDir, "
            ".ipynb_checkpoints, $RECYCLE.BIN, ...) is always left out."
        ),
    ] = ()
    max_pixels: Annotated[
        int, Field(ge=1, description="Reject larger images before they are decoded.")
    ] = MAX_PIXELS
    shard_size: Annotated[int, Field(ge=1, le=100_000, description="Images per shard.")] = 256
    batch_size: Annotated[
        int | None,
        Field(ge=1, le=65_536, description="Crops per forward pass (default: by the device, 256)."),
    ] = None
    decoders: Annotated[
        int,
        Field(
            ge=1,
            le=256,
            description="Threads that decode and crop ahead of the model; default: one per "
            "processor of the machine that labels.",
        ),
        # As a plain default, the form of a run would send what the machine has that it was made on.
    ] = Field(default_factory=_processors)
    cut_on: Annotated[
        CutOn | None,
        Field(
            description="Where fast crops are cut: processor (threads), or device (beside the "
            "model, for a GPU that the threads cannot feed; other embeddings); default: by the "
            "device (processor)."
        ),
    ] = None
    fetchers: Annotated[
        int, Field(ge=1, le=256, description="Objects fetched from the archive at a time.")
    ] = 16
    links: Annotated[
        Links,
        Field(
            description="Links in a local archive that are followed: those that stay inside it; a "
            "link that leads elsewhere is a reject."
        ),
    ] = "inside"
    reject_ceiling: Annotated[
        float,
        Field(
            gt=0,
            le=1,
            description="Fail a shard if a larger fraction of its listed images is rejected "
            "(1: never).",
        ),
    ] = 0.5
    retry_rejects: Annotated[
        Literal["moment", "all", "none"],
        Field(
            description="Rejected images that are tried again: those the store did not give at "
            "the moment, all, or none."
        ),
    ] = "moment"
    recolour: Annotated[
        bool,
        Field(
            description="Embed again those pictures that an older lazsl embedded in other colours: "
            "it converted no colour profile, and read CMYK and deep pictures otherwise."
        ),
    ] = False
    loss_ceiling: Annotated[
        float,
        Field(
            ge=0,
            le=1,
            description="Stop if a listing lacks a larger fraction of the archive's images "
            "(1: never).",
        ),
    ] = 0.2
    staged_shards: Annotated[
        int,
        Field(
            ge=1,
            le=64,
            description="Shards fetched ahead of the model; bounds the disk space used.",
        ),
    ] = 2
    scratch: Annotated[
        str | None,
        Field(
            description="Local folder for staged images (default: the system's temporary folder)."
        ),
    ] = None
    scoring_memory: Annotated[
        int, Field(ge=2**20, description="Working memory of the scoring task, in bytes.")
    ] = 512 * 2**20

    @model_validator(mode="before")
    @classmethod
    def _with_preset(cls, values: Any) -> Any:
        if not isinstance(values, dict):
            return values
        # A form sends null for what is folded.
        values = {k: v for k, v in values.items() if v is not None or k not in _FOLDED}
        for name, wanted in PRESETS.get(str(values.get("preset") or "paper"), {}).items():
            given = values.get(name) or {}
            if isinstance(given, BaseModel):
                given = given.model_dump(exclude_unset=True)
            if isinstance(given, dict):
                values[name] = given | _unset(_SECTIONS[name], wanted, given)
        return values

    @model_validator(mode="after")
    def _seen_enough_of_what_is_alike(self) -> Job:
        layout = self.regions.layout or "random"
        if self.regions.doubt is not None and layout != "random" and not self.scoring.one_sided:
            raise ValueError(
                f"doubt {self.regions.doubt:g} of the paper's plans speaks of crops that are drawn "
                f"alike, and those of a {layout} are not; set scoring.aligner to one-sided, or "
                "leave doubt out"
            )
        return self

    @model_validator(mode="after")
    def _cut_where_it_can_be(self) -> Job:
        if self.cut_on == "device" and self.regions.resampling != "fast":
            raise ValueError(
                "cut_on is device, but exact crops are cut by the processor; set "
                "regions.resampling to fast, or leave cut_on out"
            )
        return self

    @model_validator(mode="after")
    def _dense_where_it_can_be(self) -> Job:
        if self.cut_on == "device" and self.regions.source == "dense":
            raise ValueError(
                "cut_on is device, but dense regions are not cut; leave out one of cut_on and "
                "regions.source"
            )
        return self

    @model_validator(mode="after")
    def _without_secrets(self) -> Job:
        for name in ("archive", "only", "labels", "workspace", "truth"):
            if USERINFO.search(getattr(self, name) or ""):
                raise ValueError(
                    f"{name} holds credentials; take them out of the URL and set the store's "
                    "environment variables (such as AWS_ACCESS_KEY_ID) instead"
                )
        return self

    @field_serializer("archive", "only", "labels", "workspace", "truth", when_used="json")
    def _stored_without_signature(self, url: str | None) -> str | None:
        """What is written down (in run.json, in Prefect) opens nothing for whoever reads it."""
        return url and (without_signature(url) if "://" in url else url)

    @property
    def warehouse_path(self) -> Path:
        """Where the DuckDB file of this job lives on the local disk."""
        if self.warehouse is not None:
            return Path(self.warehouse)
        if "://" in self.workspace and not self.workspace.startswith("file://"):
            return Path("warehouse.duckdb")
        return Path(self.workspace.removeprefix("file://")) / "warehouse.duckdb"


def _unset(section: type[_Frozen], wanted: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    """Of what a preset wants, that of which nothing is said: nor is it where a form sends the
    defaults along."""
    defaults = {name: section.model_fields[name].default for name in wanted}
    return {
        name: value for name, value in wanted.items() if given.get(name) in (None, defaults[name])
    }


def make_job(**values: Any) -> Job:
    """A validated Job.

    Raises:
        UserError: one sentence that names each impossible setting and what was found.
    """
    try:
        return Job(**values)
    except ValidationError as error:
        problems = [
            f"{'.'.join(str(part) for part in item['loc']) or 'job'}: "
            f"{item['msg'].removeprefix('Value error, ')}"
            + (f" (got {item['input']!r})" if item["type"] != "value_error" else "")
            for item in error.errors()
        ]
        raise UserError("impossible settings: " + "; ".join(problems)) from None
