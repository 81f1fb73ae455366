"""`lazsl labels`: label sets, read critically."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.markup import escape

from lazsl.cli.app import app, in_words, out

labels_app = typer.Typer(help="Work with label sets.", no_args_is_help=True)
app.add_typer(labels_app, name="labels")


@labels_app.command(epilog="Example: lazsl labels check birds.json --model fieldguide")
@in_words
def check(
    labels: Annotated[str, typer.Argument(help="Label set: path or URL of JSON.")],
    model: Annotated[
        str | None,
        typer.Option("--model", "-m", help="Also check prompts against its context length."),
    ] = None,
) -> None:
    """Read a label set critically. Exit code 1 when there are findings."""
    from lazsl.labelset import check as check_labels
    from lazsl.labelset import load_labelset

    labelset = load_labelset(labels)
    tokens, context = None, 0
    if model is not None:
        from lazsl.encoder import count_tokens, find_model, load_tokenizer

        tokenizer = load_tokenizer(find_model(model, "float32"))
        prompts = [prompt for prompts in labelset.prompts for prompt in prompts]
        tokens = dict(zip(prompts, count_tokens(tokenizer, prompts), strict=True))
        context = tokenizer.context_length
    findings = check_labels(labelset, tokens, context)
    for finding in findings:
        out.print(
            f"[bold]{escape(finding.label)}[/] {escape(f'{finding.reason}; {finding.suggestion}')}",
            highlight=False,
        )
    attributes = sum(labelset.sizes)
    out.print(f"{len(labelset)} classes, {attributes} sentences, {len(findings)} findings")
    if findings:
        raise typer.Exit(1)
