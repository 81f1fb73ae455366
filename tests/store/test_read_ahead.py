"""Claims about threads that read ahead: a reader that is dropped waits for nothing."""

from __future__ import annotations

import threading
from collections.abc import Iterator

from lazsl.store.read_ahead import AheadThreads


def test_a_reader_dropped_where_its_answers_come_from_waits_for_none() -> None:
    answered, ended = threading.Event(), threading.Event()

    def numbers() -> Iterator[int]:
        with AheadThreads(1) as threads:
            threads.submit(answered.wait, 60)
            yield 1

    def answer() -> None:
        reader = numbers()
        next(reader)
        del reader  # as the collector does it, here where the answer would come from
        ended.set()
        answered.set()

    threading.Thread(target=answer, daemon=True).start()
    assert ended.wait(10), "the reader waits for an answer that only its own thread can give"


def test_what_was_begun_is_waited_for_at_an_ordinary_end() -> None:
    done = threading.Event()
    with AheadThreads(1) as threads:
        threads.submit(lambda: done.wait(0.1) or done.set())
    assert done.is_set()
