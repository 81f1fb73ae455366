"""A flow run by a command in its own process, followed on the terminal."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from lazsl.cli.app import err
from lazsl.errors import UserError
from lazsl.secret_names import without_signature


@dataclass(frozen=True)
class Talk:
    """How much a command says while it works."""

    quiet: bool
    verbose: bool
    log_json: bool

    def __post_init__(self) -> None:
        if self.quiet and (self.verbose or self.log_json):
            raise UserError("--quiet says nothing, so it cannot go with --verbose or --log-json")


@contextmanager
def followed(verb: str, talk: Talk) -> Iterator[Callable[[Callable[[], Any]], None]]:
    """What runs a flow in this process and shows how far it is.

    A Prefect server that this command needs starts meanwhile, while the model is loaded. Prefect is
    quiet unless asked: what a person needs to know is said by the command itself.
    """
    level = "INFO" if talk.verbose else "ERROR"
    quiet = {
        "PREFECT_LOGGING_LEVEL": level,
        "PREFECT_LOGGING_ROOT_LEVEL": level,
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
    }
    for name, value in quiet.items():
        os.environ.setdefault(name, value)
    import httpx
    from lazsl_flows.temporary_server import keep_to_this_command, server_failed, starting_api
    from lazsl_flows.watching import watcher

    from lazsl.cli.progress import follower

    keep_to_this_command()
    server = os.environ.get("PREFECT_API_URL")
    where = (
        f"asking Prefect at {without_signature(server)}"
        if server
        else "starting a temporary Prefect server (PREFECT_API_URL would name a running one)"
    )
    with follower(err, verb, talk.quiet, talk.log_json) as watching, starting_api() as started:
        watching.waiting(f"loading the model, and {where}")

        def run(flow: Callable[[], Any]) -> None:
            watching.waiting(where)
            started()
            try:
                state = flow()
            except httpx.HTTPError as error:  # outside of the flow's own run
                raise server_failed(error) from None
            if not state.is_completed():
                raise failure(state)

        token = watcher.set(watching)
        try:
            yield run
        finally:
            watcher.reset(token)


def failure(state: Any) -> BaseException:
    """The error that a flow failed with; a UserError where its run ended without one."""
    import httpx
    from lazsl_flows.temporary_server import server_failed
    from prefect.exceptions import PrefectException

    error = state.result(raise_on_failure=False)
    if isinstance(error, httpx.HTTPError):
        return server_failed(error)
    if isinstance(error, BaseException) and not isinstance(error, OSError | PrefectException):
        return error
    return UserError(state.message or f"the flow ended {state.name}; run it again")
