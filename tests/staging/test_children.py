"""Children: a stager that learned from adults stages them only where it is named; norms of adults are not shown."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from sharpwave.evaluation.sleep_statistics import compute_sleep_statistics
from sharpwave.recordings import MODALITIES, Hypnogram, Recording, Signal
from sharpwave.staging import choose_stager, describe_too_young


def _make_recording(rng: np.random.Generator, age: float | None) -> Recording:
    signal = Signal("C4-M1", rng.normal(0, 2e-5, 100 * 60 * 20), 100.0, MODALITIES["eeg"])
    known = {} if age is None else {"age": age}
    return Recording(signals={"C4-M1": signal}, species="human", metadata=known)


@pytest.mark.parametrize(
    ("age", "stager"), [(None, "yasa+brainmu"), (40.0, "yasa+brainmu"), (8.0, "yasa"), (3.0, "hmm"), (0.2, "hmm")]
)
def test_who_learned_from_adults_stages_adults(rng: np.random.Generator, age: float | None, stager: str) -> None:
    chosen, refusals = choose_stager(_make_recording(rng, age), {"eeg": "C4-M1"})
    assert chosen.name == stager
    if age == 8.0:
        assert "yasa+brainmu: the sleeper is 8 years old, and it learned from people of 18 and more" in refusals


def test_who_is_named_stages_at_any_age(rng: np.random.Generator) -> None:
    assert choose_stager(_make_recording(rng, 8.0), {"eeg": "C4-M1"}, name="yasa+brainmu")[0].name == "yasa+brainmu"
    rat = replace(_make_recording(rng, 0.3), species="rat")
    assert describe_too_young("brainmu", rat) is None


def test_adults_spread_and_slopes_are_not_a_childs(rng: np.random.Generator) -> None:
    night = Hypnogram.from_labels(["W"] * 20 + ["N2"] * 400 + ["R"] * 60)
    child, adult = (compute_sleep_statistics(night, rng=rng, age=age, night=1) for age in (8.0, 40.0))
    assert child["scorer_spread"].isna().all()
    assert (child["age_band"] == "").all()
    assert adult["scorer_spread"].notna().any()
    assert (adult["age_band"] != "").any()
