"""What every attempt of a flow run begins with and fails with; when a crashing run is given up."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from prefect import State
from prefect.client.orchestration import get_client
from prefect.exceptions import FailedRun
from prefect.runtime import flow_run
from prefect.states import Failed

from lazsl.errors import UserError, in_one_line
from lazsl.store.urls import masked, reason
from lazsl.warehouse.interruption import interruptible
from lazsl_flows.credentials import use_stored

P = ParamSpec("P")
R = TypeVar("R")

CRASHES = 3
"""After so many crashes since a person last pressed Retry, a run ends Failed."""

STARTED_AGAIN = "started again after a crash"
"""What the automation says of its new attempt; see `infra/automations.yaml`."""


def in_words(function: Callable[P, R]) -> Callable[P, R | State[Any]]:
    """The task or flow, failing with a sentence where the world went wrong and not the code.

    The state carries the error itself, so that its type is kept for whoever asks for the result.
    """

    @wraps(function)
    def step(*args: P.args, **kwargs: P.kwargs) -> R | State[Any]:
        try:
            with interruptible():
                return function(*args, **kwargs)
        except (UserError, OSError) as error:
            return Failed(message=_words(error), data=error)

    return step


def _words(error: BaseException) -> str:
    """What an error says: our own sentences whole, what others say as far as a person reads it."""
    expected = isinstance(error, (UserError, FailedRun))
    return masked(in_one_line(error)) if expected else reason(error)


class _Sentence(logging.Filter):
    """Takes Prefect's traceback off a failure that a flow ended with in words."""

    def filter(self, record: logging.LogRecord) -> bool:
        error = record.exc_info[1] if record.exc_info else None
        if isinstance(error, (FailedRun, UserError, OSError)):
            record.msg, record.args = f"The flow run failed: {_words(error)}", ()
            record.exc_info = record.exc_text = None
        elif error is None:
            record.exc_info = None  # of a failure that was returned, Prefect logs NoneType: None
        return True


_sentence = _Sentence()


def attempt(function: Callable[P, State[Any]]) -> Callable[P, State[Any]]:
    """The flow: with the store's credentials, and given up once its process has died too often.

    Called directly, it raises what it failed with; with `return_state=True` the state has it.
    """

    @wraps(function)
    @in_words
    def attempted(*args: P.args, **kwargs: P.kwargs) -> State[Any]:
        for name in ("prefect.engine", "prefect.flow_runs", "prefect.task_runs"):
            logging.getLogger(name).addFilter(_sentence)
        use_stored()
        give_up()
        return function(*args, **kwargs)

    # Prefect would look for the names of the flow's types in this module.
    vars(attempted)["__signature__"] = inspect.signature(function, eval_str=True)
    return attempted


def give_up() -> None:
    """Raise UserError if the run has crashed too often by itself.

    An automation has no limit of its own. Only attempts that the automation made count: Retry,
    pressed by a person, starts anew.
    """
    if not flow_run.id:
        return
    with get_client(sync_client=True) as client:
        states = client.read_flow_run_states(flow_run.id)
    crashes = 0
    for state in sorted(states, key=lambda state: state.timestamp):
        if state.is_crashed():
            crashes += 1
        elif state.is_scheduled() and state.message != STARTED_AGAIN:
            crashes = 0
    if crashes >= CRASHES:
        raise UserError(
            f"the process died {crashes} times in a row and is not started again by itself; "
            "the worker's log may say why (out of memory?); Retry tries again"
        )
