"""The label set of a run, embedded once for all shards."""

from __future__ import annotations

from functools import lru_cache

from lazsl.embedding.label_set import Remembering, embed_labels, embedded_before
from lazsl.errors import DamagedError
from lazsl.model.encoder import count_tokens, load_tokenizer
from lazsl.model.towers import Towers
from lazsl.run.models import load_model
from lazsl.run.run import Run
from lazsl.scoring.embedded import EmbeddedLabels
from lazsl.store import damage, paths
from lazsl.store.folder import Folder


def attributes_embedded(run: Run) -> bool:
    """True when the label set was embedded before, by this run or another one."""
    return run.workspace.exists(paths.attributes(run.encoder, run.labels))


def embed_attributes(run: Run, towers: Towers = "both") -> bool:
    """Embed the label set, unless that was done before; True when it had to be done."""
    name = paths.attributes(run.encoder, run.labels)
    if attributes_embedded(run):
        try:
            run.workspace.read_table(name)
            return False
        except DamagedError as error:
            damage.set_aside(run.workspace, error)
    known = embedded_before(run.workspace, run.encoder, run.labelset)
    encoder = Remembering(lambda: load_model(run, towers), known)
    run.workspace.write_table(name, embed_labels(run.labelset, encoder))
    return True


def cut_sentences(run: Run) -> str | None:
    """Which sentences the model's tokenizer would cut, in a sentence; None where there are none, or
    where the label set was embedded before."""
    if attributes_embedded(run):
        return None
    tokenizer = load_tokenizer(run.source)
    context = int(tokenizer.context_length)
    # A token stands for a byte at least, and two mark the ends.
    sentences = dict.fromkeys(
        sentence
        for sentences in run.labelset.prompts
        for sentence in sentences
        if len(sentence.encode()) > context - 2
    )
    if not sentences:
        return None
    counts = count_tokens(tokenizer, list(sentences))
    long = [text for text, count in zip(sentences, counts, strict=True) if count > context]
    if not long:
        return None
    example = long[0] if len(long[0]) <= 200 else f"{long[0][:200]}..."
    return (
        f"{len(long):,} of {sum(run.labelset.sizes):,} sentences are longer than the {context} "
        f"tokens that the model reads, and their ends are cut, such as {example!r}; lazsl labels "
        "check --model lists them"
    )


@lru_cache(maxsize=2)
def embedded_labels(folder: Folder, encoder: str, labels: str) -> EmbeddedLabels:
    """A workspace's embedded label set, read and packed once for all shards that are scored."""
    return EmbeddedLabels.from_table(folder.read_table(paths.attributes(encoder, labels)))
