"""Whether the hub of models is asked, and that its libraries keep quiet meanwhile."""

from __future__ import annotations

import logging
import os
import socket
import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from urllib.parse import urlsplit

from huggingface_hub import constants as hub_constants

from lazsl.model.model_source import ModelSource


def reading(source: ModelSource) -> AbstractContextManager[None]:
    """For loading: no hub is asked for a local folder; for all else it may be asked again."""
    return without_hub() if source.name.startswith("local-dir:") else hub_or_cache()


@contextmanager
def without_hub() -> Iterator[None]:
    """Nothing is asked of the hub, whatever a configuration names."""
    offline = hub_constants.HF_HUB_OFFLINE
    with quiet_libraries():
        hub_constants.HF_HUB_OFFLINE = True
        try:
            yield
        finally:
            hub_constants.HF_HUB_OFFLINE = offline


@contextmanager
def hub_or_cache() -> Iterator[None]:
    """Where the hub does not answer, look in its local cache only, instead of retrying."""
    offline = hub_constants.HF_HUB_OFFLINE
    proxied = any(name.lower() in ("https_proxy", "all_proxy") for name in os.environ)
    hub = urlsplit(hub_constants.ENDPOINT)
    port = hub.port or (80 if hub.scheme == "http" else 443)
    with quiet_libraries():
        try:
            if not proxied:
                socket.create_connection((hub.hostname or "", port), timeout=5).close()
        except OSError:
            hub_constants.HF_HUB_OFFLINE = True
        try:
            yield
        finally:
            hub_constants.HF_HUB_OFFLINE = offline


@contextmanager
def quiet_libraries() -> Iterator[None]:
    """open_clip tells every step of a load on the root logger; a person needs none of it."""
    level = logging.root.manager.disable
    # Where the root logger has no handler, its first message gives it one for good.
    handler = logging.NullHandler()
    logging.root.addHandler(handler)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logging.disable(logging.WARNING)
        try:
            yield
        finally:
            logging.disable(level)
            logging.root.removeHandler(handler)
