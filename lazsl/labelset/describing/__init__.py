"""Attributes for classes that have none, written by a language model and read by a person."""

from lazsl.labelset.describing.answers import Answers, default_folder
from lazsl.labelset.describing.asking import Asking, Estimate, estimate
from lazsl.labelset.describing.describe import Described, Failure, Work, describe, plan
from lazsl.labelset.describing.endpoint import Endpoint, find_endpoint

__all__ = [
    "Answers",
    "Asking",
    "Described",
    "Endpoint",
    "Estimate",
    "Failure",
    "Work",
    "default_folder",
    "describe",
    "estimate",
    "find_endpoint",
    "plan",
]
