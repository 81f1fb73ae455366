"""Label sets: read, written, criticised, and exchanged with the published formats."""

from lazsl.labelset.checks import check, in_order, look_alikes
from lazsl.labelset.finding import KINDS, Finding
from lazsl.labelset.formats import CLASSNAMES, FORMATS, export_labels, import_labels
from lazsl.labelset.labels import NAME_TEMPLATE, PENDING, WHOLE, LabelSet, sentence
from lazsl.labelset.native import Read, native_form, parse_labelset
from lazsl.labelset.reading import dump, load_labelset, read_labels, write_labels

__all__ = [
    "CLASSNAMES",
    "FORMATS",
    "KINDS",
    "NAME_TEMPLATE",
    "PENDING",
    "WHOLE",
    "Finding",
    "LabelSet",
    "Read",
    "check",
    "dump",
    "export_labels",
    "import_labels",
    "in_order",
    "load_labelset",
    "look_alikes",
    "native_form",
    "parse_labelset",
    "read_labels",
    "sentence",
    "write_labels",
]
