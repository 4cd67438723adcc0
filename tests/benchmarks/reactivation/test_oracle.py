"""An observer who knows the second world: sees what is there, says how sure it is, sees nothing in exchanged cells."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from sharpwave.benchmarks.reactivation.oracle import find_best, weigh_bursts
from sharpwave.benchmarks.second_world.sessions import Session, SessionOptions, draw_session

MIX = {"replay": 0.4, "stationary": 0.3, "random": 0.3}
OPTIONS = SessionOptions(n_cells=40, before=10.0, run=30.0, after=240.0, mix=MIX)


@pytest.fixture(scope="module")
def session() -> Session:
    return draw_session(OPTIONS, rng=np.random.default_rng(8))


@pytest.fixture(scope="module")
def weighed(session: Session) -> pd.DataFrame:
    return weigh_bursts(session, OPTIONS, MIX, rng=np.random.default_rng(0))


def test_what_is_there_is_seen(session: Session, weighed: pd.DataFrame) -> None:
    after = session.events[session.events["onset"] > session.task[1]]
    assert weighed["kind"].tolist() == after["kind"].tolist()
    true = (weighed["kind"] == "replay").to_numpy()
    chance = weighed["probability"].to_numpy()
    assert (chance[true, None] > chance[~true]).mean() > 0.95
    recall, least = find_best(weighed, precision=0.91)
    assert recall > 0.8
    assert 0 < least < 1
    assert chance.sum() == pytest.approx(true.sum(), rel=0.2)


def test_other_cells_hold_nothing(session: Session) -> None:
    exchanged = replace(session, fields=session.fields[np.random.default_rng(1).permutation(40)])
    nothing = weigh_bursts(exchanged, OPTIONS, MIX, rng=np.random.default_rng(0))
    true = (nothing["kind"] == "replay").to_numpy()
    chance = nothing["probability"].to_numpy()
    assert find_best(nothing, precision=0.91)[0] < 0.3
    assert (chance[true, None] > chance[nothing["kind"] == "stationary"]).mean() < 0.8


def test_the_best_recall_by_hand() -> None:
    kinds = ["replay", "replay", "random", "replay", "random", "replay"]
    table = pd.DataFrame({"kind": kinds, "probability": [0.9, 0.8, 0.7, 0.6, 0.5, 0.4]})
    assert find_best(table, precision=1.0) == (0.5, 0.8)
    assert find_best(table, precision=0.75) == (0.75, 0.6)
    assert find_best(table.iloc[[2, 4, 5]], precision=0.9) == (0.0, 1.0)
