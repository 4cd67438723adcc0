"""Cohorts as tables for forecasting: stages, votes and causal features per 30 s."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

from sharpwave import moved
from sharpwave.errors import SharpwaveError
from sharpwave.recordings.datasets import list_subjects, load_dataset
from sharpwave.recordings.hypnogram import Hypnogram
from sharpwave.recordings.recording import Recording, Signal
from sharpwave.signals.epoch_values import compute_epoch_values

EPOCH = 30.0
BANDS = {"slow": (0.4, 1), "delta": (1, 4), "theta": (4, 8), "alpha": (8, 12), "sigma": (12, 16), "beta": (16, 30)}
EEG_BANDS = {name: BANDS[name] for name in ("theta", "alpha", "sigma", "beta")} | {"delta": (0.5, 4.0)}
COHORTS = ("dod", "walch", "ucddb", "pd-lfp")
"""Real cohorts with whole nights in 30 s epochs."""
SLEEP_EDF = "sleep-edf-78-bands"
"""Nights whose EEG is known by its band power alone: the forecaster from any EEG channel learns from them."""

DELAYS = {"heart_rate": 15, "activity": 10}
"""Epochs by which Walch's published features must be delayed: they were smoothed over up to 7 min to either side."""


LEVEL = "_level"
"""Columns whose name ends so keep their own scale; all others are compared with the night so far. Walch's heart rate
was scaled by the whole night before it was published, so its level would look ahead."""


@dataclass(frozen=True, eq=False)
class EpochTable:
    """One night of one subject, epoch by epoch: stages, votes and causal features.

    Attributes:
        subject: Name of the subject; nights of one subject are never split between training and test.
        cohort: Name of the cohort.
        stages: Stage codes, -1 where unscored, shape (epoch,).
        features: Causal features of the signals: row t uses nothing after epoch t, none is NaN; shape (epoch, feature).
        names: Names of the features.
        votes: Share of the scorers' votes per stage, where several scored, shape (epoch, stage).
        epoch_length: Seconds.
    """

    subject: str
    cohort: str
    stages: Int[np.ndarray, " epoch"]
    features: Float[np.ndarray, "epoch feature"]
    names: tuple[str, ...] = ()
    votes: Float[np.ndarray, "epoch stage"] | None = None
    epoch_length: float = 30.0

    def __post_init__(self) -> None:
        rows = {len(self.stages), len(self.features), len(self.stages if self.votes is None else self.votes)}
        if len(rows) != 1 or self.features.shape[1] != len(self.names):
            raise SharpwaveError(
                "stages, features and votes with a row per epoch, and a name per feature",
                got=f"{len(self.stages)} stages, features {self.features.shape}, {len(self.names)} names",
                fix="build nights with sharpwave.forecasting.cohorts.compute_night",
            )

    def __len__(self) -> int:
        return len(self.stages)

    @property
    def hypnogram(self) -> Hypnogram:
        return Hypnogram(self.stages, self.epoch_length, probabilities=self.votes)


def load_cohort(name: str, root: str | Path | None = None) -> list[EpochTable]:
    """Every night of a cohort.

    Args:
        name: "dod", "walch", "ucddb" or "pd-lfp".
        root: Folder of data sets; `sharpwave.recordings.datasets.data_root()` where omitted.

    Raises:
        SharpwaveError: If the cohort is unknown or not there.
    """
    if name not in COHORTS:
        raise SharpwaveError(f"a cohort among {', '.join(COHORTS)}", got=repr(name), fix="see docs/forecasting.md")
    return [compute_night(load_dataset(f"{name}/{subject}", root), name) for subject in list_subjects(name, root)]


def load_eeg_nights(
    root: str | Path | None = None, *, channels: Sequence[str] = ("EEG Fpz-Cz", "EEG Pz-Oz")
) -> list[EpochTable]:
    """Every night of Sleep-EDF known by band power, once for each of these channels; see `load_cohort`."""
    nights = []
    for name in list_subjects(SLEEP_EDF, root):
        recording = load_dataset(f"{SLEEP_EDF}/{name}", root)
        alone = (replace(recording, signals={channel: recording[channel]}) for channel in channels)
        nights += [compute_night(one, SLEEP_EDF) for one in alone]
    return nights


