"""Sham is sealed, balanced and cannot be guessed; cues come in rounds; a night that disturbs is ended."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import fisher_exact

from sharpwave.errors import SharpwaveError
from sharpwave.live.decision import Outcome
from sharpwave.live.protocol import LimitPart, Protocol, SchedulePart
from sharpwave.live.schedule import BLOCK, choose_cue, draw_condition, judge_night, open_seal, seal_seed


def test_a_seal_fits_its_seed_and_protocol_alone() -> None:
    protocol, seed = Protocol("night"), bytes(range(32))
    seal = seal_seed(seed, protocol)
    assert open_seal(seed, protocol, seal) == seed
    for other, night in ((bytes(32), protocol), (seed, Protocol("night", limits=LimitPart(refractory=7.0)))):
        with pytest.raises(SharpwaveError, match="sealed before the night"):
            open_seal(other, night, seal)
    with pytest.raises(SharpwaveError, match="a seed of 32 bytes"):
        seal_seed(b"short", protocol)


@pytest.mark.parametrize("share", [0.0, 0.25, 0.5, 0.33, 1.0])
def test_the_share_of_sham_is_kept_in_every_block(share: float) -> None:
    schedule = SchedulePart(sham_share=share)
    n_blocks = 40
    kinds = [draw_condition(bytes([7] * 32), schedule, trial) for trial in range(1, n_blocks * BLOCK + 1)]
    counts = [kinds[k * BLOCK : (k + 1) * BLOCK].count("sham") for k in range(n_blocks)]
    assert all(abs(count - share * BLOCK) < 1 for count in counts)
    assert np.mean(counts) == pytest.approx(share * BLOCK, abs=0.3)


def test_what_comes_next_cannot_be_told_from_what_came() -> None:
    schedule = SchedulePart(sham_share=0.5)
    seeds = [n.to_bytes(32, "big") for n in range(300)]
    first = [draw_condition(seed, schedule, 1) == "sham" for seed in seeds]
    assert 0.4 < np.mean(first) < 0.6
    pairs = [(draw_condition(seed, schedule, 5), draw_condition(seed, schedule, 6)) for seed in seeds]
    again = np.mean([a == b for a, b in pairs])
    assert 0.38 < again < 0.57  # 9 of the other 19 trials of a block are like this one


def test_trials_count_from_one() -> None:
    with pytest.raises(SharpwaveError, match="from 1"):
        draw_condition(bytes(32), SchedulePart(), 0)


def test_each_cue_comes_once_a_round_and_not_in_the_same_order() -> None:
    schedule = SchedulePart(cues=tuple("abcdefgh"), order="shuffled", order_seed=3)
    rounds = [[choose_cue(schedule, trial) for trial in range(8 * k + 1, 8 * k + 9)] for k in range(6)]
    assert all(sorted(one) == list("abcdefgh") for one in rounds)
    assert len({tuple(one) for one in rounds}) > 3
    other = [choose_cue(SchedulePart(cues=tuple("abcdefgh"), order="shuffled", order_seed=4), k) for k in range(1, 9)]
    assert other != rounds[0]


def make_outcomes(sound: tuple[int, int], silent: tuple[int, int]) -> tuple[list[Outcome], dict[int, str]]:
    outcomes, kinds = [], {}
    for kind, (disturbed, n) in (("cue", sound), ("sham", silent)):
        for k in range(n):
            trial = len(outcomes) + 1
            outcomes.append(Outcome(trial, float(trial), "arousal" if k < disturbed else "no"))
            kinds[trial] = kind
    return outcomes, kinds


@pytest.mark.parametrize(
    ("sound", "silent"), [((8, 20), (1, 20)), ((3, 30), (3, 30)), ((0, 5), (4, 9)), ((5, 5), (0, 5))]
)
def test_the_chance_is_that_of_fishers_exact_test(sound: tuple[int, int], silent: tuple[int, int]) -> None:
    table = [[sound[0], sound[1] - sound[0]], [silent[0], silent[1] - silent[0]]]
    end, chance = judge_night(*make_outcomes(sound, silent), excess_p=0.01)
    assert chance == pytest.approx(fisher_exact(table, alternative="greater").pvalue)
    assert end == (chance < 0.01)


def test_a_night_that_disturbs_is_ended_and_one_that_does_not_goes_on(rng: np.random.Generator) -> None:
    """Asked after every trial, 200 trials: arousals after 40 % of sounds end the night, 5 % after both seldom do."""
    ended = {0.4: 0, 0.05: 0}
    for p_sound in ended:
        for _ in range(60):
            outcomes: list[Outcome] = []
            kinds: dict[int, str] = {}
            for trial in range(1, 201):
                kinds[trial] = "cue" if rng.random() < 0.5 else "sham"
                stirs = rng.random() < (p_sound if kinds[trial] == "cue" else 0.05)
                outcomes.append(Outcome(trial, float(trial), "arousal" if stirs else "no"))
                if trial % 5 == 0 and judge_night(outcomes, kinds, excess_p=0.01)[0]:
                    ended[p_sound] += 1
                    break
    assert ended[0.4] >= 58
    assert ended[0.05] <= 9


def test_without_sham_or_without_sound_nothing_is_compared() -> None:
    outcomes, kinds = make_outcomes((5, 5), (0, 0))
    assert judge_night(outcomes, kinds, excess_p=0.01) == (False, 1.0)
