from __future__ import annotations

import json
import math
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sharpwave.live.decision import Chunk, Condition, Decision, Estimates, Hold, Intend, StageResult
from sharpwave.live.display import Frames
from sharpwave.live.view import NightCard, Trial, bin_samples, compute_view, show_card

CARD = NightCard("sub-01", "tmr", "ab12", "simulate", "null", rate=256.0, channel="Fz", target=-math.pi / 4)
HOLD = Hold(why=())


def view_of(*conditions: Condition, **estimates: float | None) -> dict[str, object]:
    return compute_view(Decision(10.0, conditions, HOLD, Estimates(9.96, **estimates)), mode="armed")  # type: ignore[arg-type]


@dataclass(frozen=True)
class TellingTrial(Trial):
    """A trial that knows more than it may say."""

    condition: str = "sham"
    gain: float = 0.0


def test_no_byte_tells_a_cue_from_its_sham() -> None:
    given = Intend(10.4, 41, "cue-03", 40.0, 10.42)
    shown = []
    for condition, gain in (("cue", 1.0), ("sham", 0.0)):
        decision = Decision(10.0, (), given, Estimates(9.96))
        trials = [TellingTrial(41, 10.4, "delivered", condition, gain)]
        shown.append(json.dumps(compute_view(decision, mode="armed", trials=trials, counts={"delivered": 1})))
    assert shown[0] == shown[1]
    assert not {"sham", "gain", 'condition"', "cue-03"} & {
        word for word in ("sham", "gain", "cue-03") if word in shown[0]
    }


def test_a_view_has_these_fields_and_no_other() -> None:
    view = view_of()
    assert set(view) == {
        *(
            "now",
            "age",
            "mode",
            "ended",
            "why",
            "conditions",
            "stage",
            "phase",
            "amplitude_uv",
            "polarity",
            "spindle",
            "ripple",
        ),
        *("next", "counts", "trials"),
    }
    trial = compute_view(Decision(1.0, (), HOLD, Estimates(1.0)), mode="armed", trials=[TellingTrial(1, 1.0, "failed")])
    assert set(trial["trials"][0]) == {"trial", "onset", "outcome"}


def test_the_last_ten_trials_are_shown_newest_last() -> None:
    trials = [Trial(number, float(number), "delivered") for number in range(1, 14)]
    shown = compute_view(Decision(20.0, (), HOLD, Estimates(20.0)), mode="armed", trials=trials)["trials"]
    assert [one["trial"] for one in shown] == list(range(4, 14))


@pytest.mark.parametrize(
    ("holds", "value", "limit", "sense"),
    [
        (True, 0.04, 0.25, "at most"),
        (False, 0.4, 0.25, "at most"),
        (True, 8.0, 6.0, "at least"),
        (False, 2.0, 6.0, "at least"),
        (True, 6.0, 6.0, ""),
        (False, None, 6.0, ""),
        (False, "unknown", "as declared", "must be"),
    ],
)
def test_a_condition_says_in_which_direction_its_limit_lies(
    holds: bool, value: float | str | None, limit: float | str, sense: str
) -> None:
    (shown,) = view_of(Condition("one", holds, value, limit))["conditions"]  # type: ignore[misc]
    assert shown["sense"] == sense


def test_the_next_cue_waits_for_the_longest_lock_and_names_what_nobody_can_foresee() -> None:
    found = view_of(
        Condition("since last cue", False, 2.0, 6.0, "s"),
        Condition("since waking", False, 50.0, 120.0, "s"),
        Condition("age of stage", False, 12.0, 10.0, "s"),
        Condition("since arousal", False, None, 30.0, "s"),
        Condition("amplitude", True, 1.2, 1.0),
    )["next"]
    assert found == {"wait": 70.0, "missing": ["age of stage", "since arousal"], "over": False}


@pytest.mark.parametrize(("value", "over"), [(4.0, True), (None, False)])
def test_a_night_that_has_ended_itself_says_that_no_cue_comes_any_more(value: float | None, over: bool) -> None:
    assert view_of(Condition("arousals after trials", False, value, 3.0))["next"]["over"] is over  # type: ignore[index]


