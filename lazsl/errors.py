"""What is meant for the person at the keyboard."""

from lazsl.secret_names import hidden


class UserError(Exception):
    """What was asked, what was found, what to do: one sentence, shown without a traceback.

    Secrets in it are replaced by `***` here, so that it can be shown wherever it ends up: on a
    terminal, as the state of a flow, in a log, in a notebook.
    """

    def __init__(self, sentence: object = "") -> None:
        super().__init__(hidden(str(sentence)))


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
