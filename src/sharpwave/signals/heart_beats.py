"""What the times of heart beats say of each epoch: rate, variability, its bands, and how breathing moves them.

Windows are centred on the epoch and look ahead by up to 2.5 min: for recorded nights, never for a forecast. Times of
beats come from a table of beats or of intervals, from a heart rate that has a value for each beat, or from an ECG.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from sharpwave.errors import SharpwaveError
from sharpwave.recordings.recording import Signal

PLAUSIBLE = (0.3, 2.0)
"""Seconds between beats that a sleeper's heart can have: outside lies a missed beat, or one too many."""
UNLIKE_NEIGHBOURS = 0.25
"""Share by which an interval may differ from the median of the eleven round it; what differs more is an extra beat."""
EPOCH = 30.0
RATE = 4.0
"""Hz at which intervals are interpolated."""
SHORT, LONG = 120.0, 300.0
"""Seconds of the windows of the fast bands and of the slow ones (Task Force 1996, 10.1161/01.CIR.93.5.1043)."""
LONGEST_GAP = 10.0
"""Seconds without a usable interval that are bridged."""
LEAST_KNOWN = 0.5
"""Share of a window that must be known."""
VERY_LOW, LOW, HIGH = (0.005, 0.04), (0.04, 0.15), (0.15, 0.45)
"""Hz."""
MEASURES = (
    "rate",
    "deviation",
    "successive",
    "rise",
    "fall",
    "deviation_long",
    "successive_long",
    "very_low",
    "low",
    "high",
    "low_to_high",
    "breathing",
    "regularity",
    "slow_share",
    "persistence",
)
"""Names of the measures of an epoch, in the order of `compute_beat_measures`."""


def clean_intervals(
    beats: Float[np.ndarray, " beat"],
) -> tuple[Float[np.ndarray, " interval"], Float[np.ndarray, " interval"]]:
    """Intervals between beats in seconds, and the time at which each ends; implausible ones are left out.

    Args:
        beats: Times of beats in seconds, rising.

    >>> intervals, times = clean_intervals(np.r_[np.arange(0, 20, 0.8), np.arange(30, 40, 0.8)])
    >>> len(intervals), float(intervals.max().round(2))
    (36, 0.8)
    """
    from scipy.ndimage import median_filter

    intervals, times = np.diff(beats), np.asarray(beats[1:], dtype=np.float64)
    usual = (intervals >= PLAUSIBLE[0]) & (intervals <= PLAUSIBLE[1])
    intervals, times = intervals[usual], times[usual]
    if len(intervals) == 0:
        return intervals, times
    median = median_filter(intervals, 11, mode="nearest")
    alike = np.abs(intervals - median) <= UNLIKE_NEIGHBOURS * median
    return intervals[alike], times[alike]


