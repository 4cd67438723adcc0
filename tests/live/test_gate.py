"""Every condition alone keeps a cue back, before the intent and again before the onset; limits and locks hold."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.live.gate_nights import AWAKE, DEEP, fall_asleep, give, step

from sharpwave.errors import SharpwaveError
from sharpwave.live.conditions import NAMES
from sharpwave.live.decision import Command, Hold, Intend
from sharpwave.live.gate import RECHECK, init_gate, step_gate
from sharpwave.live.protocol import GuardPart, LimitPart, Protocol, SchedulePart, TargetPart

PROTOCOL = Protocol("test")
ASLEEP = fall_asleep(PROTOCOL)

BREAKS: dict[str, dict[str, object]] = {
    "armed": {"commands": (Command("pause", 200.0),)},
    "loop running": {"now": 201.0},
    "age of data": {"until": 199.7},
    "stamps": {"clock": {"fault": "stamps went back", "fault_at": 195.0}},
    "rate": {"clock": {"rate": 250.0}},
    "signal unbroken": {"clock": {"gap_at": 195.0}},
    "contact": {"flat_share": 0.6},
    "saturation": {"saturated_share": 0.03},
    "mains": {"mains_ratio": 1.2},
    "arousal": {"arousal_ratio": 3.1},
    "movement": {"movement_ratio": 4.1},
    "polarity": {"polarity": "inverted"},
    "asleep": {"stage": (0.1, 0.1, 0.3, 0.4, 0.1)},
    "since waking": {"stage": AWAKE},
    "slow wave": {"amplitude": 14e-6},
    "artefact": {"amplitude": 301e-6},
    "slow wave ratio": {"amplitude_ratio": 0.9},
    "target ahead": {"crossing": 200.02},
    "target near": {"crossing": 200.2},
}
UNKNOWN = {
    "age of data": {"until": float("-inf")},
    "rate": {"clock": {"rate": None}},
    "signal unbroken": {"clock": {"gap_at": float("-inf")}},
    "contact": {"flat_share": None},
    "saturation": {"saturated_share": float("nan")},
    "mains": {"mains_ratio": None},
    "arousal": {"arousal_ratio": None},
    "movement": {"movement_ratio": None},
    "polarity": {"polarity": "unknown"},
    "asleep": {"stage": (float("nan"),) * 5},
    "slow wave": {"amplitude": None},
    "artefact": {"amplitude": float("inf")},
    "slow wave ratio": {"amplitude_ratio": float("inf")},
    "target ahead": {"crossing": None},
}


def test_the_good_night_gives_a_cue() -> None:
    decision, state = step(PROTOCOL, ASLEEP, 200.0)
    assert isinstance(decision.action, Intend)
    assert all(one.holds for one in decision.conditions)
    assert tuple(one.name for one in decision.conditions) == NAMES
    assert decision.action == Intend(200.1, 1, "click", 35.0, 200.1 + 0.02)
    early, _ = step(PROTOCOL, state, 200.05, stage=None)
    assert early.release is None
    assert early.pending == decision.action
    assert early.action == Hold(("no trial under way",))
    released, after = step(PROTOCOL, state, 200.1 - RECHECK, stage=None)
    assert released.release == decision.action
    assert after.pending is None
    assert after.trials.given == 1


@pytest.mark.parametrize("broken", [BREAKS, UNKNOWN], ids=["false", "unknown"])
def test_every_condition_alone_keeps_a_cue_back(broken: dict[str, dict[str, object]]) -> None:
    for name, change in broken.items():
        change = dict(change)
        now = change.pop("now", 200.0)
        decision, state = step(PROTOCOL, ASLEEP, now, **change)  # type: ignore[arg-type]
        assert isinstance(decision.action, Hold), name
        assert name in decision.action.why
        assert state.pending is None


@pytest.mark.parametrize("broken", [BREAKS, UNKNOWN], ids=["false", "unknown"])
def test_every_condition_is_checked_again_before_the_onset(broken: dict[str, dict[str, object]]) -> None:
    _, intended = step(PROTOCOL, ASLEEP, 200.0, stage=None)
    assert intended.pending is not None
    for name, change in broken.items():
        if name in {"loop running", "target ahead", "target near"}:
            continue
        change = {"stage": None, **change, **({"until": 199.8} if name == "age of data" else {})}
        decision, state = step(PROTOCOL, intended, 200.08, **change)  # type: ignore[arg-type]
        assert decision.release is None, name
        assert decision.cancelled is not None
        assert decision.cancelled.trial == 1
        assert name in decision.cancelled.why
        assert state.pending is None
        assert state.trials.given == 0


def test_a_step_that_comes_too_late_cancels() -> None:
    _, intended = step(PROTOCOL, ASLEEP, 200.0, stage=None)
    decision, state = step(PROTOCOL, intended, 200.125, stage=None)
    assert decision.cancelled is not None
    assert "target ahead" in decision.cancelled.why
    later, _ = step(PROTOCOL, state, 200.2, stage=None)
    assert isinstance(later.action, Intend)
    assert later.action.trial == 2


def test_locks_after_waking_arousal_and_a_broken_night() -> None:
    for change, name, until in (
        ({"stage": AWAKE}, "since waking", 120.0),
        ({"arousal_ratio": 9.0}, "calm", 30.0),
        ({"movement_ratio": 9.0}, "calm", 30.0),
        ({"stage": (0.1, 0.5, 0.2, 0.1, 0.1)}, "asleep for", 60.0),
    ):
        _, state = step(PROTOCOL, ASLEEP, 200.0, **change)  # type: ignore[arg-type]
        now, first = 200.0, None
        while first is None and now < 400:
            now += 0.25
            decision, state = step(PROTOCOL, state, now, stage=DEEP if now % 5 == 0 else None)
            if isinstance(decision.action, Intend):
                first = now
            else:
                assert name in decision.action.why or now - 200 >= until
        assert first is not None
        assert until <= first - 200 <= until + 6, name


def test_results_of_the_stager_that_make_no_sense_are_unknown_and_old_ones_count_for_nothing() -> None:
    from sharpwave.live.decision import StageResult

    for result in (
        StageResult(100.0, 99.0, DEEP),  # older than the one before
        StageResult(200.5, 200.4, DEEP),  # of the future
        StageResult(199.9, 199.95, DEEP),  # heard more than it could
        StageResult(199.9, -10.0, DEEP),  # of another night
        StageResult(199.9, 199.8, (0.5, 0.5, 0.5, 0.5, 0.5)),
    ):
        decision, _ = step_gate(PROTOCOL, replace(ASLEEP), now=200.0, stages=(result,))
        assert {"age of stage", "asleep", "asleep for"} <= set(decision.action.why), result  # type: ignore[union-attr]
    decision, _ = step(PROTOCOL, ASLEEP, 206.0, stage=None)
    assert "age of stage" in decision.action.why  # type: ignore[union-attr]


def test_refractory_limits_and_the_order_of_operators() -> None:
    protocol = Protocol("few", limits=LimitPart(per_hour=2, per_night=3))
    state, now, onsets = fall_asleep(protocol), 200.0, []
    while now < 4200.0:
        decision, state = step(protocol, state, now, stage=DEEP if now % 5 == 0 else None)
        if decision.pending is not None:
            decision, state = step(protocol, state, decision.pending.onset - RECHECK, stage=None)
            onsets.append(decision.release.onset)  # type: ignore[union-attr]
        now += 0.5 if now < 240 or now > 3700 else 3500.0
    assert [round(one, 1) for one in onsets[:2]] == [200.1, 206.1]
    assert len(onsets) == 3
    assert onsets[2] - onsets[0] >= 3600.0
    decision, state = step(protocol, state, now, commands=(Command("stop", now), Command("arm", now)))
    assert state.operator == "stopped"
    with pytest.raises(SharpwaveError, match="a command among"):
        step(protocol, state, now + 0.25, commands=(Command("go", now),))  # type: ignore[arg-type]


def test_the_level_rises_with_calm_trials_falls_with_an_arousal_and_never_passes_its_aim() -> None:
    protocol = Protocol("ramp", limits=LimitPart(level_db=37.0, level_step_db=1.5))
    state, now, levels = fall_asleep(protocol), 200.0, []
    for _ in range(45):
        decision, state = give(protocol, state, now)
        levels.append(decision.release.level_db)  # type: ignore[union-attr]
        while now % 20 != 0 or now < decision.now + 16:
            now += 0.5
            _, state = step(protocol, state, now, stage=DEEP if now % 5 == 0 else None, crossing=None)
    assert levels[0] == levels[9] == 35.0
    assert levels[10] == 36.5
    assert levels[20] == levels[-1] == 37.0
    decision, state = give(protocol, state, now)
    _, state = step(protocol, state, now + 2.0, arousal_ratio=5.0)
    assert state.trials.level_db == 32.0


@pytest.mark.parametrize(("stirs", "name"), [("arousal", "arousals after trials"), ("waking", "wakings after trials")])
def test_a_night_whose_trials_disturb_ends_itself(stirs: str, name: str) -> None:
    protocol = Protocol("stop", schedule=SchedulePart(arousals_of_ten=1, wakings_most=1))
    state, now, given = fall_asleep(protocol), 200.0, 0
    while now < 1200.0:
        decision, state = step(protocol, state, now, stage=DEEP if now % 5 == 0 else None)
        if decision.pending is not None:
            decision, state = step(protocol, state, decision.pending.onset - RECHECK, stage=None)
            given += 1
            change = {"arousal_ratio": 5.0} if stirs == "arousal" else {"stage": AWAKE}
            now += 2.0
            _, state = step(protocol, state, now, **change)  # type: ignore[arg-type]
        now += 0.5
    assert given == 2
    assert name in decision.action.why  # type: ignore[union-attr]


def test_spindles_and_ripples_where_the_protocol_says_so() -> None:
    for wanted, seen, cued in (("absent", True, False), ("absent", None, False), ("present", True, True)):
        protocol = Protocol("spindle", target=TargetPart(spindle=wanted, ripple=wanted))
        decision, _ = step(protocol, fall_asleep(protocol), 200.0, spindle=seen, ripple=seen)
        assert isinstance(decision.action, Intend) == cued


def test_the_night_begins_and_ends() -> None:
    late = Protocol("late", limits=LimitPart(first_after=300.0))
    decision, _ = step(late, fall_asleep(late), 200.0)
    assert decision.action == Hold(("night begun",))
    short = Protocol("short", limits=LimitPart(hours=0.05))
    decision, _ = step(short, fall_asleep(short), 200.0)
    assert decision.action == Hold(("night not over",))


def test_a_clock_that_goes_back_or_stands_still_holds_until_it_settled() -> None:
    strict = Protocol("strict", guard=GuardPart(age_most=0.25))
    _, state = step(strict, fall_asleep(strict), 100.0)
    for now in (100.25, 150.0, 199.9, 205.0):
        decision, _ = step(strict, state, now, stage=None)
        assert "loop running" in decision.action.why  # type: ignore[union-attr]
    with pytest.raises(SharpwaveError, match="now in seconds"):
        step_gate(PROTOCOL, init_gate(PROTOCOL, start=0.0), now=float("nan"))


def test_a_step_changes_no_state_that_was_handed_in() -> None:
    before = repr(ASLEEP)
    first, _ = step(PROTOCOL, ASLEEP, 200.0)
    again, _ = step(PROTOCOL, ASLEEP, 200.0)
    assert repr(ASLEEP) == before
    assert first == again
