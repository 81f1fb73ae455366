"""Label sets: read, written, criticised, and exchanged with the published formats."""

from lazsl.labelset.checks import check, look_alikes
from lazsl.labelset.finding import KINDS, Finding
from lazsl.labelset.formats import FORMATS, export_labels, import_labels
from lazsl.labelset.labels import NAME_TEMPLATE, WHOLE, LabelSet, sentence
from lazsl.labelset.native import Read, native_form, parse_labelset
from lazsl.labelset.reading import load_labelset, read_labels, write_labels

__all__ = [
    "FORMATS",
    "KINDS",
    "NAME_TEMPLATE",
    "WHOLE",
    "Finding",
    "LabelSet",
    "Read",
    "check",
    "export_labels",
    "import_labels",
    "load_labelset",
    "look_alikes",
    "native_form",
    "parse_labelset",
    "read_labels",
    "sentence",
    "write_labels",
]
