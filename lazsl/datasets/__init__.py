"""Published data sets: their layouts, their splits, their classes by name."""

from lazsl.datasets.layout import DataSet, Split
from lazsl.datasets.prepare import Prepared, find_dataset, label_command, prepare, write
from lazsl.datasets.registry import DATASETS

__all__ = [
    "DATASETS",
    "DataSet",
    "Prepared",
    "Split",
    "find_dataset",
    "label_command",
    "prepare",
    "write",
]
