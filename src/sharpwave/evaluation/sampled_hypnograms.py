"""Whole hypnograms drawn from stage probabilities, with errors that last: neighbouring epochs are wrong together.

Stage k of epoch t is the one with the largest log p + Gumbel noise, so each epoch's share of stages is its
probabilities. The noise is a Gaussian copula: one part is the same all night (a scorer who leans towards N3 does so all
night), the rest forgets with a time constant. Both were chosen on half of the nights of the Dreem Open Datasets so that
80 % intervals of sleep statistics hold a held-out expert's value in 80 % of nights; the other half measured that
(docs/sleep-statistics.md).
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Int

from sharpwave.errors import SharpwaveError
from sharpwave.recordings.hypnogram import UNSCORED, Hypnogram

NIGHT_SHARE = 0.2
"""Share of the noise's variance that is the same all night."""

MEMORY = 1800.0
"""Time constant of the rest, in seconds."""


def sample_hypnograms(
    hypnogram: Hypnogram,
    *,
    rng: np.random.Generator,
    n_samples: int = 200,
    night_share: float = NIGHT_SHARE,
    memory: float = MEMORY,
) -> Int[np.ndarray, "sample epoch"]:
    """Stage codes of hypnograms that the probabilities allow; unscored epochs stay unscored.

    Args:
        hypnogram: With probabilities.
        rng: Source of randomness.
        n_samples: How many nights to draw.
        night_share: Share of the noise's variance that lasts all night, 0 to 1.
        memory: Time constant of the rest, in seconds.

    Raises:
        SharpwaveError: If the hypnogram has no probabilities.
    """
    from scipy.signal import lfilter
    from scipy.special import log_ndtr

    if hypnogram.probabilities is None:
        raise SharpwaveError("a hypnogram with probabilities", got="stages only", fix="give each stage's probability")
    n_epochs, n_stages = len(hypnogram), hypnogram.n_stages
    known = hypnogram.scored & np.isfinite(hypnogram.probabilities).all(axis=1)
    log_p = np.log(np.maximum(np.nan_to_num(hypnogram.probabilities), 1e-9))
    stay = float(np.exp(-hypnogram.epoch_length / memory)) if memory > 0 else 0.0
    drawn = np.empty((n_samples, n_epochs), dtype=np.int8)
    for index in range(n_samples):
        steps = rng.standard_normal((n_epochs, n_stages))
        steps[1:] *= np.sqrt(1 - stay**2)
        passing = lfilter([1.0], [1.0, -stay], steps, axis=0)
        lasting = rng.standard_normal(n_stages)
        noise = np.sqrt(night_share) * lasting + np.sqrt(1 - night_share) * passing
        drawn[index] = (log_p - np.log(-log_ndtr(noise))).argmax(axis=1)
    drawn[:, ~known] = hypnogram.stages[~known]
    drawn[:, ~hypnogram.scored] = UNSCORED
    return drawn
