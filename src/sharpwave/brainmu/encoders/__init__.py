"""One encoder per modality, each in its own file; `ENCODERS` is the line that adds one."""

from __future__ import annotations

from sharpwave.brainmu.encoders.behaviour import Behaviour
from sharpwave.brainmu.encoders.bold import Bold
from sharpwave.brainmu.encoders.calcium import Calcium
from sharpwave.brainmu.encoders.contract import Kind, ModalityBatch, identify_channels
from sharpwave.brainmu.encoders.electrophysiology import Electrophysiology
from sharpwave.brainmu.encoders.spectral_frames import Frames
from sharpwave.brainmu.encoders.spikes import Spikes
from sharpwave.brainmu.encoders.stage_history import StageHistory
from sharpwave.brainmu.encoders.wearable import Wearable

EEG = Electrophysiology("eeg", Frames(0.5, 45.0))

ENCODERS: dict[str, Kind] = {
    "stages": StageHistory(),
    "eeg": EEG,
    "eog": Electrophysiology("eog", Frames(0.5, 30.0)),
    "emg": Electrophysiology("emg", Frames(8.0, 100.0)),
    "ecg": Electrophysiology("ecg", Frames(0.5, 45.0)),
    "lfp": Electrophysiology("lfp", Frames(0.5, 250.0)),
    "spikes": Spikes(),
    "bold": Bold(),
    "calcium": Calcium(),
    "heart_rate": Behaviour("heart_rate"),
    "activity": Behaviour("activity", logarithmic=True),
    "acceleration": Wearable(),
    "oxygen": Behaviour("oxygen"),
    "temperature": Behaviour("temperature"),
    "position": Behaviour("position"),
    "performance": Behaviour("performance"),
    "features": Behaviour("features"),
}
"""Encoders by modality."""

__all__ = ["EEG", "ENCODERS", "Kind", "ModalityBatch", "identify_channels"]
