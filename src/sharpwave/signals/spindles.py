"""Sleep spindles: the algorithm of Lacourse et al. 2018 as YASA runs it, over a night of any length.

Three measures must agree: the share of sigma power, the correlation of the sigma band with the broad band, and the
moving RMS of the sigma band against a threshold from the whole night. A first pass finds that threshold, a second the
events.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import scipy.fft
from jaxtyping import Bool, Complex, Float

from sharpwave.errors import SharpwaveError
from sharpwave.recordings import Hypnogram, Signal
from sharpwave.recordings.hypnogram import NREM_STAGES
from sharpwave.signals.filters import PieceSpectrum, design_bandpass, filter_piece
from sharpwave.signals.moving import MovingWindow, TrimmedStatistics, compute_moving_correlation, compute_moving_rms
from sharpwave.signals.pieces import (
    MICROVOLTS,
    Piece,
    iter_pieces,
    join_close,
    join_events,
    mark_searchable,
    runs,
    stage_names,
)

MARGIN = 10.0
"""Seconds of margin: longer than any spindle with its merging, so that each is seen whole by the piece it starts in."""

GUARD = 1.0
"""Seconds round a gap in which nothing is detected: what the filters make of its edges."""

RMS_CEILING_UV = 10.0
"""The RMS threshold never exceeds this: artefacts in wake would raise it."""

COLUMNS: dict[str, type] = {
    "onset": float,
    "duration": float,
    "label": str,
    "channel": str,
    "stage": str,
    "peak": float,
    "frequency": float,
    "amplitude_uv": float,
    "sigma_amplitude_uv": float,
    "rms_uv": float,
    "relative_power": float,
    "log_power_uv2": float,
    "oscillations": float,
    "symmetry": float,
}


@dataclass(frozen=True)
class SpindleSettings:
    """What counts as a spindle.

    Attributes:
        sigma: Band of spindles in Hz.
        broad: Band they are compared with in Hz.
        relative_power: Least share of sigma power.
        correlation: Least correlation of the two bands over 0.3 s.
        rms: Standard deviations of the moving RMS above its mean.
        duration: Shortest and longest spindle in seconds.
        join: Spindles closer than this are one, in seconds.
    """

    sigma: tuple[float, float] = (12.0, 15.0)
    broad: tuple[float, float] = (1.0, 30.0)
    relative_power: float = 0.2
    correlation: float = 0.65
    rms: float = 1.5
    duration: tuple[float, float] = (0.5, 2.0)
    join: float = 0.5


PRESETS = {
    "default": SpindleSettings(),
    "tuned": SpindleSettings(relative_power=0.1, correlation=0.5, rms=3.0, duration=(0.3, 2.5)),
}
"""`default` is YASA's. `tuned` are thresholds chosen on the DREAMS excerpts (Devuyst et al. 2011) against the union of
two experts: they find weaker and shorter spindles too; what to expect on other people is in docs/signals.md."""


def detect_spindles(
    signal: Signal,
    *,
    hypnogram: Hypnogram | None = None,
    preset: str = "default",
    settings: SpindleSettings | None = None,
) -> pd.DataFrame:
    """Sleep spindles in one EEG channel.

    With a hypnogram only NREM sleep is searched and sets the threshold; without one, everything is.
    Gaps are left out: no spindle touches one.

    Args:
        signal: One channel, in V.
        hypnogram: Stages on the same clock, or None.
        preset: Name of the settings in `PRESETS`.
        settings: Own settings instead of a preset.

    Returns:
        Events: onset and duration in s, label "spindle", channel, stage, `peak` (s), `frequency` (Hz), `amplitude_uv`
        (peak to peak, 1–30 Hz), `sigma_amplitude_uv`, `rms_uv`, `relative_power`, `log_power_uv2`, `oscillations`,
        `symmetry`.

    Raises:
        SharpwaveError: If the preset is not known or the rate is below twice the broad band.

    >>> from sharpwave.recordings import MODALITIES
    >>> times = np.arange(12_000) / 100
    >>> samples = np.random.default_rng(0).normal(0, 10, times.size).cumsum() * 0.3
    >>> samples += 40 * np.exp(-(((times - 60) / 0.5) ** 2)) * np.sin(2 * np.pi * 13 * times)
    >>> detect_spindles(Signal("EEG", samples, 100.0, MODALITIES["eeg"], scale=1e-6))[["peak", "frequency"]].round(0)
       peak  frequency
    0  60.0       13.0
    """
    if settings is None:
        if preset not in PRESETS:
            raise SharpwaveError(f"a preset among {', '.join(PRESETS)}", got=repr(preset), fix="or pass settings")
        settings = PRESETS[preset]
    return detect_spindles_each(signal, [settings], hypnogram=hypnogram)[0]


def detect_spindles_each(
    signal: Signal, settings: Sequence[SpindleSettings], *, hypnogram: Hypnogram | None = None
) -> list[pd.DataFrame]:
    """The spindles of `detect_spindles` by several settings at once; what does not depend on them is computed once.

    Args:
        signal: One channel, in V.
        settings: Settings of one sigma band and one threshold of the RMS.
        hypnogram: Stages on the same clock, or None.

    Returns:
        Events by each of the settings.

    Raises:
        SharpwaveError: If the sigma band or the threshold differs, or the rate is below twice the broad band.

    >>> from sharpwave.recordings import MODALITIES
    >>> flat = Signal("EEG", np.zeros(3000), 100.0, MODALITIES["eeg"])
    >>> stages = Hypnogram.from_labels(["W"])
    >>> each = [SpindleSettings(), SpindleSettings(broad=(4.5, 30.0))]
    >>> [len(found) for found in detect_spindles_each(flat, each, hypnogram=stages)]
    [0, 0]
    """
    first = settings[0]
    if any((each.sigma, each.rms) != (first.sigma, first.rms) for each in settings):
        raise SharpwaveError(
            "settings of one sigma band and one threshold of the RMS",
            got=", ".join(f"{each.sigma} Hz and {each.rms:g}" for each in settings),
            fix="search by each of them alone",
        )
    settings = [_fit_band(each, signal) for each in settings]
    banks = [_FilterBank.design(signal, each) for each in settings]
    widest = max(banks, key=lambda bank: bank.reach)
    threshold = _find_rms_threshold(signal, hypnogram, first, widest)
    found: list[list[pd.DataFrame]] = [[] for _ in settings]
    for piece, usable in _iter_usable(signal, hypnogram, widest):
        spectrum = PieceSpectrum.of(piece.samples * MICROVOLTS)
        analytic = spectrum.analytic(widest.sigma)
        for events, each, bank in zip(found, settings, banks, strict=True):
            broad = spectrum.filtered(bank.broad)
            events.append(
                _detect_in_piece(
                    piece, usable, broad, analytic, signal=signal, settings=each, bank=bank, rms_threshold=threshold
                )
            )
    tables = [join_events(events, COLUMNS) for events in found]
    for table in tables:
        table["stage"] = stage_names(hypnogram, table["onset"].to_numpy())
    return tables


@dataclass(frozen=True, eq=False)
class _FilterBank:
    """The filters and windows for one signal, made once and used on every piece."""

    broad: np.ndarray
    sigma: np.ndarray
    window: MovingWindow
    reach: int
    margin: int

    @classmethod
    def design(cls, signal: Signal, settings: SpindleSettings) -> _FilterBank:
        broad = design_bandpass(signal.rate, *settings.broad)
        sigma = design_bandpass(signal.rate, *settings.sigma, low_transition=1.5, high_transition=1.5)
        window = MovingWindow(rate=signal.rate, total=len(signal))
        return cls(broad, sigma, window, max(broad.size, sigma.size) // 2 + 1, round(MARGIN * signal.rate))


def _fit_band(settings: SpindleSettings, signal: Signal) -> SpindleSettings:
    """Settings with the broad band as far as the sampling rate reaches; the sigma band must fit."""
    highest = signal.rate / 2 - 2.0
    if highest < settings.sigma[1] + 3.0:
        raise SharpwaveError(
            f"a sampling rate of at least {2 * (settings.sigma[1] + 5.0):g} Hz to see spindles",
            got=f"{signal.rate:g} Hz in {signal.name!r}",
            fix="use a recording with a higher sampling rate",
        )
    return replace(settings, broad=(settings.broad[0], min(settings.broad[1], highest)))


def _iter_usable(
    signal: Signal, hypnogram: Hypnogram | None, bank: _FilterBank
) -> Iterator[tuple[Piece, Bool[np.ndarray, " time"]]]:
    """Pieces with some usable core, and where they are usable: signal present and the stage right."""
    for piece in iter_pieces(signal, pad=bank.margin + bank.reach):
        usable = mark_searchable(piece, signal, hypnogram=hypnogram, stages=NREM_STAGES, guard=GUARD)
        if usable[piece.pad : piece.pad + piece.length].any():
            yield piece, usable


def _find_rms_threshold(
    signal: Signal, hypnogram: Hypnogram | None, settings: SpindleSettings, bank: _FilterBank
) -> float:
    """Threshold of the moving RMS in µV from all usable samples; infinite where there are none."""
    statistics = TrimmedStatistics(cut=0.1, width=0.002, n_bins=100_000)
    for piece, usable in _iter_usable(signal, hypnogram, bank):
        sigma = filter_piece(piece.samples * MICROVOLTS, bank.sigma)
        begin, end = _windows(piece, bank)
        offset = piece.first - piece.pad
        rms = compute_moving_rms(sigma, begin - offset, end - offset)
        core = np.arange(piece.first, piece.first + piece.length)
        values = np.interp(core, (begin + end) / 2, rms, left=0, right=0)
        statistics.add(values[usable[piece.pad : piece.pad + piece.length]])
    if statistics.count < 2:
        return np.inf
    if not 0.01 < statistics.mean < 100:
        raise SharpwaveError(
            f"an EEG in volts, with some microvolts of sigma activity, in {signal.name!r}",
            got=f"{statistics.mean:.3g} µV",
            fix="check the unit, or use sharpwave.signals.rescale_signal where it is unknown",
        )
    return min(statistics.mean + settings.rms * statistics.trimmed_std, RMS_CEILING_UV)


def _windows(piece: Piece, bank: _FilterBank) -> tuple[np.ndarray, np.ndarray]:
    """Windows whose filtered samples are valid in this piece."""
    low = max(piece.first - bank.margin, 0)
    high = min(piece.first + piece.length + bank.margin, bank.window.total)
    return bank.window.bounds(low, high)


def _detect_in_piece(
    piece: Piece,
    usable: Bool[np.ndarray, " time"],
    broad: Float[np.ndarray, " time"],
    analytic: Complex[np.ndarray, " time"],
    *,
    signal: Signal,
    settings: SpindleSettings,
    bank: _FilterBank,
    rms_threshold: float,
) -> pd.DataFrame:
    """Spindles that start in the core of this piece, from its broad band and the analytic signal of its sigma band."""
    rate = signal.rate
    offset = piece.first - piece.pad
    sigma = np.ascontiguousarray(analytic.real)
    width = int(0.1 * rate)
    agreeing = _count_amplitude_criteria(piece, sigma, broad, settings=settings, bank=bank, rms_threshold=rms_threshold)
    candidates = runs((agreeing == 2) & usable)
    if not candidates.size:
        return join_events([], COLUMNS)

    # The share of sigma matters only near samples that meet the other two criteria.
    near = join_close(candidates, settings.join * rate + 4 * width) + np.array([-2 * width, 2 * width])
    indices = np.concatenate([np.arange(low, high) for low, high in np.clip(near, 0, agreeing.size)])
    inside = slice(max(-offset, 0), len(signal) - offset)
    broad[: inside.start] = broad[inside.stop :] = 0.0
    frames, share = _compute_sigma_share(broad, near, offset=offset, rate=rate, settings=settings)
    agreeing[indices] += np.interp(indices + offset, frames, share, left=0, right=0) >= settings.relative_power
    agreeing *= usable
    bouts = join_close(runs(_sum_around(agreeing, width) > 2 * width), settings.join * rate)
    length = (bouts[:, 1] - 1 - bouts[:, 0]) / rate
    mine = (bouts[:, 0] >= piece.pad) & (bouts[:, 0] < piece.pad + piece.length)
    bouts = bouts[mine & (length > settings.duration[0]) & (length < settings.duration[1])]
    rows = []
    for low, high in bouts:
        onset = signal.start + (low + offset) / rate
        covered = share[
            np.searchsorted(frames, low + offset) : np.searchsorted(frames, high - 1 + offset, side="right")
        ]
        rows.append(
            {
                "onset": onset,
                "duration": (high - 1 - low) / rate,
                "sigma_amplitude_uv": float(np.ptp(sigma[low:high])),
                "relative_power": _median(covered),
                **_describe_oscillation(analytic[low : high + 1], rate=rate),
                **_describe_waveform(broad[low:high], rate=rate, onset=onset),
            }
        )
    return pd.DataFrame(rows, columns=list(COLUMNS)).assign(label="spindle", channel=signal.name)


def _count_amplitude_criteria(
    piece: Piece,
    sigma: np.ndarray,
    broad: np.ndarray,
    *,
    settings: SpindleSettings,
    bank: _FilterBank,
    rms_threshold: float,
) -> np.ndarray:
    """How many of two criteria each sample meets: moving RMS and moving correlation."""
    origin = piece.first - piece.pad
    indices = np.arange(origin, origin + sigma.size)
    begin, end = _windows(piece, bank)
    centres = (begin + end) / 2
    begin, end = begin - origin, end - origin
    rms = compute_moving_rms(sigma, begin, end)
    count = (np.interp(indices, centres, rms, left=0, right=0) >= rms_threshold).astype(np.int16)
    correlation = compute_moving_correlation(sigma, broad, begin, end)
    count += np.interp(indices, centres, correlation, left=0, right=0) >= settings.correlation
    return count


def _sum_around(values: np.ndarray, width: int) -> np.ndarray:
    """Sum over `width` samples centred on each (the later middle one where `width` is even), zeros outside."""
    after = (width - 1) // 2
    total = np.concatenate(([0], np.cumsum(values, dtype=np.int64)))
    centre = np.arange(values.size)
    return total[np.minimum(centre + after + 1, values.size)] - total[np.maximum(centre + after + 1 - width, 0)]


def _compute_sigma_share(
    broad: np.ndarray, near: np.ndarray, *, offset: int, rate: float, settings: SpindleSettings
) -> tuple[np.ndarray, np.ndarray]:
    """Share of sigma in the broad power, in Hann windows of 2 s every 0.2 s on the clock of the recording.

    Args:
        broad: Broad-band signal of a piece in µV, shape (time,), zero outside the recording.
        near: Half-open ranges of samples that are needed, shape (range, 2).
        offset: Index in the recording of the piece's first sample.
        rate: Sampling rate in Hz.
        settings: Settings that hold the bands.

    Returns:
        Index in the recording of each window's centre, and its share.
    """
    size = int(2 * rate)
    hop = size - int(size - 0.2 * rate)
    first, last = (near[:, 0] + offset) // hop, -(-(near[:, 1] + offset) // hop)
    centres = np.unique(np.concatenate([np.arange(low, high + 1) for low, high in zip(first, last, strict=True)])) * hop
    starts = centres - size // 2 - offset
    whole = (starts >= 0) & (starts + size <= broad.size)
    centres, starts = centres[whole], starts[whole]
    frequencies = np.fft.rfftfreq(size, 1 / rate)
    in_broad = (frequencies >= settings.broad[0]) & (frequencies <= settings.broad[1])
    in_sigma = (frequencies >= settings.sigma[0]) & (frequencies <= settings.sigma[1])
    taper = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(size) / size)
    frames = np.lib.stride_tricks.sliding_window_view(broad, size)[starts] * taper
    spectrum = scipy.fft.rfft(frames, axis=1, overwrite_x=True)[:, in_broad]
    power = spectrum.real**2 + spectrum.imag**2
    with np.errstate(invalid="ignore", divide="ignore"):
        return centres, power[:, in_sigma[in_broad]].sum(axis=1) / power.sum(axis=1)


def _describe_oscillation(analytic: np.ndarray, *, rate: float) -> dict[str, float]:
    """Median frequency and log power of one spindle, from its analytic signal in the sigma band (one sample longer)."""
    speed = np.diff(np.angle(analytic)) * rate / (2 * np.pi)
    power = analytic[:-1].real ** 2 + analytic[:-1].imag ** 2
    return {"frequency": _median(speed[speed > 0]), "log_power_uv2": _median(np.log10(power[power > 0]))}


def _median(values: np.ndarray) -> float:
    """NumPy's median of few values, without what its checks cost."""
    if not values.size or np.isnan(values).any():
        return float("nan")
    ordered = np.sort(values)
    return float((ordered[(values.size - 1) // 2] + ordered[values.size // 2]) / 2)


def _describe_waveform(broad: np.ndarray, *, rate: float, onset: float) -> dict[str, float]:
    """Amplitude, RMS, number of oscillations, highest peak and symmetry of one detrended spindle."""
    from scipy.signal import find_peaks

    clock = np.arange(broad.size) - (broad.size - 1) / 2
    wave = broad - broad.mean() - clock * (clock @ broad) / (clock @ clock)
    peaks, properties = find_peaks(wave, distance=max(1.0, 0.06 * rate), prominence=(None, None))
    top = int(peaks[properties["prominences"].argmax()]) if peaks.size else int(wave.argmax())
    return {
        "amplitude_uv": float(np.ptp(wave)),
        "rms_uv": float(np.sqrt(np.mean(wave**2))),
        "oscillations": float(peaks.size),
        "peak": onset + top / rate,
        "symmetry": top / wave.size,
    }
