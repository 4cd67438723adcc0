"""Evidence of a session: what is not calibrated alone is paired, and what the resolution of p forbids is said."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from tests.reactivation.toy_track import draw_events, make_fields

from sharpwave.reactivation.evidence import Evidence, control_epochs, describe_resolution, tabulate_tests, weigh_events
from sharpwave.reactivation.order import OrderScores
from sharpwave.reactivation.significance import compute_p_values


def make_evidence(
    rng: np.random.Generator, *, n_events: int, n_surrogates: int, n_further: int, n_top: int
) -> Evidence:
    """Events at chance, the first `n_top` of them above all of their surrogates and drawn further."""
    surrogates = rng.standard_normal((n_surrogates, n_events))
    observed = np.where(np.arange(n_events) < n_top, 9.0, -9.0)
    n_draws = np.where(observed > 0, n_surrogates + n_further, n_surrogates)
    raw = np.zeros((n_events, 2))
    return Evidence(
        OrderScores(observed, surrogates, np.zeros(n_events, int), n_draws, raw, "correlation", "cell-identity")
    )


@pytest.mark.parametrize("surrogate", ["time-bin", "poisson", "place-field"])
def test_what_is_not_calibrated_alone_is_paired(surrogate: str, rng: np.random.Generator) -> None:
    fields = make_fields(rng)
    spikes, events = draw_events(rng, fields, 30, replay=True)
    found = weigh_events(spikes, events, fields, statistic="correlation", surrogate=surrogate, n_surrogates=99, rng=rng)
    assert found.paired is not None
    alone = found.paired.p
    if surrogate != "place-field":
        np.testing.assert_array_equal(alone, compute_p_values(found.paired.observed, found.paired.surrogates))
    np.testing.assert_array_equal(found.p, np.maximum(alone, found.order.p))
    assert (found.n_draws <= found.order.n_draws).all()
    assert (found.p <= 0.05).mean() > 0.4
    everything = np.ones(30, bool)
    assert found.assess(everything).p >= Evidence(found.order).assess(everything).p
    epoch = pd.Series(["after"] * 30)
    assert any("not offered alone" in line for line in describe_resolution(epoch, found))
    assert found.surrogate == f"{surrogate} and cell-identity"


def test_what_the_resolution_forbids_is_said(rng: np.random.Generator) -> None:
    """300 events, p never below 1/101: three would have to be that low, two are."""
    epoch = pd.Series(["after"] * 300)
    few = make_evidence(rng, n_events=300, n_surrogates=100, n_further=0, n_top=2)
    lines = describe_resolution(epoch, few)
    assert "never below 0.0099" in lines[0]
    assert "of its 300 events 60 would have to reach the smallest p, 0.0099" in lines[1]
    assert "2 do" in lines[1]
    assert "--n-surrogates 1000" in lines[1]
    assert not (control_epochs(few.p, epoch) <= 0.05).any()
    enough = make_evidence(rng, n_events=300, n_surrogates=100, n_further=6000, n_top=2)
    assert (control_epochs(enough.p, epoch) <= 0.05).sum() == 2
    assert len(describe_resolution(epoch, enough)) == 1
    assert "2 most promising events were drawn further, to 6,100" in describe_resolution(epoch, enough)[0]


def test_epochs_are_tested_apart(rng: np.random.Generator) -> None:
    found = make_evidence(rng, n_events=60, n_surrogates=199, n_further=0, n_top=20)
    epoch = pd.Series(["after"] * 30 + ["before"] * 25 + ["during"] * 5)
    q = control_epochs(found.p, epoch)
    tests = tabulate_tests(epoch, q <= 0.05, found).set_index("epoch")
    assert tests.index.tolist() == ["before", "after", "after less before"]
    assert tests.loc["after", "n_significant"] == 20
    assert tests.loc["before", "n_significant"] == 0
    assert tests.loc["after", "p"] == pytest.approx(1 / 200)
    assert tests.loc["after less before", "p"] == pytest.approx(1 / 200)
    assert tests.loc["before", "p"] > 0.5


def test_epochs_too_small_to_be_tested_are_said(rng: np.random.Generator) -> None:
    found = make_evidence(rng, n_events=39, n_surrogates=100, n_further=0, n_top=1)
    lines = describe_resolution(pd.Series(["after"] * 9 + ["before"] * 30), found)
    assert "The epoch 'after' is not tested as a whole: 9 events, and 10 are needed." in lines
    about = {name: next(line for line in lines if f"epoch '{name}': of its" in line) for name in ("before", "after")}
    assert "The test of the whole epoch is not affected" in about["before"]
    assert "The test of the whole epoch is not affected" not in about["after"]
