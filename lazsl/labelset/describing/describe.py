"""Describe the classes of a label set that have no attributes: what is to do, and doing it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from lazsl.errors import UserError
from lazsl.labelset.describing.asking import Asking
from lazsl.labelset.describing.cached_answers import Answer, Answers
from lazsl.labelset.describing.endpoint import Asker, Endpoint, Failed, Hopeless
from lazsl.labelset.labels import PENDING, LabelSet

GIVE_UP_AFTER = 10
"""Classes in a row that fail before the rest is not even asked about."""


@dataclass(frozen=True)
class Work:
    """What is to be done: `labels` with everything known so far, and which classes to ask about.

    `kept` are answers from before, by class; `ask` are the classes that have none.
    """

    labels: LabelSet
    kept: dict[str, Answer]
    ask: tuple[str, ...]


@dataclass(frozen=True)
class Failure:
    """A class that is still without attributes, and why, in one clause that is safe to show."""

    label: str
    reason: str


@dataclass(frozen=True)
class Described:
    """The label set with what was written, and what was not.

    `unasked` are the classes that were not asked about because no question had an answer.
    """

    labels: LabelSet
    written: int
    failures: tuple[Failure, ...]
    unasked: tuple[str, ...]
    prompt_tokens: int
    answer_tokens: int


def plan(
    source: LabelSet,
    before: LabelSet | None,
    asking: Asking,
    endpoint: Endpoint,
    answers: Answers | None,
) -> Work:
    """What is to be done for a label set.

    Args:
        source: the label set whose classes are to have attributes; those that have some keep them.
        before: what the output holds already: what a person wrote or corrected in it stays.
        asking: how classes are asked about.
        endpoint: who is asked; answers of another one do not count.
        answers: answers from before, if they may be used.
    """
    labels = source if before is None else _together(source, before)
    kept: dict[str, Answer] = {}
    ask: list[str] = []
    for label, attributes in zip(labels.classes, labels.attributes, strict=True):
        if attributes:
            continue
        key = asking.key(asking.messages(labels, label), endpoint.url)
        answer = answers.get(key, asking) if answers is not None else None
        if answer is None:
            ask.append(label)
        else:
            kept[label] = answer
    return Work(labels, kept, tuple(ask))


def describe(
    work: Work,
    asking: Asking,
    endpoint: Endpoint,
    answers: Answers,
    parallel: int = 4,
    timeout: float = 60.0,
    retries: int = 5,
    on_class: Callable[[str, str | None], None] = lambda label, failure: None,
) -> Described:
    """Ask about the classes that are to be asked about; every answer is kept as it comes.

    Args:
        work: from `plan`.
        asking: how classes are asked about.
        endpoint: who is asked.
        answers: where answers are kept.
        parallel: questions at a time.
        timeout: seconds that the endpoint may be silent.
        retries: times that a question is sent again when the endpoint is busy or out of reach.
        on_class: told of every class, and why it failed if it did.

    Raises:
        UserError: the client is not installed, or answers cannot be kept.
    """
    run = _Run(work, asking, endpoint, answers, on_class)
    if work.ask:
        asyncio.run(run.all(parallel, timeout, retries))
    answers_by_label = work.kept | run.found
    labels = work.labels
    if answers_by_label:
        labels = replace(
            labels,
            attributes=tuple(
                attributes
                or (answers_by_label[label].attributes if label in answers_by_label else ())
                for label, attributes in zip(labels.classes, labels.attributes, strict=True)
            ),
            sources={
                **labels.sources,
                **{label: answer.source for label, answer in answers_by_label.items()},
            },
            review=PENDING,
        )
    return Described(
        labels,
        len(answers_by_label),
        tuple(Failure(label, run.failed[label]) for label in work.ask if label in run.failed),
        tuple(label for label in work.ask if label not in run.found and label not in run.failed),
        *run.tokens,
    )


class _Run:
    """What was found while asking, class by class."""

    def __init__(
        self,
        work: Work,
        asking: Asking,
        endpoint: Endpoint,
        answers: Answers,
        on_class: Callable[[str, str | None], None],
    ) -> None:
        self.work, self.asking, self.endpoint, self.answers = work, asking, endpoint, answers
        self.on_class = on_class
        self.found: dict[str, Answer] = {}
        self.failed: dict[str, str] = {}
        self.in_a_row = 0
        self.stopped = False
        self.tokens = (0, 0)

    async def all(self, parallel: int, timeout: float, retries: int) -> None:
        asker = Asker(self.endpoint, self.asking, timeout, retries)
        waiting = iter(self.work.ask)
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(min(parallel, len(self.work.ask))):
                    group.create_task(self.some(asker, waiting))
        except* UserError as several:
            raise several.exceptions[0] from None
        finally:
            self.tokens = (asker.prompt_tokens, asker.answer_tokens)
            await asker.close()

    async def some(self, asker: Asker, waiting: Iterator[str]) -> None:
        while not self.stopped and (label := next(waiting, None)) is not None:
            messages = self.asking.messages(self.work.labels, label)
            try:
                answer = await asker.ask(messages)
            except Failed as failure:
                self.failed[label] = str(failure)
                self.in_a_row += 1
                if isinstance(failure, Hopeless) or self.in_a_row >= GIVE_UP_AFTER:
                    self.stopped = True
            else:
                self.answers.put(self.asking.key(messages, self.endpoint.url), answer, messages)
                self.found[label] = answer
                self.in_a_row = 0
            self.on_class(label, self.failed.get(label))


def _together(source: LabelSet, before: LabelSet) -> LabelSet:
    """The output as it is, with the classes of the source that it lacks, in the source's order."""
    attributes_of = dict(zip(before.classes, before.attributes, strict=True))
    theirs = dict(zip(source.classes, source.attributes, strict=True))
    order = tuple(dict.fromkeys((*source.classes, *before.classes)))
    return replace(
        before,
        classes=order,
        attributes=tuple(attributes_of.get(label) or theirs.get(label, ()) for label in order),
        synonyms={**source.synonyms, **before.synonyms},
        sources={**source.sources, **before.sources},
    )
