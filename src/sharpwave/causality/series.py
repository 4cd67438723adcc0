"""One night as time series, one value a second: what the estimators of this room look at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int

from sharpwave import moved
from sharpwave.errors import SharpwaveError
from sharpwave.recordings import Hypnogram, Recording, Signal
from sharpwave.recordings.hypnogram import STAGE_SETS
from sharpwave.reprs import short_repr

DEPTH_WINDOW = 4
"""Seconds of signal behind each value of depth, EMG and sigma power: the value of second t is that of the whole epoch
of 4 s which holds t, so it may reach 3 s to either side."""

LONGEST_WINDOW = 60
"""Longest step of depth (s) that is taken for its window; a series that moves less often hardly moves."""

SIGMA = {"human": (12.0, 16.0), "mouse": (10.0, 15.0), "rat": (10.0, 15.0)}
"""Sigma band in Hz (rodents: Lecci et al. 2017, 10.1126/sciadv.1602026)."""

MUSCLE = (20.0, 45.0)
CONDITIONS = ("cue", "sham")

FREQUENCY = 0.02
MEMORY = 60.0
BASELINE = 300.0
"""Seconds over which the rhythm's phase and the level around which it swings are forgotten."""


@dataclass(frozen=True, eq=False)
class NightSeries:
    """One night, second by second.

    Attributes:
        night: Name of the night; nights are the unit of every interval.
        time: Start of each second, in s from the start of the recording, shape (second,).
        stage: Stage codes of the hypnogram, -1 where unscored; brief arousals are wake where they are known.
        n_stages: Number of stages of the hypnogram, 2 to 5.
        depth: Slow-wave power in dB, over `DEPTH_WINDOW` s; NaN where missing.
        emg: Muscle power in dB, over the same windows; None without an EMG.
        infraslow: Phase (rad) of the 0.02 Hz rhythm of sigma power, 0 at its peak, estimated from the past alone; None
            where it is not known.
        reactivations: Table of reactivations: onset (s), content, and whatever else is known of them.
        usable: Whether a second is scored and free of artefacts.
        cues: Table of randomised stimulation: onset (s), condition ("cue" or "sham") and content; None where there was
            none.
        candidates: Onsets (s) of all candidate events (ripples, bursts), reactivations among them, sorted; None where
            only the reactivations are known. With them a reactivation is compared with events that are none.

    Raises:
        SharpwaveError: If lengths differ, a column is missing or a condition is unknown.

    >>> found = pd.DataFrame({"onset": [12.5], "content": ["maze"]})
    >>> night = NightSeries(
    ...     night="first", time=np.arange(60.0), stage=np.full(60, 2), n_stages=5, depth=np.zeros(60), emg=None,
    ...     infraslow=None, reactivations=found, usable=np.ones(60, bool),
    ... )
    >>> night.contents, night.names[2]
    (('maze',), 'N2')
    """

    __repr__ = short_repr

    night: str
    time: Float[np.ndarray, " second"]
    stage: Int[np.ndarray, " second"]
    n_stages: int
    depth: Float[np.ndarray, " second"]
    emg: Float[np.ndarray, " second"] | None
    infraslow: Float[np.ndarray, " second"] | None
    reactivations: pd.DataFrame
    usable: Bool[np.ndarray, " second"]
    cues: pd.DataFrame | None = None
    candidates: Float[np.ndarray, " event"] | None = None

    def __post_init__(self) -> None:
        for name in ("stage", "depth", "emg", "infraslow", "usable"):
            values = getattr(self, name)
            if values is not None and len(values) != len(self.time):
                raise SharpwaveError(
                    f"{len(self.time)} values of {name} in {self.night!r}, one a second",
                    got=f"{len(values)}",
                    fix="put every track on the grid of `time`",
                )
        _check_columns(self.reactivations, ("onset", "content"), "reactivations")
        if self.cues is not None:
            _check_columns(self.cues, ("onset", "condition", "content"), "cues")
            unknown = sorted(set(map(str, self.cues["condition"])) - set(CONDITIONS))
            if unknown:
                raise SharpwaveError(
                    "cues whose condition is cue or sham",
                    got=", ".join(unknown),
                    fix="call the silent cues sham and leave out everything else",
                )

    @cached_property
    def depth_window(self) -> int:
        """Seconds of signal behind each value of depth: `DEPTH_WINDOW`, or more where depth only moves by longer steps.

        What came before an event, and what came after it, keep this distance from it.
        """
        return int(np.clip(find_step(self.depth), DEPTH_WINDOW, LONGEST_WINDOW))

    @cached_property
    def stage_epoch(self) -> int:
        """Seconds by which stages move: 1, 4, or 30 where whole epochs were scored."""
        return find_step(self.stage)

    @property
    def names(self) -> tuple[str, ...]:
        """Stage names, in the order of their codes."""
        return STAGE_SETS[self.n_stages]

    @property
    def nrem(self) -> tuple[int, ...]:
        """Codes of the stages in which effects are sought: all sleep but REM."""
        return (1,) if self.n_stages <= 3 else tuple(range(1, self.n_stages - 1))

    @cached_property
    def onsets(self) -> dict[str, Float[np.ndarray, " event"]]:
        """Onsets (s) of the reactivations of each content, by name."""
        content = self.reactivations["content"].astype(str).to_numpy()
        onset = self.reactivations["onset"].to_numpy(dtype=float)
        return {str(name): onset[content == name] for name in np.unique(content)}

    @property
    def contents(self) -> tuple[str, ...]:
        return tuple(self.onsets)


