"""Spectra by stage: band power by stage and sleep cycle, and the aperiodic part that lies under the rhythms.

The aperiodic part is separated by IRASA (Wen and Liu 2016, 10.1007/s10548-015-0448-0) as YASA has it: YASA is kept,
released and asked for already, while specparam 2 is a release candidate and its fits depend on settings of peaks. Each
epoch is separated by itself, so that no edge between joined epochs adds power, and the median over epochs is fitted:

    log10 P(f) = offset − exponent · log10 f,    f within the fitted band

IRASA reads the original spectrum from the lower edge / 1.9 to the upper edge · 1.9, so the band ends at 1/1.9 of half
the sampling rate at most, and 30 Hz. A high-pass filter of the recording above 0.5 Hz still makes the exponent smaller.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int

from sharpwave.errors import MissingExtraError, SharpwaveError
from sharpwave.recordings import Hypnogram, Signal
from sharpwave.signals.pieces import MICROVOLTS, read_piece
from sharpwave.signals.spectra import BANDS

FEWEST = 4
"""Epochs below which no spectrum of a stage is given."""
MOST_FITTED = 40
"""Epochs of each stage, spread over the night, from which its aperiodic part is fitted."""
FACTORS = tuple(np.round(np.arange(1.1, 1.95, 0.05), 2).tolist())
"""Factors by which IRASA resamples; YASA's."""
FIT_BAND = (1.0, 30.0)
N_RESAMPLES = 200


def mark_clean(
    times: Float[np.ndarray, " epoch"], length: float, spans: pd.DataFrame | None
) -> Bool[np.ndarray, " epoch"]:
    """Epochs that no span of bad signal touches.

    Args:
        times: Middle of each epoch, in seconds.
        length: Length of an epoch, in seconds.
        spans: Columns onset, duration (s); None or empty where nothing is bad.

    >>> mark_clean(np.array([15.0, 45.0]), 30.0, pd.DataFrame({"onset": [31.0], "duration": [2.0]})).tolist()
    [True, False]
    """
    clean = np.ones(len(times), dtype=bool)
    if spans is None:
        return clean
    for onset, duration in spans[["onset", "duration"]].to_numpy(dtype=float):
        clean &= (times + length / 2 <= onset) | (times - length / 2 >= onset + duration)
    return clean