def take_turns(nights: Sequence[EpochTable], *, channels: int = 2) -> list[EpochTable]:
    """Of nights that come once for each of several channels, one channel each, in turn."""
    return [night for index, night in enumerate(nights) if index % channels == index // channels % channels]


def compute_night(recording: Recording, cohort: str) -> EpochTable:
    """A recording as stages and causal features.

    Args:
        recording: One night with a hypnogram in 30 s epochs.
        cohort: Cohort whose rules apply, a key of `FEATURES`.

    Raises:
        SharpwaveError: If the recording has no hypnogram.
    """
    hypnogram = recording.hypnogram
    if hypnogram is None:
        raise SharpwaveError(
            "a recording with a hypnogram", got=f"none in {recording.source}", fix="read one beside it"
        )
    rows = len(hypnogram)
    features, names = tabulate(recording, cohort, rows)
    several = recording.metadata.get("scorers") is not None
    return EpochTable(
        subject=recording.subject,
        cohort=cohort,
        stages=np.asarray(hypnogram.stages, dtype=np.int8),
        features=features,
        names=names,
        votes=hypnogram.probabilities if several else None,
        epoch_length=hypnogram.epoch_length,
    )


def tabulate(
    recording: Recording, cohort: str, rows: int
) -> tuple[Float[np.ndarray, "epoch feature"], tuple[str, ...]]:
    """Causal features of a recording's first `rows` epochs, and their names; its stages are not looked at.

    Args:
        recording: One night.
        cohort: Cohort whose rules apply, a key of `FEATURES`.
        rows: Number of epochs of 30 s.
    """
    columns = FEATURES[cohort](recording)
    table = [
        np.nan_to_num(fill_forward(fit_length(column, rows)))
        if name.endswith(LEVEL)
        else standardise_so_far(fill_forward(fit_length(column, rows)))
        for name, column in columns.items()
    ]
    return np.stack(table, axis=1) if table else np.empty((rows, 0)), tuple(columns)


def simulate_nights(
    n: int, *, rng: np.random.Generator, hours: float = 8.0, precursor: float = 0.0
) -> Iterator[EpochTable]:
    """Simulated human nights with EEG, heart rate and activity as features.

    Args:
        n: Number of subjects.
        rng: Random generator.
        hours: Length of each night, in h.
        precursor: Size of the planted signs that precede transitions; with 0 no signal tells of one beforehand.
    """
    from sharpwave.simulation import Effects, simulate_cohort

    wanted = ("eeg", "heart_rate", "activity")
    effects = Effects(precursor=precursor)
    for recording, _ in simulate_cohort(n, rng=rng, hours=hours, effects=effects, modalities=wanted):
        yield compute_night(recording, "simulated")


def delay(values: Float[np.ndarray, " epoch"], epochs: int) -> Float[np.ndarray, " epoch"]:
    """Values as they were `epochs` ago; NaN before the first."""
    return np.r_[np.full(min(epochs, len(values)), np.nan), values[: max(len(values) - epochs, 0)]]


def fill_forward(values: Float[np.ndarray, " epoch"]) -> Float[np.ndarray, " epoch"]:
    """The last value known at each epoch, NaN before the first: that one is missing is not distinguished."""
    known = np.isfinite(values)
    last = np.maximum.accumulate(np.where(known, np.arange(len(values)), -1))
    return np.where(last >= 0, values[np.maximum(last, 0)], np.nan)


def standardise_so_far(values: Float[np.ndarray, " epoch"]) -> Float[np.ndarray, " epoch"]:
    """z-scores against the mean and deviation of the night up to and including each epoch; 0 while nothing is known.

    It also undoes a scaling by a whole-night constant, which would look ahead.
    """
    known = np.isfinite(values)
    filled = np.where(known, values, 0.0)
    count = np.maximum(np.cumsum(known), 1)
    mean = np.cumsum(filled) / count
    variance = np.maximum(np.cumsum(filled**2) / count - mean**2, 0)
    deviation = np.sqrt(variance)
    scores = np.divide(filled - mean, deviation, out=np.zeros_like(mean), where=deviation > 1e-9)
    return np.clip(np.where(known, scores, 0.0), -8, 8)


def fit_length(values: Float[np.ndarray, " epoch"], rows: int) -> Float[np.ndarray, " epoch"]:
    """Cut to `rows`, or extended with NaN."""
    return np.r_[values[:rows], np.full(max(rows - len(values), 0), np.nan)]


def _read(recording: Recording, name: str) -> np.ndarray | None:
    return recording[name].read(dtype=np.float64) if name in recording.signals else None


def _walch(recording: Recording) -> dict[str, np.ndarray]:
    columns = {}
    for name, epochs in DELAYS.items():
        values = _read(recording, name)
        if values is not None:
            columns[name] = delay(np.log1p(np.maximum(values, 0)), epochs)
    if "activity" in columns:
        columns[f"activity{LEVEL}"] = columns["activity"]
    return columns


def _ucddb(recording: Recording) -> dict[str, np.ndarray]:
    values = _read(recording, "entropy")
    if values is None:
        return {name: np.full(len(recording.hypnogram or ()), np.nan) for name in ENTROPIES}
    return {name: values[:, column] for column, name in enumerate(ENTROPIES)}


def _pd_lfp(recording: Recording) -> dict[str, np.ndarray]:
    values = recording["power"].read(dtype=np.float64)
    bands = np.log(np.maximum(values.reshape(len(values), 6, -1).mean(axis=2), 1e-6))
    return {f"band{band + 1}": bands[:, band] for band in range(bands.shape[1])}


def _any_signals(recording: Recording) -> dict[str, np.ndarray]:
    columns: dict[str, np.ndarray] = {}
    for name in list(recording.of("eeg"))[:1]:
        columns |= compute_band_powers(recording[name])
    for modality in ("heart_rate", "activity"):
        for name, signal in recording.of(modality).items():
            values = compute_epoch_values(signal, int(recording.duration / EPOCH + 1e-6), epoch=EPOCH)
            columns[name] = np.log1p(np.maximum(values, 0))
    return columns


def _sleep_edf(recording: Recording) -> dict[str, np.ndarray]:
    """Log power in five bands of the first EEG channel, recorded or already measured; a constant factor drops out."""
    signal = next(iter(recording.of("eeg").values()), None) or next(iter(recording.signals.values()))
    if signal.modality.name != "eeg":
        values = signal.read(dtype=np.float64) * np.log(10)
        return {band: values[:, column] for column, band in enumerate(recording.metadata["bands"])}
    powers = compute_band_powers(signal, bands=EEG_BANDS, seconds=4, overlap=2)
    order = ("delta", "theta", "alpha", "sigma", "beta")
    return {band: np.where(powers[band] > SILENT, powers[band], np.nan) for band in order}


def compute_band_powers(
    signal: Signal,
    *,
    bands: Mapping[str, tuple[float, float]] = BANDS,
    seconds: float = 5,
    overlap: float = 0,
) -> dict[str, Float[np.ndarray, " epoch"]]:
    """Log power of an EEG signal in each band, from the samples of each epoch alone.

    Args:
        signal: One channel.
        bands: Edges of each band, in Hz.
        seconds: Length of a segment, in s; the median is over the segments of an epoch.
        overlap: Seconds that a segment shares with the next.
    """
    length, segment = round(EPOCH * signal.rate), round(seconds * signal.rate)
    step = segment - round(overlap * signal.rate)
    window = np.hanning(segment)
    frequencies = np.fft.rfftfreq(segment, 1 / signal.rate)
    spectra = []
    for _, piece in signal.chunks(EPOCH):
        if len(piece) < length:
            break
        parts = np.lib.stride_tricks.sliding_window_view(piece[:length], segment)[::step]
        spectra.append(
            np.median(np.abs(np.fft.rfft((parts - parts.mean(axis=1, keepdims=True)) * window)) ** 2, axis=0)
        )
    power = np.array(spectra).reshape(len(spectra), len(frequencies))
    return {
        band: np.log(power[:, (frequencies >= low) & (frequencies < high)].mean(axis=1) + 1e-30)
        for band, (low, high) in bands.items()
    }


def _nothing(recording: Recording) -> dict[str, np.ndarray]:
    return {}


SILENT = np.log(1e-29)
"""Log power of an electrode that says nothing at all, in volts squared: such an epoch is missing."""
ENTROPIES = ("approximate_entropy", "sample_entropy", "spectral_entropy")

FEATURES: dict[str, Callable[[Recording], dict[str, np.ndarray]]] = {
    "dod": _nothing,
    "walch": _walch,
    "ucddb": _ucddb,
    "pd-lfp": _pd_lfp,
    "simulated": _any_signals,
    SLEEP_EDF: _sleep_edf,
}
"""Feature columns (epoch,) by cohort. UCDDB: entropies, never which epochs have EEG. Walch: `circadian` is left out."""

__getattr__ = moved.rename(__name__, {"Night": "EpochTable"})
