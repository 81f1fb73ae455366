"""lazsl labels image archives without training or annotation, and keeps the evidence."""

__version__ = "0.1.0"
