"""The run-time check of array types and axes that tests switch on (jaxtyping over beartype).

Only what is annotated with axes is checked; mypy looks after the rest. Constructors check what users give them, and say
so in their own words, so they are left alone. jaxtyping by itself would wrap every function, checked or not, and binds
its arguments at each call: half of the time of the tests.
"""

from __future__ import annotations

from collections.abc import Callable
from types import FunctionType, UnionType
from typing import Any, Union, get_origin

import jaxtyping
from beartype import BeartypeConf, beartype

_PLAIN = (None, Union, UnionType)

_check = beartype(conf=BeartypeConf(is_pep484_tower=True))
_wrap = jaxtyping.jaxtyped


def install() -> None:
    """Check what is imported from the package from now on."""
    jaxtyping.jaxtyped = wrap_where_annotated
    jaxtyping.install_import_hook("sharpwave", f"{__name__}.{typecheck.__name__}")


def wrap_where_annotated(*, typechecker: Callable[..., Any]) -> Callable[[Any], Any]:
    """What jaxtyping's hook puts before each function and class: its own decorator, for functions with arrays alone."""
    wrap = _wrap(typechecker=typechecker)
    return lambda thing: wrap(thing) if isinstance(thing, FunctionType) and _find_arrays(thing) else thing


def typecheck(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function with its annotated arrays checked at each call."""
    if arrays := _find_arrays(function):
        function.__annotations__ = arrays
        return _check(function)
    return function


def _find_arrays(function: Callable[..., Any]) -> dict[str, Any]:
    """The annotations of a function, those alone that are arrays; empty where none is or where it builds an object."""
    if function.__name__ in ("__init__", "__post_init__"):
        return {}
    hints = {name: _resolve(hint, function) for name, hint in function.__annotations__.items()}
    arrays = {name: hint if _is_array(hint) else Any for name, hint in hints.items()}
    return arrays if any(hint is not Any for hint in arrays.values()) else {}


def _resolve(hint: Any, function: Callable[..., Any]) -> Any:
    """What an annotation stands for; Any where it is of a name that is imported for type checkers only."""
    try:
        return eval(hint, function.__globals__) if isinstance(hint, str) else hint
    except (NameError, TypeError):
        return Any


def _is_array(hint: Any) -> bool:
    """An array, or an optional one; several arrays in a list may differ in length, so their axes are not compared."""
    return "jaxtyping" in repr(hint) and get_origin(hint) in _PLAIN