def compute_beat_measures(
    beats: Float[np.ndarray, " beat"], n_epochs: int, *, start: float = 0.0
) -> Float[np.ndarray, "epoch measure"]:
    """`MEASURES` of each 30 s epoch; NaN where fewer than half of the beats round it are known.

    `rate` is the log of beats a minute, `deviation` and `successive` the logs of the intervals' standard deviation and
    of the root mean square of their successive differences (s), within the epoch and (`_long`) within 5 min, `rise` and
    `fall` how far the rate goes above and below its median of 5 min within the epoch. `very_low`, `low` and `high` are
    logs of band power (s²) of the intervals, `low_to_high` the log of their ratio. `breathing` is the frequency (Hz) at
    which the high band peaks, `regularity` the share of its power within 0.03 Hz of that, `slow_share` the share of
    all power that is very low, `persistence` the correlation of the rate's means of 10 s with the next one's.

    Args:
        beats: Times of beats in seconds, rising.
        n_epochs: Number of epochs.
        start: Start of the first epoch in seconds, by default 0.

    >>> compute_beat_measures(np.arange(0, 600, 0.8), 20).shape
    (20, 15)
    """
    intervals, times = clean_intervals(np.asarray(beats, dtype=np.float64))
    if len(intervals) < 10:
        return np.full((n_epochs, len(MEASURES)), np.nan)
    margin = int(LONG * RATE / 2)
    moments = start + (np.arange(int(n_epochs * EPOCH * RATE) + 2 * margin) - margin) / RATE
    after = np.clip(np.searchsorted(times, moments), 1, len(times) - 1)
    known = (times[after] - times[after - 1] <= LONGEST_GAP) & (moments >= times[0]) & (moments <= times[-1])
    series = np.where(known, np.interp(moments, times, intervals), np.nan)
    steps = np.diff(intervals)
    steps = np.where(np.diff(times) <= PLAUSIBLE[1], steps, np.nan)  # not across what was left out
    step_series = np.where(known, _hold(times[1:], steps**2, moments), np.nan)

    def window(values: np.ndarray, seconds: float) -> Float[np.ndarray, "epoch sample"]:
        length, hop = int(seconds * RATE), int(EPOCH * RATE)
        first = margin + hop // 2 - length // 2
        return np.lib.stride_tricks.sliding_window_view(values, length)[first::hop][:n_epochs]

    epoch, short, long = (window(series, seconds) for seconds in (EPOCH, SHORT, LONG))
    with np.errstate(invalid="ignore", divide="ignore"), _without_empty_means():
        usual = np.nanmedian(1 / long, axis=1)
        columns = {
            "rate": np.log(60 * np.nanmean(1 / epoch, axis=1)),
            "deviation": np.log(np.nanstd(epoch, axis=1) + 1e-3),
            "successive": 0.5 * np.log(np.nanmean(window(step_series, EPOCH), axis=1) + 1e-6),
            "rise": np.nanmax(1 / epoch, axis=1) / usual - 1,
            "fall": 1 - np.nanmin(1 / epoch, axis=1) / usual,
            "deviation_long": np.log(np.nanstd(long, axis=1) + 1e-3),
            "successive_long": 0.5 * np.log(np.nanmean(window(step_series, LONG), axis=1) + 1e-6),
        }
        columns |= _measure_bands(short, long)
        columns["persistence"] = _correlate_next(long)
    out = np.stack([columns[name] for name in MEASURES], axis=1)
    scarce = (np.isfinite(epoch).mean(axis=1) < LEAST_KNOWN) | (np.isfinite(long).mean(axis=1) < LEAST_KNOWN / 2)
    out[scarce] = np.nan
    return out


def _hold(times: np.ndarray, values: np.ndarray, moments: np.ndarray) -> np.ndarray:
    """The value of the interval that is under way at each moment."""
    return values[np.clip(np.searchsorted(times, moments), 0, len(times) - 1)]


def _measure_bands(
    short: Float[np.ndarray, "epoch fast"], long: Float[np.ndarray, "epoch slow"]
) -> dict[str, Float[np.ndarray, " epoch"]]:
    fast, power = _compute_spectrum(short)
    slow, slow_power = _compute_spectrum(long)
    inside = (fast >= HIGH[0]) & (fast < HIGH[1])
    band, centres = power[:, inside], fast[inside]
    peak = centres[band.argmax(axis=1)]
    near = np.abs(centres[None] - peak[:, None]) <= 0.03
    total = np.maximum(band.sum(axis=1), 1e-12)
    very_low = _sum_band(slow, slow_power, VERY_LOW)
    low, high = _sum_band(fast, power, LOW), _sum_band(fast, power, HIGH)
    everything = _sum_band(slow, slow_power, (VERY_LOW[0], HIGH[1]))
    return {
        "very_low": np.log(very_low + 1e-7),
        "low": np.log(low + 1e-7),
        "high": np.log(high + 1e-7),
        "low_to_high": np.log((low + 1e-7) / (high + 1e-7)),
        "breathing": (band * centres).sum(axis=1) / total,
        "regularity": (band * near).sum(axis=1) / total,
        "slow_share": very_low / np.maximum(everything, 1e-12),
    }


