"""`lazsl labels tree`: parents of classes, proposed for a person to accept."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from lazsl.cli.app import in_words, out
from lazsl.cli.labels import counted, keep, labels_app
from lazsl.cli.options import Force
from lazsl.errors import UserError
from lazsl.visible_text import short, visible


@labels_app.command(epilog="Example: lazsl labels tree birds.yaml --output birds-tree.yaml")
@in_words
def tree(
    file: Annotated[
        str, typer.Argument(help="Label set: path or URL of a JSON, YAML, CSV or text file.")
    ],
    output: Annotated[
        str,
        typer.Option(
            "--output", "-o", help="Label set with parents, to write for review: .yaml or .json."
        ),
    ],
    wordnet: Annotated[
        str | None,
        typer.Option(
            "--wordnet",
            metavar="FILE",
            help="Take parents from WordNet: its data.noun, or ImageNet's wordnet.is_a.txt.",
        ),
    ] = None,
    force: Force = False,
) -> None:
    """Propose a parent for every class, by the attributes that classes share, or from WordNet.

    With parents, `lazsl evaluate` finds the threshold above which an image whose class is uncertain
    gets a parent as its label. Review the groups in the file: rename and correct them.
    """
    from lazsl.labelset.proposing import propose_parents
    from lazsl.labelset.reading import load_labelset, write_labels

    if not output.lower().endswith((".yaml", ".yml", ".json")):
        raise UserError(f"--output {output!r} must end in .yaml or .json; YAML reads best")
    keep(output, force)
    labels = load_labelset(file)
    if wordnet is None:
        labels = propose_parents(labels)
    else:
        from lazsl.datasets.hypernyms import read_hypernyms, with_hypernyms

        labels = with_hypernyms(labels, read_hypernyms(wordnet))
    write_labels(labels, output)
    groups: dict[str, list[str]] = {}
    for label in labels.classes:
        if label in labels.parents:
            groups.setdefault(labels.parents[label], []).append(label)
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("parent", overflow="fold")
    table.add_column("classes", overflow="fold")
    for parent, below in groups.items():
        table.add_row(Text(visible(parent)), Text(short(", ".join(below), 200)))
    out.print(table)
    members = sum(map(len, groups.values()))
    out.say(
        f"{counted(members, 'class')} in {counted(len(groups), 'group')}; wrote "
        f"[bold]{escape(visible(output))}[/]",
        markup=True,
    )
