"""Whatever a library raises on a bad file becomes one readable error that names the file."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sharpwave.errors import MissingExtraError, SharpwaveError


@contextmanager
def guarded(path: str | Path, kind: str) -> Iterator[list[warnings.WarningMessage]]:
    """Turn any library error while reading `path` into a `SharpwaveError`; its cause is kept.

    Args:
        path: The file, for the message.
        kind: What it should be ("an EDF file").

    Yields:
        The warnings raised inside, so that a reader can declare them as repairs.

    Raises:
        MissingExtraError: If a library that reads the format is not installed.
        SharpwaveError: If the file is missing or cannot be read.
    """
    path = Path(path)
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            yield caught
    except SharpwaveError:
        raise
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package in ("", "sharpwave"):
            raise
        raise MissingExtraError(package, extra="brain") from error
    except FileNotFoundError as error:
        missing = Path(error.filename).name if error.filename else path.name
        raise SharpwaveError(
            f"{kind} at {path}",
            got=f"no file {missing}",
            fix="check the path, and that files that belong together lie together",
        ) from error
    except PermissionError as error:
        raise SharpwaveError(
            f"{kind} that may be read", got=f"no permission for {path.name}", fix="check its permissions"
        ) from error
    except (Exception, MemoryError) as error:
        reason = " ".join(str(error).split())[:200] or "no further message"
        raise SharpwaveError(
            f"{kind} in {path.name}",
            got=f"one that cannot be read ({type(error).__name__}: {reason})",
            fix="check that the file is complete and of the format its name says, or export it again",
        ) from error


def check_file(path: str | Path, kind: str) -> Path:
    """The path, if it is a file with something in it.

    Raises:
        SharpwaveError: If it does not exist, is a folder, or is empty.
    """
    path = Path(path)
    if not path.exists():
        raise SharpwaveError(f"{kind} at {path}", got="no such file", fix="check the path")
    if path.is_dir():
        raise SharpwaveError(f"{kind} at {path}", got="a folder", fix="name a file in it")
    if path.stat().st_size == 0:
        raise SharpwaveError(f"{kind} in {path.name}", got="an empty file", fix="copy or export it again")
    return path
