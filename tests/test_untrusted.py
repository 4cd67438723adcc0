"""What comes from other hands is bounded, explained, and harmless in a spreadsheet."""

from __future__ import annotations

import json
import tracemalloc
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from sharpwave import untrusted
from sharpwave.errors import MissingExtraError, SharpwaveError
from sharpwave.untrusted import explained, make_cells_safe, parse_json, read_json, restore_cell


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (KeyError("card"), "no 'card' in it"),
        (RecursionError("maximum"), "values nested too deep"),
        (MemoryError(), "more than fits into memory"),
        (OverflowError("too large"), "too large"),
        (ZeroDivisionError(), "ZeroDivisionError"),
        (SharpwaveError("a width", got="b", fix="c"), "a part of it that does not fit (expected a width"),
    ],
)
def test_every_error_is_said_in_three_parts(error: Exception, said: str) -> None:
    with pytest.raises(SharpwaveError) as caught, explained("a card", name="config.json", fix="train again"):
        raise error
    assert (caught.value.expected, caught.value.fix) == ("a card", "train again")
    assert caught.value.got.startswith(f"config.json: {said}")
    assert caught.value.__cause__ is error


@pytest.mark.parametrize("error", [SharpwaveError("a", got="config.json", fix="c"), MissingExtraError("x", extra="y")])
def test_errors_that_say_it_already_pass(error: Exception) -> None:
    with pytest.raises(SharpwaveError) as caught, explained("a card", name="config.json", fix="train again"):
        raise error
    assert caught.value is error


def test_an_interrupt_passes() -> None:
    with pytest.raises(KeyboardInterrupt), explained("a card", name="config.json", fix="train again"):
        raise KeyboardInterrupt


def test_json_is_bounded_before_it_is_built(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(untrusted, "MOST_BYTES", 100)
    monkeypatch.setattr(untrusted, "MOST_ITEMS", 10)
    monkeypatch.setattr(untrusted, "MOST_GROUPS", 5)
    for text in ('"' + "x" * 100 + '"', "[" + "1," * 11 + "1]", "[[[[[[]]]]]]", '{"a":{"a":[{"a":[[]]}]}}'):
        (tmp_path / "card.json").write_text(text)
        with pytest.raises(SharpwaveError, match=r"card\.json"):
            read_json(tmp_path / "card.json")
    assert parse_json(b"[" + b"1," * 9 + b"1]") == [1] * 10


def test_half_a_character_is_refused_and_a_whole_one_read() -> None:
    assert parse_json(rb'"\ud83d\ude00"') == "\U0001f600"
    with pytest.raises(ValueError, match="surrogates"):
        parse_json(rb'["\ud83d"]')


UNSAFE = ["=HYPERLINK(1)", "+1+1", "-cmd", "@SUM(A1)", "\t=1", "\r=1", "=", "-"]
SAFE = ["N2", "", "C4-M1", "a=b", "-1.5", "+3", "-1e-9", "-inf", "3,5", "'quoted'", None, np.nan, -2.5, -3, True]


def test_cells_are_safe_and_come_back() -> None:
    table = pd.DataFrame({"=name": UNSAFE, "depth": -np.arange(8.0), "label": ["x"] * 7 + [None]})
    safe = make_cells_safe(table)
    assert list(safe) == ["'=name", "depth", "label"]
    assert safe["'=name"].tolist() == [f"'{text}" for text in UNSAFE]
    assert safe["depth"].tolist() == table["depth"].tolist()
    assert list(table) == ["=name", "depth", "label"]
    assert [restore_cell(text) for text in safe["'=name"]] == UNSAFE


def test_what_is_safe_stays_as_it_is() -> None:
    table = pd.DataFrame({"label": pd.Series(SAFE, dtype=object), "twice": range(len(SAFE))})
    pd.testing.assert_frame_equal(make_cells_safe(table), table)
    twice = pd.DataFrame([["=1", "=2"]], columns=["a", "a"])
    assert make_cells_safe(twice).to_numpy().tolist() == [["'=1", "'=2"]]
    choices = pd.DataFrame({"label": pd.Categorical(["=1", "b"])})
    assert make_cells_safe(choices)["label"].tolist() == ["'=1", "b"]
    assert json.loads(make_cells_safe(pd.DataFrame()).to_json()) == {}


def test_reading_a_small_file_takes_little_memory(tmp_path: Path) -> None:
    path = tmp_path / "card.json"
    path.write_text('{"width": 112}')
    tracemalloc.start()
    assert read_json(path) == {"width": 112}
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4 << 20
