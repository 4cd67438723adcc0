"""The recipe of the ensembles that forecast from signals alone: every night of each kind's cohort, one seed.

    python -m sharpwave.recipes.signal_forecasters [FOLDER]

writes `signals_wrist.txt.gz`, `signals_lfp.txt.gz`, `signals_eeg.txt.gz` and
`signals.json`; so does `sharpwave benchmark forecast --train`.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sharpwave.forecasting.boosting import FEW_PEOPLE, MANY_PEOPLE, SignalEnsemble
from sharpwave.forecasting.cohorts import SLEEP_EDF, EpochTable, load_cohort, load_eeg_nights, take_turns
from sharpwave.forecasting.protocols import compute_base_rate
from sharpwave.forecasting.shipped import LICENCES
from sharpwave.forecasting.signal_forecaster import COHORTS, WEIGHTS, load_ensemble, write_ensemble
from sharpwave.outputs import READY, replace_files

HORIZON = 30.0
SIZES = {"wrist": FEW_PEOPLE, "lfp": FEW_PEOPLE, "eeg": MANY_PEOPLE}
"""Size of the trees by kind of signals."""


def load_signal_nights(data: Path | None = None) -> dict[str, list[EpochTable]]:
    """Nights of each kind's cohort, by cohort; of Sleep-EDF's two EEG channels one each, in turn.

    Raises:
        SharpwaveError: If a cohort is not there.
    """
    return {
        cohort: take_turns(load_eeg_nights(data)) if cohort == SLEEP_EDF else load_cohort(cohort, data)
        for cohort in COHORTS.values()
    }


def train_signal_forecasters(
    cohorts: Mapping[str, Sequence[EpochTable]], *, seed: int = 0, folder: Path = WEIGHTS
) -> Path:
    """Train on all nights of each kind's cohort and write the weights and their card.

    Args:
        cohorts: Nights by cohort; every cohort in `COHORTS` must be there.
        seed: Seed of the trees.
        folder: Folder to write into.
    """
    kinds: dict[str, Any] = {}
    with replace_files(folder, ready=f"{READY}-signals") as partial:
        for kind, cohort in COHORTS.items():
            nights = list(cohorts[cohort])
            ensemble = SignalEnsemble(SIZES[kind]).fit(nights, horizon=HORIZON, rng=np.random.default_rng(seed))
            write_ensemble(partial, kind, ensemble)
            kinds[kind] = {
                "base_rate": round(compute_base_rate(nights, HORIZON), 5),
                "features": list(nights[0].names),
                "licence": {**LICENCES, SLEEP_EDF: "ODC-By 1.0"}[cohort],
                "subjects": sorted({f"{night.cohort}/{night.subject}" for night in nights}),
            }
        card = {
            "what": "signals alone to a change of stage 30 s ahead, 30 s epochs",
            "reproduce": "python -m sharpwave.recipes.signal_forecasters",
            "kinds": kinds,
        }
        (partial / "signals.json").write_text(json.dumps(card, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    load_ensemble.cache_clear()
    return folder


if __name__ == "__main__":
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else WEIGHTS
    print(train_signal_forecasters(load_signal_nights(), folder=target))