def _compute_spectrum(windows: Float[np.ndarray, "epoch sample"]) -> tuple[np.ndarray, np.ndarray]:
    """Frequencies, and power of each window (Hann, without its line); what is missing is at its mean."""
    length = windows.shape[1]
    centred = np.nan_to_num(windows - np.nanmean(windows, axis=1, keepdims=True))
    line = np.linspace(-1, 1, length)
    centred = centred - (centred @ line / (line @ line))[:, None] * line
    taper = np.hanning(length)
    power = np.abs(np.fft.rfft(centred * taper, axis=1)) ** 2 * 2 / (RATE * (taper**2).sum())
    return np.fft.rfftfreq(length, 1 / RATE), power * RATE / length


def _sum_band(frequencies: np.ndarray, power: np.ndarray, band: Sequence[float]) -> Float[np.ndarray, " epoch"]:
    return power[:, (frequencies >= band[0]) & (frequencies < band[1])].sum(axis=1)


def _correlate_next(windows: Float[np.ndarray, "epoch sample"]) -> Float[np.ndarray, " epoch"]:
    """Correlation of means of 10 s with the next one's, within each window."""
    length = int(10 * RATE)
    means = np.nanmean(windows[:, : windows.shape[1] // length * length].reshape(len(windows), -1, length), axis=2)
    centred = np.nan_to_num(means - np.nanmean(means, axis=1, keepdims=True))
    return (centred[:, 1:] * centred[:, :-1]).sum(axis=1) / np.maximum((centred**2).sum(axis=1), 1e-12)


BEATS_IN_A_ROW = 20
"""Intervals whose sum is compared with the time that has passed."""
LEAST_ALIKE = 0.8
"""Share of such stretches in which both agree within `WITHIN`, for a heart rate to have a value for each beat."""
WITHIN = 0.1
LEAST_FOLLOWED = 0.7
"""Least correlation of the times between values with the intervals that the values say."""
FOLLOWED_OVER = (5, 100)
"""Values over which both are summed: few where times are exact, many where they were rounded."""


def find_rate_beats(signal: Signal) -> Float[np.ndarray, " beat"] | None:
    """Times of beats (s) of a heart rate that has a value for each beat; None where values come at other times.

    A value a second is no value for each beat, though at 60 beats a minute the two look alike: the time from value to
    value must follow what the values say. Times that were rounded to whole seconds are mended by summing intervals.

    Args:
        signal: Heart rate in beats a minute.

    >>> from sharpwave.recordings.modality import MODALITIES
    >>> gaps = np.random.default_rng(0).uniform(0.7, 1.1, 500)
    >>> beats = np.cumsum(gaps)
    >>> pulse = Signal("rr", 60 / gaps, 1.1, MODALITIES["heart_rate"], times=beats)
    >>> len(find_rate_beats(pulse))
    501
    """
    if signal.times is None or len(signal.samples.shape) != 1:
        return None
    values, times = signal.read(dtype=np.float64), np.asarray(signal.times, dtype=np.float64)
    known = np.isfinite(values) & (values > 0)
    if known.sum() < 10 * BEATS_IN_A_ROW:
        return None
    said = np.where(known, 60 / np.where(known, values, 1.0), np.nan)[1:]
    passed = np.diff(times)
    n = len(passed) // BEATS_IN_A_ROW * BEATS_IN_A_ROW
    blocks, spans = said[:n].reshape(-1, BEATS_IN_A_ROW), passed[:n].reshape(-1, BEATS_IN_A_ROW).sum(axis=1)
    sums = blocks.sum(axis=1)
    whole = np.isfinite(sums) & (spans < BEATS_IN_A_ROW * PLAUSIBLE[1])
    if whole.sum() < 5 or (np.abs(sums[whole] / spans[whole] - 1) < WITHIN).mean() < LEAST_ALIKE:
        return None
    usual = np.isfinite(said) & (passed < 2 * PLAUSIBLE[1])
    if max(_follow(said, passed, usual, length) for length in FOLLOWED_OVER) < LEAST_FOLLOWED:
        return None
    first = times[0] - (60 / values[0] if known[0] else np.nan)
    rounded = np.mean(np.abs(times - np.rint(times)) < 1e-6) > 0.9
    beats = _sum_intervals(said, times) if rounded else times
    return np.r_[first, beats] if np.isfinite(first) else beats


def _follow(said: np.ndarray, passed: np.ndarray, usual: np.ndarray, length: int) -> float:
    """Correlation of both sums over so many values, of stretches without a gap; 0 where either hardly changes."""
    ones = np.ones(length)
    sums = [np.convolve(np.where(usual, one, 0.0), ones, "valid") for one in (said, passed)]
    whole = np.convolve(usual, ones, "valid") > length - 0.5
    a, b = (one[whole] for one in sums)
    if len(a) < 2 or min(a.std(), b.std()) < 1e-3:
        return 0.0
    return float(np.corrcoef(a, b)[0, 1])


def _sum_intervals(said: np.ndarray, times: np.ndarray) -> np.ndarray:
    """Times by summing intervals, taken up anew where they are a second or more from the clock."""
    out = times.astype(np.float64).copy()
    for index in range(1, len(out)):
        step = said[index - 1]
        ahead = out[index - 1] + step
        out[index] = (
            ahead if np.isfinite(step) and abs(ahead - times[index]) < 1.5 else max(times[index], out[index - 1])
        )
    return out


QRS = (8.0, 25.0)
"""Hz in which a beat stands out of an ECG."""
PIECE, OVERLAP = 600.0, 5.0
"""Seconds that are read at a time, and to either side of them."""
LEAST_RATE = 60.0
"""Hz below which an ECG is too slow for the times of beats."""


def detect_beats(ecg: Signal) -> Float[np.ndarray, " beat"]:
    """Times (s) of the beats of an ECG of either polarity, read a piece at a time.

    A beat is where the energy in 8 to 25 Hz passes three tenths of what it usually reaches in the 10 s round it, and no
    larger peak is within a third of a second; its time is that of the largest deflection.

    MNE's `qrs_detector` has one threshold for a whole piece. On recorded beats planted at the annotated times of 11
    people of slpdb (15 min each), this finds .999, .980 and .915 of them (quiet; noisy, the gain falling to a third
    half way; very noisy) and MNE in pieces of 20 s, its best, .995, .942 and .825; precision is 1.000, .948, .911 and
    1.000, .956, .911. Without pieces MNE finds .994, .801, .775.

    Args:
        ecg: One channel of at least 60 Hz.

    Raises:
        SharpwaveError: If it is slower.
    """
    from scipy.signal import butter, find_peaks, sosfiltfilt

    if ecg.rate < LEAST_RATE:
        raise SharpwaveError(
            f"an ECG of at least {LEAST_RATE:g} Hz",
            got=f"{ecg.name} at {ecg.rate:g} Hz",
            fix="export it faster, or give the times of beats",
        )
    found: list[np.ndarray] = []
    filters = butter(2, QRS, "bandpass", fs=ecg.rate, output="sos")
    width, block = max(int(0.1 * ecg.rate), 1), int(2 * ecg.rate)
    begin = ecg.start
    while begin < ecg.end:
        early = max(begin - OVERLAP, ecg.start)
        samples = np.nan_to_num(ecg.read(early, min(begin + PIECE + OVERLAP, ecg.end), dtype=np.float64))
        if len(samples) >= 5 * block:
            fast = sosfiltfilt(filters, samples)
            energy = np.convolve(fast**2, np.ones(width) / width, "same")
            heights = energy[: len(energy) // block * block].reshape(-1, block).max(axis=1)
            usual = np.array([np.median(heights[max(i - 2, 0) : i + 3]) for i in range(len(heights))])
            level = 0.3 * usual[np.minimum(np.arange(len(energy)) // block, len(usual) - 1)]
            peaks, _ = find_peaks(energy, height=np.maximum(level, 1e-30), distance=max(int(ecg.rate / 3), 1))
            near = np.clip(peaks[:, None] + np.arange(-width, width + 1), 0, len(fast) - 1)
            peaks = near[np.arange(len(peaks)), np.abs(fast[near]).argmax(axis=1)]
            times = early + peaks / ecg.rate
            found.append(times[(times >= begin) & (times < begin + PIECE)])
        begin += PIECE
    return np.unique(np.concatenate(found)) if found else np.zeros(0)


def _without_empty_means() -> warnings.catch_warnings:  # type: ignore[type-arg]
    return warnings.catch_warnings(action="ignore", category=RuntimeWarning)
