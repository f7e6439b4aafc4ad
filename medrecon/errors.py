"""The errors that a user can mend: a command shows their text as one line and exits with status 2."""

__all__ = ["ChangedError", "InputError"]


class InputError(ValueError):
    """Something the user gave (a file, an option, a data set) cannot be used; the text says what, where and the remedy."""


class ChangedError(InputError):
    """A file was replaced, or written to, while a run read it: nothing else of it can be believed either."""
