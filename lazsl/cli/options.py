"""Options that several commands share, and what their values mean together."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from lazsl.errors import UserError
from lazsl.settings import Job, make_job


def meaning(setting: str) -> str:
    """The sentence that `lazsl.settings` has about a setting, such as `scoring.theta`."""
    *sections, name = setting.split(".")
    model: Any = Job
    for section in sections:
        model = model.model_fields[section].annotation
    return str(model.model_fields[name].description)


Workspace = Annotated[
    str,
    typer.Option("--workspace", "-w", help=meaning("workspace")),
]
WarehouseFile = Annotated[Path | None, typer.Option("--warehouse", help=meaning("warehouse"))]
LakeFolder = Annotated[
    Path | None,
    typer.Option(
        "--lake",
        help="Use a lake instead of a DuckDB file: a folder of Parquet files, for many millions of "
        "images (--warehouse takes one too, in every command).",
    ),
]
Archive = Annotated[
    str | None,
    typer.Option(
        "--archive",
        help="The archive that the warehouse names, if you did not label it yourself: images are "
        "read only from archives that you have named.",
    ),
]
Labels = Annotated[str | None, typer.Option("--labels", "-l", help=meaning("labels"))]
Only = Annotated[
    str | None,
    typer.Option("--only", help=meaning("only")),
]
Exclude = Annotated[
    list[str] | None,
    typer.Option("--exclude", metavar="GLOB", help=f"{meaning('exclude')} Repeatable."),
]
Force = Annotated[bool, typer.Option("--force", help="Overwrite the output if it exists.")]
Truth = Annotated[
    str | None,
    typer.Option(
        "--truth",
        help=meaning("truth"),
    ),
]
Set = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="NAME=VALUE", help="Any other setting (see `lazsl settings`); repeatable."
    ),
]
Theta = Annotated[float | None, typer.Option(help=meaning("scoring.theta"))]
Epsilon = Annotated[float | None, typer.Option(help=meaning("scoring.epsilon"))]
Gamma = Annotated[float | None, typer.Option(help=meaning("scoring.gamma"))]
RuleName = Annotated[str | None, typer.Option("--rule", help=meaning("scoring.rule"))]
OpenSet = Annotated[
    bool,
    typer.Option("--open-set", help=meaning("open_set")),
]
TrustFile = Annotated[
    str | None,
    typer.Option(
        "--trust",
        help="Abstain below the confidence threshold in this trust.json of `lazsl evaluate`.",
    ),
]
PresetName = Annotated[
    str | None,
    typer.Option(
        "--preset",
        help=f"{meaning('preset')} Default: paper; of --sample: parts.",
    ),
]
AlignerName = Annotated[
    str | None,
    typer.Option(
        "--aligner",
        help=meaning("scoring.aligner"),
    ),
]
TopK = Annotated[int | None, typer.Option(help=meaning("scoring.top_k"))]


def warehouse_of(workspace: str, warehouse: Path | None, lake: Path | None = None) -> Path:
    """The DuckDB file or lake a command reads: the one that was named, or the workspace's own.

    Raises:
        UserError: both were named, or a URL.
    """
    from lazsl.warehouse.warehouse_presence import check_on_disk

    if lake is not None and warehouse is not None:
        raise UserError("--warehouse and --lake exclude each other; give one")
    named = lake or warehouse
    if named is not None:
        check_on_disk(named)
        return named
    return make_job(archive="-", labels="-", workspace=workspace).warehouse_path


def present_warehouse(workspace: str, warehouse: Path | None, lake: Path | None = None) -> Path:
    """The same where it has to be there. Ask it before DuckDB is imported.

    Raises:
        UserError: there is no such file or lake, or both were named.
    """
    from lazsl.warehouse.warehouse_presence import check_present

    path = warehouse_of(workspace, warehouse, lake)
    check_present(path)
    return path


def assigned(given: list[str] | None, option: str, example: str) -> dict[str, Any]:
    """Values by name, as an option NAME=VALUE gave them: what reads as JSON is, the rest is text.

    Raises:
        UserError: one is not NAME=VALUE.
    """
    values: dict[str, Any] = {}
    for pair in given or []:
        name, equals, value = pair.partition("=")
        if not equals or not name:
            raise UserError(f"{option} {pair!r} is not NAME=VALUE, such as {example}")
        try:
            values[name] = json.loads(value)
        except (ValueError, RecursionError):  # no JSON, or a number or a list beyond all measure
            values[name] = value
    return values


def nested(values: dict[str, Any]) -> dict[str, Any]:
    """Values by dotted name as sections: `scoring.theta` becomes `scoring: {theta: ...}`.

    Raises:
        UserError: a section is given both whole and in part, so that one would hide the other.
    """
    nested: dict[str, Any] = {}
    for name, value in values.items():
        section, _, field = name.rpartition(".")
        if section in values or any(other.startswith(f"{name}.") for other in values):
            whole = section if section in values else name
            raise UserError(
                f"{whole} is set as a whole and by its fields; set its fields alone, such as "
                "--set scoring.plans=3"
            )
        (nested.setdefault(section, {}) if section else nested)[field] = value
    return nested
