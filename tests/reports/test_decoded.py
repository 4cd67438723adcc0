from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from sharpwave import SharpwaveError
from sharpwave.night.decoded import DecodedNight, Spectrogram


def test_unknown_verdict_is_refused(night: DecodedNight) -> None:
    with pytest.raises(
        SharpwaveError, match="expected a verdict among usable, usable with care, not usable; got 'fine'"
    ):
        replace(night, verdict="fine")


def test_table_without_its_columns_is_refused(night: DecodedNight) -> None:
    with pytest.raises(
        SharpwaveError, match=r"'events' with the columns onset, duration, label; got onset.*add duration, label"
    ):
        replace(night, events=pd.DataFrame({"onset": [1.0]}))


def test_transposed_spectrogram_is_refused(night: DecodedNight) -> None:
    times, frequencies, power = night.spectrogram
    with pytest.raises(
        SharpwaveError, match=r"spectrogram of shape \(99, 960\) \(frequency, time\); got shape \(960, 99\)"
    ):
        replace(night, spectrogram=(times, frequencies, power.T))


def test_plain_tuple_becomes_a_spectrogram(night: DecodedNight) -> None:
    again = replace(night, spectrogram=tuple(night.spectrogram))
    assert isinstance(again.spectrogram, Spectrogram)
    np.testing.assert_array_equal(again.spectrogram.power_db, night.spectrogram.power_db)
