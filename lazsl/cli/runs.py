"""`lazsl runs` and `lazsl settings`: what there is to name, and what there is to set."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Annotated, get_args

import typer
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined
from rich.markup import escape
from rich.table import Table

from lazsl.cli.app import app, in_words, out
from lazsl.cli.options import Workspace
from lazsl.errors import UserError
from lazsl.settings import Job


@app.command(epilog="Example: lazsl runs --json")
@in_words
def runs(
    workspace: Workspace = "workspace",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List the runs of a workspace, latest first."""
    from lazsl.store.folder import Folder
    from lazsl.store.paths import done_shards, run_records

    folder = Folder(workspace)
    fields = ("run", "created", "archive_url", "model", "classes", "attributes")
    rows = [
        {**{name: record[name] for name in fields}, "shards_done": len(done_shards(folder, key))}
        for record in run_records(folder)
        for key in [record["run"]]
    ]
    if as_json:
        print(json.dumps(rows, indent=1))
        return
    if not rows:
        raise UserError(
            f"there is no run in {workspace}; label an archive, or name another workspace"
        )
    table = Table()
    table.add_column("run, and its archive", overflow="fold")
    for heading in ("started", "model"):
        table.add_column(heading, overflow="fold")
    for heading in ("classes", "shards done"):
        table.add_column(heading, justify="right")
    for row in rows:
        key, archive, model = (escape(row[name]) for name in ("run", "archive_url", "model"))
        table.add_row(
            f"[bold]{key}[/]\n{archive}",
            row["created"][:16].replace("T", " "),
            model,
            f"{row['classes']:,}",
            f"{row['shards_done']:,}",
        )
    out.print(table)


@app.command(epilog="Example: lazsl settings regions")
@in_words
def settings(
    name: Annotated[
        str | None, typer.Argument(help="Setting or section, such as regions (default: all).")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List every setting, with its default and meaning."""
    rows = [
        row
        for row in described(Job)
        if name is None or row["name"] == name or row["name"].startswith(f"{name}.")
    ]
    if not rows:
        raise UserError(f"there is no setting {name!r}; lazsl settings lists all of them")
    if as_json:
        print(json.dumps(rows, indent=1))
        return
    table = Table("setting", "default", "meaning")
    for row in rows:
        table.add_row(escape(row["name"]), escape(row["default"]), escape(row["meaning"]))
    out.print(table)


def described(model: type[BaseModel], prefix: str = "") -> Iterator[dict[str, str]]:
    """Name, default and meaning of every setting; those of a section have dotted names."""
    for name, field in model.model_fields.items():
        kinds = [field.annotation, *get_args(field.annotation)]
        section = next((k for k in kinds if isinstance(k, type) and issubclass(k, BaseModel)), None)
        if section is not None:
            yield from described(section, f"{prefix}{name}.")
            continue
        yield {
            "name": f"{prefix}{name}",
            "default": _default(field),
            "meaning": field.description or "",
        }


def _default(field: FieldInfo) -> str:
    value = field.default
    if field.default_factory is not None:
        return "by the machine"
    if value is PydanticUndefined:
        return "(needed)"
    if value is None:
        return "not set"
    return value if isinstance(value, str) else json.dumps(value)
