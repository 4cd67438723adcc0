"""How hard the nights are on which detectors are compared: declared once, and frozen.

The numbers were chosen on eight nights (seeds 200 to 207) so that the hand-crafted detector reaches a precision of
about .72 and a recall of about .65 at an intersection over union of .5. Change one, and no earlier result can be
compared with a later one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sharpwave.recipes.replay_nights import SIGNALS, ReactivationNight, simulate_reactivation_night
from sharpwave.simulation import Effects, Nuisance
from sharpwave.simulation.firing import DECOYS, PLAIN, Firing


@dataclass(frozen=True)
class Difficulty:
    """What makes a replay easy or hard to find.

    Attributes:
        species: Preset of the simulator.
        hours: Length of a night; the rat's first 15 min are spent on three tracks.
        n_units: Units, three in four with a field on a given track and direction.
        replay_share: Share of NREM ripples that carry a replay.
        decoys: Share that carry a sequence of the same spikes in exchanged cells.
        artefacts: Movement artefacts, electrode pops and fast-gamma bursts, relative to a realistic night.
        electrode_loss: Chance that the LFP is lost for part of the night.
        replay_gain: Factor on the rate of a place cell in a replay; about a dozen cells fire.
        ripple_rate: Ripples a minute in NREM.
        ripple_uv: Median amplitude of a ripple, in µV, on LFP noise of 60 µV²/Hz at 10 Hz, which falls with f^1.1 to
            40 Hz and f^2.3 beyond.
        longer: Factor by which a ripple with a sequence, in order or exchanged, lasts longer than one without.
    """

    species: str = "rat"
    hours: float = 1.0
    n_units: int = 56
    replay_share: float = 0.14
    decoys: float = 0.3
    artefacts: float = 1.0
    electrode_loss: float = 0.05
    replay_gain: float = 7.0
    ripple_rate: float = 28.0
    ripple_uv: float = 160.0
    longer: float = 1.8


DECLARED = Difficulty()
IOU = 0.5
"""Least intersection over union of a match."""

NULLS = ("before the experience", "shuffled sequences", "ripples without sequences")
"""Nights in which nothing that is known from the tracks is replayed."""


def simulate_declared_night(*, rng: np.random.Generator, hours: float = DECLARED.hours) -> ReactivationNight:
    """A night of the declared difficulty."""
    return _simulate(rng, hours=hours, replay_share=DECLARED.replay_share, decoys=DECLARED.decoys)


def simulate_null_night(kind: str, *, rng: np.random.Generator, hours: float = DECLARED.hours) -> ReactivationNight:
    """A night of the same difficulty that holds no replay.

    Args:
        kind: One of `NULLS`: sleep before the task; sleep after it in which every sequence has its cells exchanged, as
            many as there are sequences in a declared night; or sleep after it with ripples alone.
        rng: Random generator.
        hours: Length, in h.
    """
    if kind == NULLS[0]:
        return _simulate(rng, hours=hours, replay_share=DECLARED.replay_share, decoys=DECLARED.decoys, replay=False)
    decoys = DECLARED.decoys + DECLARED.replay_share if kind == NULLS[1] else 0.0
    return _simulate(rng, hours=hours, replay_share=0.0, decoys=decoys)


@dataclass(frozen=True)
class Assumption:
    """What a night of the declared difficulty is otherwise assumed to be.

    Attributes:
        firing: How units fire, and what the decoys hold.
        n_units: Units.
    """

    firing: Firing = PLAIN
    n_units: int = DECLARED.n_units


ASSUMPTIONS = {
    "plain": Assumption(),
    "stationary decoys": Assumption(Firing(decoys=("stationary",))),
    "assembly decoys": Assumption(Firing(decoys=("assembly",))),
    "bursting": Assumption(Firing(bursting=0.3)),
    "drift": Assumption(Firing(drift=0.4)),
    "jumps": Assumption(Firing(decoys=("jumping",), leap=0.5)),
    "slow": Assumption(Firing(speed=(3.0, 5.0))),
    "fast": Assumption(Firing(speed=(12.0, 20.0))),
    "few units": Assumption(n_units=20),
    "many units": Assumption(n_units=150),
    "all together": Assumption(
        Firing(decoys=DECOYS, bursting=0.3, drift=0.4, speed=(3.0, 20.0), leap=0.15, absent=0.2, second_fields=0.25)
    ),
}
"""What nights are assumed to be, one after the other; `plain` is the declared difficulty."""

EMPTY = {
    "cells at random": (),
    "exchanged cells": ("shuffled",),
    "one place": ("stationary",),
    "places at random": ("jumping",),
    "an assembly": ("assembly",),
    "remapped fields": ("remapped",),
}
"""What bursts hold in nights in which nothing is replayed: in `DECLARED.decoys` and `replay_share` of them a decoy of
this kind, with bursting cells and drift; the rest are of cells at random."""


def simulate_assumed_night(
    name: str, *, rng: np.random.Generator, hours: float = DECLARED.hours, lfp: bool = False
) -> ReactivationNight:
    """A night of the declared difficulty under one of `ASSUMPTIONS`, or one of `EMPTY` without replay.

    Args:
        name: Key of either.
        rng: Random generator.
        hours: Length, in h.
        lfp: Whether LFP is recorded; no by default.
    """
    signals = SIGNALS if lfp else SIGNALS[1:]
    if name in ASSUMPTIONS:
        assumed, share, decoys = ASSUMPTIONS[name], DECLARED.replay_share, DECLARED.decoys
    else:
        kinds = EMPTY[name]
        assumed = Assumption(Firing(decoys=kinds or PLAIN.decoys, bursting=0.3, drift=0.4))
        share, decoys = 0.0, (DECLARED.decoys + DECLARED.replay_share) * bool(kinds)
    return simulate_reactivation_night(
        DECLARED.species,
        rng=rng,
        hours=hours,
        n_units=assumed.n_units,
        effects=Effects(replay_share=share),
        nuisance=Nuisance(decoys=decoys, artefacts=DECLARED.artefacts, electrode_loss=DECLARED.electrode_loss),
        firing=assumed.firing,
        signals=signals,
    )


def _simulate(
    rng: np.random.Generator, *, hours: float, replay_share: float, decoys: float, replay: bool = True
) -> ReactivationNight:
    return simulate_reactivation_night(
        DECLARED.species,
        rng=rng,
        hours=hours,
        n_units=DECLARED.n_units,
        replay=replay,
        effects=Effects(replay_share=replay_share),
        nuisance=Nuisance(decoys=decoys, artefacts=DECLARED.artefacts, electrode_loss=DECLARED.electrode_loss),
    )
