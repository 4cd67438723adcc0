"""Old addresses still work, say the new one, and lead to the very same module."""

from __future__ import annotations

import runpy
import sys
from importlib import import_module

import pytest

from sharpwave import moved


@pytest.mark.parametrize("old", moved.MODULES)
def test_an_old_address_leads_to_the_new_one(old: str, monkeypatch: pytest.MonkeyPatch) -> None:
    new = import_module(f"sharpwave.{moved.MODULES[old]}")
    monkeypatch.delitem(sys.modules, f"sharpwave.{old}", raising=False)
    with pytest.warns(DeprecationWarning, match=f"sharpwave.{old} is now sharpwave.{moved.MODULES[old]}"):
        assert import_module(f"sharpwave.{old}") is new


def test_an_old_name_leads_to_the_new_one() -> None:
    import sharpwave.reports

    with pytest.warns(DeprecationWarning, match=r"reports.DecodedNight is now sharpwave.night.decoded.DecodedNight"):
        night = sharpwave.reports.DecodedNight
    assert night.__name__ == "DecodedNight"
    with pytest.raises(AttributeError, match="Nonsense"):
        sharpwave.reports.Nonsense  # noqa: B018


def test_an_old_address_that_is_run_says_what_to_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "sharpwave.cli", raising=False)
    with pytest.raises(ImportError, match=r"sharpwave\.cli has moved; run `sharpwave`"):
        runpy.run_module("sharpwave.cli", run_name="__main__")


def test_unknown_addresses_stay_unknown() -> None:
    with pytest.raises(ModuleNotFoundError, match=r"sharpwave\.evaluation\.nonsense"):
        import_module("sharpwave.evaluation.nonsense")


def test_an_old_keyword_leads_to_the_new_one() -> None:
    @moved.rename_keywords(courses="nights")
    def count(nights: list[int], *, extra: int = 0) -> int:
        return len(nights) + extra

    assert count([1, 2], extra=1) == count(nights=[1, 2], extra=1) == 3
    with pytest.warns(DeprecationWarning, match="the keyword courses of count is now nights"):
        assert count(courses=[1, 2]) == 2