def compute_night_series(
    recording: Recording,
    hypnogram: Hypnogram,
    reactivations: pd.DataFrame,
    *,
    night: str | None = None,
    channel: str | None = None,
    candidates: Sequence[float] | None = None,
    arousals: pd.DataFrame | None = None,
    artefacts: pd.DataFrame | None = None,
    cues: pd.DataFrame | None = None,
) -> NightSeries:
    """The time series of one night from its recording.

    Depth, EMG and sigma are powers of epochs of 4 s, neither ahead of nor behind them; the infraslow phase follows
    sigma power from the past alone, since a centred filter would let it know whether sleep is about to end.

    Args:
        recording: Recording with EEG (LFP where there is none) and, where there is one, EMG.
        hypnogram: Stages of the night, on the same clock.
        reactivations: Table of reactivations: onset (s) and content.
        night: Name of the night; the subject's where omitted.
        channel: Name of the signal that gives depth and sigma power; the first EEG, else the first LFP, where omitted.
        candidates: Onsets of all candidate events, in s, where they are known.
        arousals: onset and duration (s) of brief arousals, which count as wake.
        artefacts: onset and duration (s) of what is left out.
        cues: onset, condition and content of randomised stimulation.

    Raises:
        SharpwaveError: If there is no EEG or LFP, or a table lacks a column.

    >>> from sharpwave.recordings import MODALITIES
    >>> eeg = Signal("EEG", np.random.default_rng(0).normal(0, 2e-5, 6000), 100.0, MODALITIES["eeg"])
    >>> hypnogram, found = Hypnogram(np.array([0, 2])), pd.DataFrame({"onset": [40.0], "content": ["maze"]})
    >>> compute_night_series(Recording(signals={"EEG": eeg}), hypnogram, found).contents
    ('maze',)
    """
    from sharpwave.signals import compute_depth

    signal = _choose_signal(recording, channel)
    time = np.arange(int(min(recording.duration, max(signal.end, hypnogram.end))), dtype=float)
    stage = hypnogram.at(time).astype(np.int8)
    depth = _spread(compute_depth(signal, epoch_length=float(DEPTH_WINDOW)), "depth", time) * 10
    sigma = _compute_power_db(signal, "sigma", SIGMA.get(recording.species, SIGMA["human"]), time)
    stage[cover_seconds(arousals, time) & (stage > 0)] = 0
    usable = (stage >= 0) & np.isfinite(depth) & ~cover_seconds(artefacts, time)
    asleep = usable & (stage > 0) & (stage < max(hypnogram.n_stages - 1, 2))
    return NightSeries(
        night=night or recording.subject,
        time=time,
        stage=stage,
        n_stages=hypnogram.n_stages,
        depth=depth,
        emg=_compute_emg(recording, time),
        infraslow=estimate_infraslow_phase(sigma, asleep=asleep),
        reactivations=reactivations.sort_values("onset", ignore_index=True),
        usable=usable,
        cues=cues,
        candidates=None if candidates is None else np.sort(np.asarray(candidates, dtype=float)),
    )


def find_step(values: np.ndarray) -> int:
    """Seconds by which a series moves: the greatest step on which all of its changes lie; 1 where there is none.

    >>> find_step(np.repeat([1.0, 2.0, 5.0], 30))
    30
    """
    known = np.isfinite(values)
    changed = np.flatnonzero((values[1:] != values[:-1]) & known[1:] & known[:-1]) + 1
    return int(np.gcd.reduce(np.diff(changed))) if len(changed) > 1 else 1


