"""Names of version 0.1 still work, and say the new one."""

from __future__ import annotations

from importlib import import_module

import numpy as np
import pytest
from tests.brainmu.planted import simulate_pieces, train_model

from sharpwave.brainmu import collate
from sharpwave.brainmu.encoders.contract import ModalitySpecification
from sharpwave.brainmu.epochs import ModalityEpochs
from sharpwave.brainmu.explanation import explain_night

NAMES = {
    "brainmu.window_recording": "brainmu.epochs.epoch_recording",
    "brainmu.epochs.WindowedRecording": "brainmu.epochs.EpochedRecording",
    "brainmu.epochs.Windows": "brainmu.epochs.ModalityEpochs",
    "brainmu.epochs.Grid": "brainmu.epochs.EpochGrid",
    "brainmu.encoders.Kind": "brainmu.encoders.contract.ModalitySpecification",
    "brainmu.encoders.EEG": "brainmu.encoders.electrophysiology.EEG",
    "brainmu.encoders.contract.ModalityBatch": "brainmu.epochs.ModalityBatch",
    "brainmu.training.crops.Nights": "brainmu.training.crops.RandomCrops",
    "brainmu.training.crops.Mixture": "brainmu.training.crops.WeightedSources",
    "brainmu.explanation.NightExplanation": "brainmu.explanation.explanation.Explanation",
    "brainmu.explanation.out_of_distribution.load_novelty": (
        "brainmu.explanation.out_of_distribution.load_out_of_distribution"
    ),
    "brainmu.runtime.staging.BrainMuNight": "brainmu.runtime.staging.BrainMuPrediction",
}


@pytest.mark.parametrize("old", NAMES)
def test_an_old_name_leads_to_the_new_one(old: str) -> None:
    def get(address: str) -> object:
        module, _, name = address.rpartition(".")
        return getattr(import_module(f"sharpwave.{module}"), name)

    with pytest.warns(DeprecationWarning, match=f"sharpwave.{old} is now sharpwave.{NAMES[old]}"):
        assert get(old) is get(NAMES[old])


def test_old_keywords() -> None:
    crops = simulate_pieces(1)
    with pytest.warns(DeprecationWarning, match="pieces of collate is now crops"):
        assert collate(pieces=crops).times.shape == (1, len(crops[0]))
    with pytest.warns(DeprecationWarning, match="piece of explain_night is now recording"):
        assert len(explain_night(train_model(), piece=crops[0], n_forecasts=1).forecasts) == 1
    with pytest.warns(DeprecationWarning, match=r"EpochedRecording\.windows is now epochs"):
        assert crops[0].windows is crops[0].epochs


def test_a_specification_that_still_says_relate() -> None:
    class Old(ModalitySpecification):
        def relate(self, windows: ModalityEpochs, past: object = None) -> tuple[ModalityEpochs, object]:
            return windows.restrict(0, 1), "carried over"

    epochs = ModalityEpochs(np.zeros((3, 1)), np.ones((3, 1), dtype=bool), ("one",))
    with pytest.warns(DeprecationWarning, match="relate of a modality specification is now normalise"):
        found, past = Old().normalise(epochs)
    assert len(found.values) == 1
    assert past == "carried over"
