"""The one exception that is meant for the person at the keyboard."""


class UserError(Exception):
    """What was asked, what was found, what to do: one sentence, shown without a traceback."""
