"""The model of a run, loaded once per process."""

from __future__ import annotations

import threading

from lazsl.model.dense import make_pooling
from lazsl.model.encoder import Encoder, choose_device, load_encoder
from lazsl.model.towers import Towers
from lazsl.run.run import Run

_loaded: dict[tuple[str, str, str], Encoder] = {}


_loading = threading.Lock()


def load_model(run: Run, towers: Towers) -> Encoder:
    """The run's model with these towers at least, loaded once per process; the last is kept.

    Raises:
        UserError: the device is not usable, the weights are not readable, or the vision tower
            cannot do what the job asks of it.
    """
    encoder = _load_model(run, towers)
    if run.job.regions.source == "dense" and encoder.model.visual is not None:
        make_pooling(encoder.model.visual, run.job.model)
    return encoder


def _load_model(run: Run, towers: Towers) -> Encoder:
    device = choose_device(run.job.device)
    with _loading:
        whole = _loaded.get((run.encoder, device, "both"))
        if whole is not None:
            return whole
        key = (run.encoder, device, towers)
        if key not in _loaded:
            _loaded.clear()
            _loaded[key] = load_encoder(run.source, device, towers)
        return _loaded[key]
