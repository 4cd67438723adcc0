"""Sleep cycles and transitions: by hand, at the edges of the definition, and through gaps."""

from __future__ import annotations

import numpy as np
import pytest

from sharpwave.errors import SharpwaveError
from sharpwave.evaluation.sleep_cycles import count_transitions, find_sleep_cycles, number_cycles
from sharpwave.recordings import Hypnogram


def stages(*runs: tuple[str, float]) -> Hypnogram:
    """Runs of a stage and its minutes, in epochs of 30 s."""
    return Hypnogram.from_labels([name for name, minutes in runs for _ in range(round(2 * minutes))])


def lengths(hypnogram: Hypnogram, *, complete: bool = True) -> list[float]:
    table = find_sleep_cycles(hypnogram)
    return table.loc[table["complete"] == complete, "length"].tolist()


def test_cycles_by_hand() -> None:
    night = stages(("W", 10), ("N1", 2), ("N2", 50), ("N3", 20), ("R", 8), ("W", 3), ("N2", 70), ("R", 20), ("N2", 30))
    table = find_sleep_cycles(night)
    assert table["length"].tolist() == [80.0, 90.0, 30.0]
    assert table["onset"].tolist() == [600.0, 600 + 83 * 60, 600 + 173 * 60]
    assert table["nrem"].tolist() == [72.0, 70.0, 30.0]
    assert table["deep"].tolist() == [20.0, 0.0, 0.0]
    assert table["complete"].tolist() == [True, True, False]
    assert table["cycle"].tolist() == [1, 2, 3]


def test_a_cycle_counts_what_is_in_it() -> None:
    (cycle,) = find_sleep_cycles(stages(("N2", 30), ("W", 4), ("?", 6), ("N3", 20), ("R", 8))).to_dict("records")
    assert [cycle[name] for name in ("length", "nrem", "rem", "wake", "deep", "unscored")] == [68, 50, 8, 4, 20, 6]


def test_a_short_rem_period_ends_no_cycle_not_even_the_first_one() -> None:
    night = stages(("N2", 60), ("R", 1), ("N2", 60), ("R", 4.5), ("N2", 60), ("R", 5))
    assert lengths(night) == [190.5]


def test_an_hour_awake_makes_no_period() -> None:
    """Minutes of the sleep itself count: neither one false epoch of REM nor a long time awake makes a cycle."""
    awake = stages(("N1", 2), ("W", 60), ("N2", 4), ("R", 6), ("N2", 60), ("R", 10))
    assert lengths(awake) == [70.0]
    broken = stages(("N2", 60), ("R", 1), ("W", 30), ("R", 1), ("N2", 60), ("R", 10))
    assert lengths(broken) == [162.0]


def test_rem_broken_for_less_than_a_nrem_period_is_one_period() -> None:
    joined = stages(("N2", 60), ("R", 10), ("N2", 14.5), ("W", 20), ("R", 10))
    parted = stages(("N2", 60), ("R", 10), ("N2", 15), ("R", 10))
    awake = stages(("N2", 60), ("R", 10), ("W", 40), ("R", 10))  # wake alone is no NREM period
    assert lengths(joined) == [114.5]
    assert lengths(parted) == [70.0, 25.0]
    assert lengths(awake) == [120.0]


def test_rem_at_sleep_onset_ends_no_cycle() -> None:
    assert lengths(stages(("W", 5), ("R", 10), ("N2", 60), ("R", 10))) == [70.0]
    assert lengths(stages(("N2", 14.5), ("R", 10), ("N2", 60), ("R", 10))) == [70.0]


def test_nights_without_cycles() -> None:
    assert not len(find_sleep_cycles(stages(("W", 30))))
    assert not len(find_sleep_cycles(stages(("N2", 10))))
    assert lengths(stages(("N2", 40), ("W", 20)), complete=False) == [40.0]
    assert not len(find_sleep_cycles(Hypnogram(np.zeros(0, dtype=int))))
    with pytest.raises(SharpwaveError, match="part NREM and REM"):
        find_sleep_cycles(Hypnogram(np.array([0, 1]), n_stages=2))


def test_cycles_do_not_depend_on_the_length_of_epochs() -> None:
    night = stages(("W", 10), ("N2", 50), ("N3", 20), ("R", 8), ("N2", 70), ("R", 20))
    fine = Hypnogram(np.repeat(night.stages, 6), 5.0)
    assert lengths(fine) == lengths(night)
    coarse = night.merge(3)
    assert lengths(coarse) == lengths(night)
    assert np.isnan(find_sleep_cycles(coarse)["deep"]).all()


def test_each_epoch_knows_its_cycle() -> None:
    night = stages(("W", 5), ("N2", 60), ("R", 10), ("W", 5), ("N2", 60), ("R", 10))
    counts = np.bincount(number_cycles(night, find_sleep_cycles(night)))
    assert counts.tolist() == [20, 140, 140]


def test_transitions_are_shares_and_leave_gaps_out() -> None:
    table = count_transitions(Hypnogram(np.array([0, 0, 1, -1, 2, 2, 4, 0])))
    counts = table.set_index(["stage", "next_stage"])["count"]
    assert int(counts.sum()) == 5
    assert counts[("N1", "N2")] == 0, "what lies on both sides of a gap is no transition"
    shares = table.set_index(["stage", "next_stage"])["share"]
    assert shares[("N2", "R")] == 0.5
    assert shares.loc["N3"].isna().all()
    assert shares.groupby("stage").sum().drop(["N1", "N3"]).eq(1.0).all()
