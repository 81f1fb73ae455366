"""lazsl labels image archives without training or annotation, and keeps the evidence.

    import lazsl

    results = lazsl.label("photos", "birds.yaml", model="ViT-B-16-quickgelu:openai")
    results.explain("1858/plate-019.jpg")
    results.sql("select label, count(*) from predictions group by all")

The names below are loaded when they are first used, so that `import lazsl` is quick.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from lazsl.api.results import Results, open_results
    from lazsl.api.verbs import label, relabel
    from lazsl.errors import UserError
    from lazsl.labelset.reading import load_labelset
    from lazsl.settings import Job

__all__ = [
    "Job",
    "Results",
    "UserError",
    "label",
    "load_labelset",
    "open_results",
    "relabel",
]

_HOMES = {
    "Job": "lazsl.settings",
    "Results": "lazsl.api.results",
    "UserError": "lazsl.errors",
    "label": "lazsl.api.verbs",
    "load_labelset": "lazsl.labelset.reading",
    "open_results": "lazsl.api.results",
    "relabel": "lazsl.api.verbs",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'lazsl' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
