"""Attributes for classes that have none, written by a language model and read by a person."""
