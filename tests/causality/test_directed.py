from __future__ import annotations

import importlib.util

import pytest

from sharpwave.causality import NightCourse
from sharpwave.causality.directed import compute_granger, compute_pcmci
from sharpwave.errors import SharpwaveError


def test_granger_finds_the_planted_direction(planted_nights: list[NightCourse]) -> None:
    table = compute_granger(planted_nights, content="rewarding").set_index("direction")
    assert table["low"]["forward"] > 0
    assert table["p"]["reverse"] > 0.01


def test_granger_finds_nothing_where_nothing_is(null_nights: list[NightCourse]) -> None:
    assert (compute_granger(null_nights, content="rewarding")["p"] > 0.01).all()


@pytest.mark.skipif(importlib.util.find_spec("tigramite") is not None, reason="tigramite is installed")
def test_tigramite_is_named_where_it_lacks(null_nights: list[NightCourse]) -> None:
    with pytest.raises(SharpwaveError, match="pip install tigramite, if its licence"):
        compute_pcmci(null_nights)
