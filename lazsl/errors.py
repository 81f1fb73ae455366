"""What is meant for the person at the keyboard."""


class UserError(Exception):
    """What was asked, what was found, what to do: one sentence, shown without a traceback."""


class DamagedError(UserError):
    """An artifact is there, but is not what was once written."""
