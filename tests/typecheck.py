"""The run-time check of array types and axes that tests switch on (jaxtyping over beartype).

Only what is annotated with axes is checked; mypy looks after the rest. Constructors check what users give them, and say
so in their own words, so they are left alone.
"""

from __future__ import annotations

from collections.abc import Callable
from types import UnionType
from typing import Any, Union, get_origin, get_type_hints

from beartype import BeartypeConf, beartype

_PLAIN = (None, Union, UnionType)

_check = beartype(conf=BeartypeConf(is_pep484_tower=True))


def typecheck(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function with its annotated arrays checked at each call."""
    if function.__name__ in ("__init__", "__post_init__"):
        return function
    try:
        hints = get_type_hints(function, include_extras=True)
    except (NameError, TypeError):  # names that are imported for type checkers only
        return function
    arrays = {name: hint if _is_array(hint) else Any for name, hint in hints.items()}
    if all(hint is Any for hint in arrays.values()):
        return function
    function.__annotations__ = arrays
    return _check(function)


def _is_array(hint: Any) -> bool:
    """An array, or an optional one; several arrays in a list may differ in length, so their axes are not compared."""
    return "jaxtyping" in repr(hint) and get_origin(hint) in _PLAIN