def summarise_spectra(
    power: Float[np.ndarray, "epoch frequency"],
    frequencies: Float[np.ndarray, " frequency"],
    stages: Int[np.ndarray, " epoch"],
    names: Sequence[str],
    *,
    cycles: Int[np.ndarray, " epoch"] | None = None,
    bands: Mapping[str, tuple[float, float]] | None = None,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Median spectrum of each stage, and band power by stage and cycle.

    Args:
        power: Power density of each epoch in µV²/Hz; NaN rows are left out.
        frequencies: Frequencies in Hz, evenly spaced.
        stages: Stage code of each epoch; negative leaves the epoch out.
        names: Names of the stages, by code.
        cycles: Number of the sleep cycle of each epoch, 0 outside of all; None gives no rows by cycle.
        bands: Edges in Hz by name, lower edge within; None takes those of `BANDS` that the frequencies hold.

    Returns:
        Curves: `frequency` and one column a stage, in µV²/Hz. Power: `stage`, `cycle` ("all", or its number), `epochs`,
        and for each band its median power over epochs in µV² and, as `NAME_share`, its median share (0 to 1) of the
        power between the lowest and the highest edge. Fewer than 4 epochs give no row.

    >>> density = np.ones((8, 121))
    >>> curves, table = summarise_spectra(density, np.arange(121) / 4, np.full(8, 2), ("W", "N1", "N2", "N3", "R"))
    >>> table[["stage", "cycle", "epochs", "delta", "sigma"]].to_numpy().tolist()
    [['N2', 'all', 8, 3.5, 4.0]]
    """
    step = float(frequencies[1] - frequencies[0])
    top = float(frequencies[-1]) + step / 2
    bands = {name: edges for name, edges in (bands or BANDS).items() if edges[1] <= top}
    known = np.isfinite(power).all(axis=1) & (stages >= 0)
    low, high = min(edge for edge, _ in bands.values()), max(edge for _, edge in bands.values())

    def integrate(first: float, last: float) -> np.ndarray:
        inside = (frequencies >= first) & (frequencies < last)
        return np.asarray(power[:, inside].sum(axis=1, dtype=float) * step)

    absolute = {name: integrate(*edges) for name, edges in bands.items()}
    whole = np.maximum(integrate(low, high), 1e-12)
    curves: dict[str, np.ndarray] = {"frequency": np.asarray(frequencies, dtype=float)}
    rows = []
    for code, name in enumerate(names):
        mine = known & (stages == code)
        if mine.sum() >= FEWEST:
            curves[name] = np.median(power[mine], axis=0).astype(float)
        numbers = [] if cycles is None else [int(number) for number in np.unique(cycles[mine]) if number > 0]
        for cycle, where in [("all", mine), *[(str(number), mine & (cycles == number)) for number in numbers]]:
            if where.sum() >= FEWEST:
                row: dict[str, object] = {"stage": name, "cycle": cycle, "epochs": int(where.sum())}
                row |= {band: float(np.median(values[where])) for band, values in absolute.items()}
                row |= {f"{band}_share": float(np.median((v / whole)[where])) for band, v in absolute.items()}
                rows.append(row)
    return pd.DataFrame(curves), pd.DataFrame(rows)


def fit_aperiodic(
    signal: Signal,
    hypnogram: Hypnogram,
    *,
    rng: np.random.Generator,
    clean: Bool[np.ndarray, " epoch"] | None = None,
    most: int = MOST_FITTED,
) -> pd.DataFrame:
    """Exponent and offset of the aperiodic part of each stage's spectrum, by IRASA, with an interval over epochs.

    Args:
        signal: One channel, in V.
        hypnogram: Stages; epochs of at least 8 s.
        rng: Source of randomness of the intervals.
        clean: Which epochs have a good signal; None takes all.
        most: Largest number of epochs of a stage to read, evenly spread over the night; 40 by default.

    Returns:
        One row a stage with 4 epochs and more: `stage`, `exponent`, `low`, `high` (95 %, bootstrap over epochs),
        `offset` (log10 of µV²/Hz at 1 Hz), `fit` (R² of the line), `from_hz`, `to_hz`, `epochs`.

    Raises:
        MissingExtraError: If YASA is not installed.
        SharpwaveError: If epochs are shorter than 8 s, or the rate is too low to fit 1 to 12 Hz.
    """
    to_hz = min(FIT_BAND[1], 0.95 * signal.rate / 2 / FACTORS[-1])
    if hypnogram.epoch_length < 8 or to_hz < 12:
        raise SharpwaveError(
            "epochs of at least 8 s and a rate of at least 50 Hz to separate the aperiodic part",
            got=f"{hypnogram.epoch_length:g} s at {signal.rate:g} Hz",
            fix="use a channel with a higher rate, or stage in longer epochs",
        )
    rows = []
    for code, name in enumerate(hypnogram.names):
        index = np.flatnonzero((hypnogram.stages == code) & (True if clean is None else clean))
        if len(index) > most:
            index = index[np.linspace(0, len(index) - 1, most).round().astype(int)]
        samples = _read_epochs(signal, hypnogram, index)
        if len(samples) < FEWEST:
            continue
        frequencies, aperiodic = _separate(samples, rate=signal.rate, band=(FIT_BAND[0], to_hz))
        exponent, offset, fit = _fit_line(frequencies, np.median(aperiodic, axis=0))
        draws = [
            _fit_line(frequencies, np.median(aperiodic[rng.integers(0, len(samples), len(samples))], axis=0))[0]
            for _ in range(N_RESAMPLES)
        ]
        low, high = np.quantile(draws, [0.025, 0.975])
        rows.append(
            {"stage": name, "exponent": exponent, "low": float(low), "high": float(high), "offset": offset,
             "fit": fit, "from_hz": FIT_BAND[0], "to_hz": round(to_hz, 2), "epochs": len(samples)}
        )  # fmt: skip
    return pd.DataFrame(rows)


def _read_epochs(signal: Signal, hypnogram: Hypnogram, index: np.ndarray) -> Float[np.ndarray, "epoch time"]:
    """Whole epochs without gaps or a flat signal, in µV."""
    size = int(hypnogram.epoch_length * signal.rate)
    read = []
    for onset in hypnogram.onsets[index]:
        first = round((onset - signal.start) * signal.rate)
        if first < 0 or first + size > len(signal):
            continue
        piece = read_piece(signal, first, size, pad=0)
        if not piece.missing.any() and np.ptp(piece.samples) > 0:
            read.append(piece.samples * MICROVOLTS)
    return np.array(read).reshape(len(read), size)


def _separate(
    samples: Float[np.ndarray, "epoch time"], *, rate: float, band: tuple[float, float]
) -> tuple[Float[np.ndarray, " frequency"], Float[np.ndarray, "epoch frequency"]]:
    """The aperiodic density of each epoch by itself: each is a channel to YASA."""
    import warnings

    irasa = _load_irasa()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of names and verbosity; the band keeps the rules
        frequencies, aperiodic, _ = irasa(
            samples, sf=rate, band=band, hset=list(FACTORS), return_fit=False, win_sec=4, verbose="ERROR"
        )
    return np.asarray(frequencies, dtype=float), np.atleast_2d(np.asarray(aperiodic, dtype=float))


@lru_cache(maxsize=1)
def _load_irasa() -> Callable[..., Any]:
    """YASA's function from its own file: the whole package brings figures and statistics, half a second of CPU."""
    package = find_spec("yasa")
    if package is None or not package.submodule_search_locations:
        raise MissingExtraError("yasa", extra="brain")
    parent = ModuleType("_yasa_alone")
    parent.__path__ = [*package.submodule_search_locations]
    sys.modules[parent.__name__] = parent
    return import_module("_yasa_alone.spectral").irasa


def _fit_line(
    frequencies: Float[np.ndarray, " frequency"], density: Float[np.ndarray, " frequency"]
) -> tuple[float, float, float]:
    """Exponent, offset and R² of a straight line in log-log, frequencies evenly spaced on the logarithm."""
    x, y = np.log10(frequencies), np.log10(np.maximum(density, 1e-12))
    even = np.linspace(x[0], x[-1], len(x))
    y = np.interp(even, x, y)
    slope, offset = np.polyfit(even, y, 1)
    left = y - (offset + slope * even)
    return float(-slope), float(offset), float(1 - left.var() / max(y.var(), 1e-12))
