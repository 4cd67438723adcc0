"""Short words for large things: what `repr` says of a recording, a night or a table.

Nouns of the package hold arrays and tables; printed in full they fill the screen. Each class that holds them takes
`short_repr` for its `__repr__`, which says the type and size of what is large and prints only what is small.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

LONGEST = 60
"""Letters of one value that are printed."""
FEW = 3
"""Items of a list that are printed."""


def short_repr(thing: Any) -> str:
    """The `repr` of a dataclass with its arrays, tables and long lists by their size; empty fields are left out.

    Args:
        thing: Instance of a dataclass.

    >>> from dataclasses import dataclass
    >>> @dataclass
    ... class Box:
    ...     name: str
    ...     numbers: list
    ...     note: str = ""
    ...     __repr__ = short_repr
    >>> Box("a", [1] * 1000)
    Box(name='a', numbers=<1000 items>)
    """
    shown = []
    for item in fields(thing):
        value = getattr(thing, item.name)
        if item.repr and not _is_empty(value):
            shown.append(f"{item.name}={describe(value)}")
    return f"{type(thing).__name__}({', '.join(shown)})"


def describe(value: Any) -> str:
    """One value in at most `LONGEST` letters: its size where it is large.

    Args:
        value: Anything.

    >>> import numpy as np
    >>> describe(np.zeros((3, 4))), describe({"a": 1, "b": 2}), describe("x" * 100)[:8]
    ('<array (3, 4) float64>', "{'a': 1, 'b': 2}", "'xxxxxxx")
    """
    shape = getattr(value, "shape", None)
    if isinstance(shape, tuple) and shape:
        if hasattr(value, "columns"):
            return f"<table {shape[0]} × {shape[1] if len(shape) > 1 else 1}>"
        return f"<array {shape} {getattr(value, 'dtype', '')}>".replace(" >", ">")
    if isinstance(value, Mapping | list | tuple | set | frozenset) and len(value) > FEW:
        return f"<{len(value)} items>"
    text = f"<{type(value).__name__}>" if isinstance(value, Mapping) and _is_large(value) else repr(value)
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 2]} …"


def _is_large(value: Mapping[Any, Any]) -> bool:
    return any(getattr(item, "shape", None) or hasattr(item, "__dataclass_fields__") for item in value.values())


def _is_empty(value: Any) -> bool:
    if value is None:
        return True
    size = getattr(value, "__len__", None)
    return size is not None and not isinstance(value, type) and size() == 0
