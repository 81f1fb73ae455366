"""What is meant for the person at the keyboard."""


class UserError(Exception):
    """What was asked, what was found, what to do: one sentence, shown without a traceback."""


class DamagedError(UserError):
    """An artifact is there, but is not what was once written.

    `name` is that of the artifact in its workspace, `why` what is wrong with it.
    """

    def __init__(self, sentence: str, name: str = "", why: str = "") -> None:
        super().__init__(sentence)
        self.name = name
        self.why = why


def in_one_line(error: BaseException) -> str:
    """What an error says, without line breaks; its kind where it says nothing."""
    return " ".join(str(error).split()) or type(error).__name__
