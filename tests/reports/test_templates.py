"""Compiled templates lie beside compiled modules: the next process uses them, and no page fails for want of them."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from importlib.util import cache_from_source
from pathlib import Path

import jinja2
import pytest

from sharpwave.reports import templates


@pytest.fixture
def compiled(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Names of the templates that were compiled, in turn."""
    names: list[str] = []
    compile_template = jinja2.Environment.compile

    def count(self: jinja2.Environment, source: str, name: str, filename: str) -> object:
        names.append(name)
        return compile_template(self, source, name, filename)

    monkeypatch.setattr(jinja2.Environment, "compile", count)
    yield names
    templates._environment.cache_clear()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where compiled modules would be written."""
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    monkeypatch.setattr(sys, "pycache_prefix", str(tmp_path))
    folder = Path(cache_from_source(templates.__file__)).parent
    folder.mkdir(parents=True)
    return folder


def load(name: str = "parts.html") -> jinja2.Template:
    """A template as a new process loads it."""
    templates._environment.cache_clear()
    return templates._environment().get_template(name)


def test_the_next_process_compiles_no_template(folder: Path, compiled: list[str]) -> None:
    load()
    again = load()
    assert compiled == ["parts.html"]
    assert again.environment.autoescape is True
    (kept,) = folder.iterdir()
    kept.write_bytes(kept.read_bytes()[:100])  # damaged
    load()
    assert compiled == ["parts.html"] * 2


def test_what_was_compiled_by_other_code_is_not_used(
    folder: Path, compiled: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    load()
    monkeypatch.setattr(jinja2, "__version__", "0.0")
    load()
    assert compiled == ["parts.html"] * 2


def test_pages_are_made_where_nothing_can_be_kept(
    folder: Path, compiled: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    templates._environment.cache_clear()
    environment = templates._environment()
    shutil.rmtree(folder)  # as a disk that is full: it cannot be written
    environment.get_template("parts.html")
    assert load().environment.bytecode_cache is None
    folder.mkdir()
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    load()
    assert compiled == ["parts.html"] * 3
    assert not [*folder.iterdir()]
