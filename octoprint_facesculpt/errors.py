"""The one exception family of the library rooms: every refusal has a code, a message and a hint."""

from __future__ import annotations


class FaceSculptError(Exception):
    """An error meant for the user.

    Each room derives its own class from this one (``PortraitError``, ``SlicingError`` ...).

    Parameters
    ----------
    code : str
        Stable, lower-case identifier such as ``no_face``; tools and translations rely on it.
    message : str
        One sentence for people: what is wrong.
    hint : str
        One sentence for people: what to do next. May be empty.
    """

    #: True when the input is to blame (exit code 2), False when the machine or the program is (exit code 1).
    bad_input = True

    def __init__(self, code: str, message: str, hint: str = "") -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.hint = hint


class Cancelled(FaceSculptError):
    """The user asked a running stage to stop."""

    bad_input = False

    def __init__(self, message: str = "The job was cancelled.") -> None:
        super().__init__("cancelled", message)
