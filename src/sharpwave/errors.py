"""The one error users see: what was expected, what was found, and how to fix it."""

from __future__ import annotations


class SharpwaveError(ValueError):
    """Input that sharpwave cannot use, said in three parts.

    Args:
        expected: What the code needs, in the user's words and units.
        got: What it found instead.
        fix: What the user can do about it.

    >>> SharpwaveError("samples in volts", got="microvolts", fix="divide them by a million")
    SharpwaveError('expected samples in volts; got microvolts. Fix: divide them by a million')
    """

    def __init__(self, expected: str, *, got: str, fix: str) -> None:
        super().__init__(f"expected {expected}; got {got}. Fix: {fix}")
        self.expected = expected
        self.got = got
        self.fix = fix


class MissingExtraError(SharpwaveError, ImportError):
    """An optional library is not installed; the message names the extra that brings it."""

    def __init__(self, package: str, *, extra: str) -> None:
        super().__init__(
            f"the package {package!r}",
            got="it is not installed",
            fix=f"pip install 'sharpwave[{extra}]'",
        )