def test_a_stage_has_its_age_and_is_unknown_where_a_probability_is_no_number() -> None:
    decision = Decision(63.0, (), HOLD, Estimates(63.0))
    known = StageResult(61.0, 60.0, (0.01, 0.01, 0.08, 0.89, 0.01))
    assert compute_view(decision, mode="armed", stage=known)["stage"] | {"probabilities": 0} == {
        "name": "N3",
        "age": 3.0,
        "probabilities": 0,
    }
    broken = StageResult(61.0, 60.0, (math.nan, 0.01, 0.08, 0.89, 0.01))
    assert compute_view(decision, mode="armed", stage=broken)["stage"]["name"] is None


@given(st.floats(), st.floats(), st.floats(), st.booleans())
def test_every_view_is_json_that_browsers_read(value: float, limit: float, phase: float, holds: bool) -> None:
    view = view_of(Condition("one", holds, value, limit, "s"), phase=phase, amplitude=value)
    json.loads(json.dumps(view, allow_nan=False))


@given(st.integers(1, 400), st.integers(0, 2**31), st.sampled_from([32.0, 100.0, 256.0, 1000.0]))
def test_the_shown_signal_keeps_the_extremes_of_every_sample(count: int, seed: int, rate: float) -> None:
    rng = np.random.default_rng(seed)
    samples = rng.normal(0, 5e-5, count).astype(np.float32)
    pieces = bin_samples(np.arange(count) / rate, samples)
    lowest, highest = min(piece[1] for piece in pieces), max(piece[2] for piece in pieces)  # type: ignore[type-var]
    assert lowest == pytest.approx(samples.min() * 1e6, abs=0.01)
    assert highest == pytest.approx(samples.max() * 1e6, abs=0.01)
    times = [piece[0] for piece in pieces]
    assert times == sorted(set(times))  # type: ignore[type-var]


def test_a_sample_that_is_no_number_leaves_a_gap() -> None:
    pieces = bin_samples(np.array([0.0, 0.01, 0.04]), np.array([1e-6, np.nan, 2e-6], np.float32))
    assert pieces == [[0.0156, None, None], [0.0469, 2.0, 2.0]]


def test_frames_of_small_steps_show_what_one_large_step_shows() -> None:
    rng = np.random.default_rng(0)
    samples = rng.normal(0, 5e-5, (2560, 1)).astype(np.float32)

    def gather(size: int, *, every: int) -> list[list[float | None]]:
        frames, shown = Frames(CARD), []
        for number, start in enumerate(range(0, len(samples), size)):
            chunk = Chunk(samples[start : start + size], start, 0.0, 0.0)
            until = (start + len(chunk.samples) - 1) / CARD.rate
            frames.show(Decision(until, (), HOLD, Estimates(until)), chunk, mode="armed")
            if number % every == 0:
                shown += (frames.take() or {"signal": []})["signal"]
        return shown + (frames.take() or {"signal": []})["signal"]

    whole = gather(2560, every=1)
    assert len(whole) == 319
    assert gather(8, every=3) == whole
    assert gather(7, every=1) == whole


def test_frames_count_trials_by_what_became_of_them() -> None:
    frames = Frames(CARD)
    frames.show(Decision(1.0, (), HOLD, Estimates(1.0)), mode="armed")
    for number in range(1, 13):
        frames.note(number, onset=float(number), outcome="intended")
        frames.note(number, onset=number + 0.01, outcome="cancelled" if number == 5 else "delivered")
    view = (frames.take() or {})["view"]
    assert view["counts"] == {"intended": 12, "delivered": 11, "failed": 0, "cancelled": 1}
    assert [one["trial"] for one in view["trials"]] == list(range(3, 13))
    assert [one["outcome"] for one in view["trials"]][2] == "cancelled"
    frames.note(13, onset=13.0, outcome="failed")
    assert (frames.take() or {})["view"]["counts"]["failed"] == 1
    assert frames.take() is None


def test_memory_of_frames_is_bounded_where_nobody_takes_them() -> None:
    frames = Frames(CARD)
    decision = Decision(1.0, (), HOLD, Estimates(1.0))
    for _ in range(20_000):
        frames.show(decision, mode="armed")
    assert len(frames._steps) == 8192


def test_the_card_names_stages_and_the_target_in_degrees() -> None:
    shown = show_card(CARD)
    assert shown["target"] == -45.0
    assert list(shown["stages"]) == ["W", "N1", "N2", "N3", "R"]
    assert show_card(NightCard("a", "b", "c", "d", "e", 100.0, "Fz"))["target"] is None
