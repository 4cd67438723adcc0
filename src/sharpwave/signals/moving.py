"""Moving statistics on the clock of the whole recording, computed from any piece of it."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float, Int


@dataclass(frozen=True)
class MovingWindow:
    """Windows of fixed length whose centres lie on a fixed grid of the recording, as in YASA's `moving_transform`.

    Attributes:
        rate: Sampling rate in Hz.
        total: Samples in the recording; windows are cut at its ends.
        window: Length of the window in seconds.
        step: Distance of the centres in seconds.
    """

    rate: float
    total: int
    window: float = 0.3
    step: float = 0.1

    def bounds(self, low: int, high: int) -> tuple[Int[np.ndarray, " window"], Int[np.ndarray, " window"]]:
        """First sample and end (exclusive) of every window that lies wholly within the samples [low, high)."""
        half = self.window / 2
        first = max(0, int((low / self.rate) / self.step) - 2)
        last = min(int(np.ceil(self.total / self.rate / self.step)), int((high / self.rate) / self.step) + 3)
        centres = np.arange(first, last) * self.step
        centres = centres[centres < self.total / self.rate]
        begin = np.maximum(((centres - half) * self.rate).astype(np.int64), 0)
        end = ((centres + half) * self.rate).astype(np.int64)
        end[end > self.total - 1] = self.total
        inside = (begin >= low) & (end <= high)
        return begin[inside], end[inside]


def compute_moving_rms(
    samples: Float[np.ndarray, " time"], begin: Int[np.ndarray, " window"], end: Int[np.ndarray, " window"]
) -> Float[np.ndarray, " window"]:
    """Root mean square of each window [begin, end) of `samples`."""
    return np.sqrt(_window_sums(samples * samples, begin, end) / (end - begin))


def compute_moving_correlation(
    first: Float[np.ndarray, " time"],
    second: Float[np.ndarray, " time"],
    begin: Int[np.ndarray, " window"],
    end: Int[np.ndarray, " window"],
) -> Float[np.ndarray, " window"]:
    """Pearson correlation of two signals in each window [begin, end); NaN where one is constant."""
    count = (end - begin).astype(float)
    sum_first, sum_second = _window_sums(first, begin, end), _window_sums(second, begin, end)
    product = _window_sums(first * second, begin, end) - sum_first * sum_second / count
    spread_first = _window_sums(first * first, begin, end) - sum_first**2 / count
    spread_second = _window_sums(second * second, begin, end) - sum_second**2 / count
    scale = np.sqrt(np.maximum(spread_first, 0) * np.maximum(spread_second, 0))
    return np.divide(product, scale, out=np.full(count.shape, np.nan), where=(scale > 0) & (count >= 2))


def _window_sums(values: np.ndarray, begin: np.ndarray, end: np.ndarray) -> np.ndarray:
    total = np.concatenate(([0.0], np.cumsum(values)))
    return total[end] - total[begin]


@dataclass
class TrimmedStatistics:
    """Mean and trimmed standard deviation of values that arrive in parts, in constant memory.

    Values are counted in narrow bins with their sums, so only the two bins that the trimming cuts are approximate.

    Attributes:
        cut: Share left out at either end.
        width: Width of a bin.
        n_bins: Number of bins from 0; the last takes everything above.
    """

    cut: float
    width: float
    n_bins: int
    _sums: Float[np.ndarray, "power bin"] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._sums = np.zeros((3, self.n_bins))

    def add(self, values: Float[np.ndarray, " value"]) -> None:
        """Take in values that are not negative."""
        bins = np.fmin(values / self.width, self.n_bins - 1).astype(np.int64)  # first, since no integer holds 1e300
        for power, weights in enumerate((None, values, values * values)):
            self._sums[power] += np.bincount(bins, weights=weights, minlength=self.n_bins)

    @property
    def count(self) -> int:
        return int(self._sums[0].sum())

    @property
    def mean(self) -> float:
        return float(self._sums[1].sum() / self.count)

    @property
    def trimmed_std(self) -> float:
        """Sample standard deviation of what is left after cutting `cut` of the values at either end."""
        counts = self._sums[0]
        n_cut = int(self.cut * self.count)
        after = np.cumsum(counts)
        kept = np.minimum(after, self.count - n_cut) - np.maximum(after - counts, n_cut)
        share = np.clip(kept, 0, None) / np.maximum(counts, 1)
        n_kept, total, squares = (self._sums * share).sum(axis=1)
        return float(np.sqrt(max(squares - total**2 / n_kept, 0.0) / (n_kept - 1)))
