from __future__ import annotations

import numpy as np
import pytest
from tests.brainmu.training_nights import make_night

from sharpwave.brainmu.training.pieces import Mixture, Nights
from sharpwave.errors import SharpwaveError


def test_a_piece_is_the_same_steps_of_its_night(rng: np.random.Generator) -> None:
    night = make_night(0)
    piece = Nights([night]).draw(rng, 17)
    first = round((piece.grid.start - night.grid.start) / night.grid.step)
    assert len(piece) == 17
    np.testing.assert_array_equal(
        piece.windows["heart_rate"].values, night.windows["heart_rate"].values[first : first + 17]
    )
    np.testing.assert_array_equal(piece.stages, night.stages[first : first + 17])


def test_every_place_is_as_likely(rng: np.random.Generator) -> None:
    short, long = make_night(0, n_steps=20), make_night(1, n_steps=29)
    source = Nights([short, long])
    starts = [(piece.subject, piece.grid.start / 30) for piece in (source.draw(rng, 20) for _ in range(2200))]
    counts = np.array([starts.count(("s0", 0))] + [starts.count(("s1", place)) for place in range(10)])
    assert counts.sum() == 2200
    assert (np.abs(counts - 200) < 4 * np.sqrt(200)).all()


def test_a_night_shorter_than_a_piece_is_given_whole(rng: np.random.Generator) -> None:
    assert len(Nights([make_night(0, n_steps=9)]).draw(rng, 50)) == 9


def test_the_same_seed_draws_the_same() -> None:
    source = Nights([make_night(0), make_night(1)])
    one, other = (source.draw(np.random.default_rng(5), 10) for _ in range(2))
    assert (one.subject, one.grid) == (other.subject, other.grid)


def test_a_mixture_draws_in_proportion_to_the_weights(rng: np.random.Generator) -> None:
    mixture = Mixture([(Nights([make_night(seed)]), weight) for seed, weight in enumerate((1, 2, 5))])
    drawn = [mixture.draw(rng, 5).subject for _ in range(1600)]
    counts = np.array([drawn.count(f"s{seed}") for seed in range(3)])
    assert np.abs(counts / 200 - [1, 2, 5]).max() < 0.4


def test_a_source_of_nothing_is_refused() -> None:
    with pytest.raises(SharpwaveError, match=r"at least one night to learn from; got none"):
        Nights([])


@pytest.mark.parametrize("weights", [(), (1.0, 0.0), (1.0, -1.0), (1.0, float("nan"))])
def test_a_mixture_wants_positive_weights(weights: tuple[float, ...]) -> None:
    with pytest.raises(SharpwaveError, match="one positive weight per source"):
        Mixture([(Nights([make_night(0)]), weight) for weight in weights])
