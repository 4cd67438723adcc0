"""A stream that small networks learn in a moment."""

from __future__ import annotations

import numpy as np
import pytest

from sharpwave.demonstrations.streams import ImageSet, Stream, split_classes


@pytest.fixture(scope="session")
def images() -> ImageSet:
    """Six classes of 4 by 4 pixels, each a pattern of its own with noise."""
    rng = np.random.default_rng(0)
    patterns = rng.integers(0, 200, size=(6, 1, 4, 4))

    def draw(n: int) -> tuple[np.ndarray, np.ndarray]:
        labels = np.arange(n) % 6
        return np.clip(patterns[labels] + rng.integers(0, 56, size=(n, 1, 4, 4)), 0, 255).astype(np.uint8), labels

    (x_train, y_train), (x_test, y_test) = draw(960), draw(240)
    return ImageSet("patterns", x_train, y_train, x_test, y_test)


@pytest.fixture(scope="session")
def stream(images: ImageSet) -> Stream:
    return split_classes(images, n_tasks=3, rng=np.random.default_rng(0))
