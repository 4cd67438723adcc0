"""Fill the page templates. Every value is escaped, and a policy in the page forbids the browser any network."""

from __future__ import annotations

import base64
import hashlib
import os
import re
import sys
from contextlib import suppress
from functools import cache
from importlib.resources import files
from importlib.util import cache_from_source
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from markupsafe import Markup

if TYPE_CHECKING:
    from jinja2 import BytecodeCache, Environment
    from jinja2.bccache import Bucket


@cache
def _environment() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    return Environment(
        loader=PackageLoader("sharpwave.reports", "pages"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        bytecode_cache=_find_compiled(),
    )


def _find_compiled() -> BytecodeCache | None:
    """Compiled templates beside Python's own compiled modules, under the same rules: compiling takes a quarter second.

    They are used again while the template, this file, Jinja and Python are the same. None where nothing is to be
    written, or this package lies where it cannot be.
    """
    import jinja2

    class Compiled(jinja2.FileSystemBytecodeCache):
        def dump_bytecode(self, bucket: Bucket) -> None:
            with suppress(OSError):  # a full disk costs time here, and no page
                super().dump_bytecode(bucket)

    folder = Path(cache_from_source(__file__)).parent
    if sys.dont_write_bytecode or not os.access(folder, os.W_OK):
        return None
    made_by = hashlib.sha256(jinja2.__version__.encode() + Path(__file__).read_bytes()).hexdigest()[:16]
    return Compiled(str(folder), f"{made_by}-%s.jinja")


@cache
def _read_asset(name: str) -> str:
    return (files("sharpwave.reports") / "pages" / name).read_text(encoding="utf-8")


def render_macro(template: str, name: str, *values: Any) -> Markup:
    """What the macro `name` of a template makes of the values; they are escaped."""
    module = _environment().get_template(template).module
    return Markup(getattr(module, name)(*values))


class Heading(NamedTuple):
    """A section as the list of contents names it: its anchor in the page, and its short name."""

    anchor: str
    short: str


_UNITS = "%|min|h|s|ms|Hz|kHz|dB|µV|kB|MB|m|cm|d|nights?|epochs?|events?|cells?|steps?|seeds?|units?"
_BEFORE_UNIT = re.compile(rf"(?<=\d) (?=(?:{_UNITS})(?![\w]))")
_AROUND_SIGN = re.compile(r"(?<=[\wκρ]) ([=≤<>±]|&lt;|&gt;) (?=[\d−.])")
_PARTS = re.compile(r"(<(script|style)\b.*?</\2>|<[^>]*>)", re.DOTALL)


def bind_numbers(page: str) -> str:
    """The page with each number and its unit on one line: a space that does not break between them.

    Only what is read changes: no tag, attribute, style or script.

    >>> bind_numbers('<p title="9 %">12 % of 8 h, p = 0.02</p>')
    '<p title="9 %">12\\xa0% of 8\\xa0h, p\\xa0=\\xa00.02</p>'
    """
    found = []
    place = 0
    for tag in _PARTS.finditer(page):
        found += [_bind(page[place : tag.start()]), tag[0]]
        place = tag.end()
    return "".join([*found, _bind(page[place:])])


def _bind(words: str) -> str:
    return _AROUND_SIGN.sub("\xa0\\1\xa0", _BEFORE_UNIT.sub("\xa0", words)) if " " in words else words


def _hash(text: str) -> str:
    return "'sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() + "'"


def render(template: str, **values: Any) -> str:
    """The page made from `template` in the folder `pages`, with its style, script and content policy.

    The policy lets the browser use this style, this script and pictures inside the page, and nothing else.
    """
    style, script = _read_asset("page.css"), _read_asset("page.js")
    policy = (
        f"default-src 'none'; style-src {_hash(style)}; script-src {_hash(script)}; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )
    page = _environment().get_template(template)
    return bind_numbers(page.render(style=Markup(style), script=Markup(script), policy=Markup(policy), **values))
