from __future__ import annotations

from sharpwave.demonstrations.words import demonstrate_words


def test_sleep_keeps_the_first_language_for_fifteen_per_cent() -> None:
    kept = demonstrate_words(seeds=[5])
    assert kept.without[0] <= 0.3
    assert kept.with_sleep[0] >= 0.8
    assert kept.second[0] >= 0.8
    assert kept.added <= 0.155
    assert "100%" in kept.describe() or "90%" in kept.describe() or "80%" in kept.describe()
