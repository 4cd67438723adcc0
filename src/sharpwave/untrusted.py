"""What comes from other hands: bounded when it is read, explained when it is broken, harmless when it is passed on.

Every format of our own (archives, weights and their cards, states, stores) is read inside `explained`, its JSON by
`parse_json`; every table that a spreadsheet may open passes through `make_cells_safe`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sharpwave.disk import read_start
from sharpwave.errors import MissingExtraError, SharpwaveError

if TYPE_CHECKING:
    import pandas as pd

MOST_BYTES = 128 * 2**20
"""Bytes of JSON that are taken: the archive of a week has about 15 million."""
MOST_ITEMS = 10**7
"""Values in it; each takes up to 60 bytes of memory."""
MOST_GROUPS = 10**6
"""Lists and mappings in it."""

_FORMULA = re.compile(r"[=+\-@\t\r\n]")
_NUMBER = re.compile(r"[+-]?(\d+([.,]\d*)?|[.,]\d+)([eE][+-]?\d+)?\Z|[+-](inf|nan)\Z", re.IGNORECASE)


@contextmanager
def explained(expected: str, *, name: str, fix: str) -> Iterator[None]:
    """Turn whatever goes wrong inside, too deep a nesting and too little memory included, into one `SharpwaveError`.

    Args:
        expected: What was to be read, in the user's words.
        name: The file or folder; an error inside that names it already passes as it is.
        fix: What the user can do about it.

    Raises:
        SharpwaveError: If anything goes wrong inside; its cause is kept.

    Example:
        >>> with explained("a card", name="config.json", fix="train again"):
        ...     json.loads("[" * 100_000)
        Traceback (most recent call last):
        sharpwave.errors.SharpwaveError: expected a card; got config.json: values nested too deep. Fix: train again
    """
    try:
        yield
    except MissingExtraError:
        raise
    except (Exception, MemoryError) as error:
        if isinstance(error, SharpwaveError) and name in str(error):
            raise
        place = "" if name in expected else f"{name}: "
        raise SharpwaveError(expected, got=f"{place}{_describe(error)}", fix=fix) from error


def _describe(error: BaseException) -> str:
    if isinstance(error, RecursionError):
        return "values nested too deep"
    if isinstance(error, MemoryError):
        return "more than fits into memory"
    said = " ".join(str(error).split())[:200]
    if isinstance(error, SharpwaveError):
        return f"a part of it that does not fit ({said})"
    if isinstance(error, KeyError):
        return f"no {said} in it"
    return said or type(error).__name__


def parse_json(raw: bytes, *, name: str = "JSON") -> Any:
    """JSON of bounded size: looked at before anything of it is built.

    Args:
        raw: The bytes, UTF-8.
        name: The file, for messages.

    Raises:
        SharpwaveError: If it is larger than anything that we write, or holds text that is no Unicode.
        ValueError: If it is no JSON.

    Example:
        >>> parse_json(b'{"width": 112}')
        {'width': 112}
    """
    if len(raw) > MOST_BYTES or raw.count(b",") > MOST_ITEMS or raw.count(b"[") + raw.count(b"{") > MOST_GROUPS:
        raise SharpwaveError(
            f"JSON of at most {MOST_BYTES} bytes and {MOST_ITEMS} values in {name}",
            got=f"{len(raw)} bytes",
            fix="it is none that sharpwave wrote: copy or make it again",
        )
    value = json.loads(raw.decode("utf-8"))
    if re.search(rb"\\u[dD][89a-fA-F]", raw):  # half a character: it could not be written to any page
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    return value


def read_json(path: Path) -> Any:
    """JSON of a file of our own, its size looked at first.

    Raises:
        SharpwaveError: If it is larger than anything that we write.
        OSError: If it cannot be opened.
        ValueError: If it is no JSON.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     path = Path(folder, "card.json")
        ...     _ = path.write_text('{"width": 112}')
        ...     read_json(path)
        {'width': 112}
    """
    with path.open("rb") as file:
        return parse_json(read_start(file, MOST_BYTES + 1), name=path.name)


def make_cells_safe(table: pd.DataFrame) -> pd.DataFrame:
    """A table whose texts no spreadsheet takes for a formula: `'` goes before `=`, `+`, `-`, `@`, tab and line end.

    Numbers stay numbers, and so do texts that are numbers; the names of columns are texts as well. `restore_cell`
    takes the mark off again.

    Args:
        table: Any table that is to be written as TSV or CSV; it is not changed.

    Example:
        >>> import pandas as pd
        >>> make_cells_safe(pd.DataFrame({"label": ["=1+2", "N2"], "depth": [-1.5, 2.0]})).to_dict("list")
        {'label': ["'=1+2", 'N2'], 'depth': [-1.5, 2.0]}
    """
    safe = table.rename(columns=_make_safe)
    for index in range(safe.shape[1]):
        values = safe.iloc[:, index].tolist() if safe.dtypes.iloc[index].kind not in "biufcmM" else []
        changed = [_make_safe(value) for value in values]
        if changed != values:
            safe.isetitem(index, changed)
    return safe


def _make_safe(value: Any) -> Any:
    unsafe = isinstance(value, str) and _FORMULA.match(value) and not _NUMBER.match(value)
    return f"'{value}" if unsafe else value


def restore_cell(text: str) -> str:
    """The text of a cell as it was before `make_cells_safe`.

    Example:
        >>> restore_cell("'=1+2"), restore_cell("'quoted'")
        ('=1+2', "'quoted'")
    """
    return text[1:] if text[:1] == "'" and _FORMULA.match(text[1:2]) else text