def _choose_signal(recording: Recording, channel: str | None) -> Signal:
    if channel is not None:
        return recording[channel]
    found = [*recording.of("eeg").values(), *recording.of("lfp").values()]
    if not found:
        raise SharpwaveError(
            "an EEG or LFP channel, which depth is measured on",
            got=", ".join(recording.signals) or "no signal",
            fix="give the recording that holds it",
        )
    return found[0]


def _compute_emg(recording: Recording, time: Float[np.ndarray, " second"]) -> Float[np.ndarray, " second"] | None:
    for signal in recording.of("emg").values():
        if signal.rate >= 2 * MUSCLE[1]:
            return _compute_power_db(signal, "muscle", MUSCLE, time)
    return None


def _compute_power_db(
    signal: Signal, name: str, band: tuple[float, float], time: Float[np.ndarray, " second"]
) -> Float[np.ndarray, " second"]:
    """Power in a band (Hz), in dB; NaN where there is none."""
    from sharpwave.signals import compute_band_power

    table = compute_band_power(signal, epoch_length=float(DEPTH_WINDOW), bands={name: band})
    power = _spread(table, name, time)
    return 10 * np.log10(power, out=np.full(power.shape, np.nan), where=power > 0)


def _spread(table: pd.DataFrame, column: str, time: Float[np.ndarray, " second"]) -> Float[np.ndarray, " second"]:
    """Each epoch's value in all its seconds; NaN where there is no epoch."""
    onset, values = table["onset"].to_numpy(dtype=float), table[column].to_numpy(dtype=float)
    out = np.full(time.shape, np.nan)
    if onset.size:
        index = np.searchsorted(onset, time + 1e-6, side="right") - 1
        inside = (index >= 0) & (time < onset[-1] + DEPTH_WINDOW)
        out[inside] = values[index[inside]]
    return out


def cover_seconds(table: pd.DataFrame | None, time: Float[np.ndarray, " second"]) -> Bool[np.ndarray, " second"]:
    """Seconds that an event touches; none where there is no table.

    Args:
        table: onset and duration (s) of the events.
        time: Start of each second, in s.
    """
    out = np.zeros(time.shape, bool)
    if table is None:
        return out
    _check_columns(table, ("onset", "duration"), "arousals or artefacts")
    for onset, duration in table[["onset", "duration"]].to_numpy(dtype=float):
        out[np.searchsorted(time, onset - 1, side="right") : np.searchsorted(time, onset + duration, side="left")] = (
            True
        )
    return out


def _check_columns(table: pd.DataFrame, columns: tuple[str, ...], name: str) -> None:
    missing = [column for column in columns if column not in table.columns]
    if missing:
        raise SharpwaveError(
            f"{name} with columns {', '.join(columns)}",
            got=f"no {', '.join(missing)}",
            fix="rename or add the columns; times are seconds from the start of the recording",
        )


def estimate_infraslow_phase(
    sigma: Float[np.ndarray, " second"], *, asleep: Bool[np.ndarray, " second"]
) -> Float[np.ndarray, " second"]:
    """Phase of the infraslow rhythm of sigma power, each value from the past alone (Lecci et al. 2017).

    The power's departure x from its recent level is demodulated: z_t = x_t + e^(-1/60 s) e^(i 2π 0.02 Hz) z_(t-1), and
    the phase is the angle of z. A filter that looks ahead would know whether sigma is about to stop because sleep ends.

    Args:
        sigma: Sigma power in dB (or any other quantity that swings with it), one value a second; NaN where missing.
        asleep: Whether each second is NREM sleep; elsewhere the rhythm only runs on.

    Returns:
        Phase in radians from -π to π, 0 at the peak of sigma power.
    """
    from scipy.signal import lfilter

    known = asleep & np.isfinite(sigma)
    values = np.where(known, sigma, 0.0)
    keep = np.exp(-1 / BASELINE)
    total = lfilter([1.0], [1.0, -keep], values)
    weight = lfilter([1.0], [1.0, -keep], known.astype(float))
    level = np.divide(total, weight, out=np.zeros_like(total), where=weight > 0)
    departure = np.where(known, values - level, 0.0)
    turn = np.exp(-1 / MEMORY + 2j * np.pi * FREQUENCY)
    return np.angle(lfilter([1.0], [1.0, -turn], departure.astype(complex)))


__getattr__ = moved.rename(__name__, {"NightCourse": "NightSeries", "compute_course": "compute_night_series"})
