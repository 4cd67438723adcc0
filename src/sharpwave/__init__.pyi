from sharpwave import brainmu as brainmu
from sharpwave import causality as causality
from sharpwave import consolidation as consolidation
from sharpwave import evaluation as evaluation
from sharpwave import forecasting as forecasting
from sharpwave import integrations as integrations
from sharpwave import live as live
from sharpwave import night as night
from sharpwave import reactivation as reactivation
from sharpwave import recordings as recordings
from sharpwave import reports as reports
from sharpwave import resilience as resilience
from sharpwave import signals as signals
from sharpwave import simulation as simulation
from sharpwave import staging as staging
from sharpwave.api import card as card
from sharpwave.api import decode as decode
from sharpwave.api import read as read
from sharpwave.errors import SharpwaveError as SharpwaveError
from sharpwave.night.decode import decode_recording as decode_recording
from sharpwave.night.decoded import DecodedNight as DecodedNight
from sharpwave.recordings.datasets import load_dataset as load_dataset
from sharpwave.recordings.hypnogram import Hypnogram as Hypnogram
from sharpwave.recordings.in_memory import from_arrays as from_arrays
from sharpwave.recordings.in_memory import from_mne as from_mne
from sharpwave.recordings.in_memory import from_pynapple as from_pynapple
from sharpwave.recordings.readers import read_hypnogram as read_hypnogram
from sharpwave.recordings.readers import read_recording as read_recording
from sharpwave.recordings.recording import Recording as Recording
from sharpwave.simulation.night import simulate_night as simulate_night

__version__: str
__all__ = [
    "DecodedNight",
    "Hypnogram",
    "Recording",
    "SharpwaveError",
    "card",
    "decode",
    "from_arrays",
    "from_mne",
    "from_pynapple",
    "load_dataset",
    "read",
    "read_hypnogram",
    "simulate_night",
]
