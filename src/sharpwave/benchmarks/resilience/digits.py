"""Scikit-learn's handwritten digits (UCI, Alpaydin & Kaynak 1998; shipped with the library) as a stream of tasks."""

from __future__ import annotations

import numpy as np

from sharpwave.benchmarks.continual.images import ImageSet
from sharpwave.benchmarks.continual.streams import Stream, split_classes
from sharpwave.errors import MissingExtraError


def load_digits() -> ImageSet:
    """The 1797 digits of 8 by 8 pixels; every fourth is for testing."""
    try:
        from sklearn.datasets import load_digits as load
    except ImportError as error:
        raise MissingExtraError("scikit-learn", extra="brain") from error
    found = load()
    images = np.round(found.images * (255 / 16)).astype(np.uint8)[:, None]
    labels = found.target.astype(np.int64)
    tested = np.arange(len(labels)) % 4 == 0
    return ImageSet("digits", images[~tested], labels[~tested], images[tested], labels[tested])


def stream_digits(*, seed: int) -> Stream:
    """Five tasks of two digits each; which ones is drawn."""
    return split_classes(load_digits(), n_tasks=5, rng=np.random.default_rng(seed))
