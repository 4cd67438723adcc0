"""What a stager promises."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from sharpwave.recordings.hypnogram import Hypnogram
from sharpwave.recordings.recording import Recording

Picks = Mapping[str, str]


class Stager(Protocol):
    """Stages a recorded night and says how well it is known to do so.

    Attributes:
        name: Key in `STAGERS`.

    >>> from sharpwave.recordings import Recording
    >>> from sharpwave.staging import load_stager
    >>> load_stager("yasa").accepts(Recording({}, species="human"), {})
    'no EEG channel'
    """

    name: str

    def accepts(self, recording: Recording, picks: Picks) -> str | None:
        """None if it can stage this recording with these signals, else the reason why not."""
        ...

    def stage(self, recording: Recording, picks: Picks) -> Hypnogram:
        """The hypnogram with the probability of each stage; NaN and unscored where the signal is missing.

        Its `scorer` names the method precisely ("YASA 0.5.0 classifier").
        """
        ...

    def validation(self, recording: Recording, picks: Picks) -> list[dict[str, Any]]:
        """How it did on subjects it was not trained on, from signals such as it stages this recording from.

        Rows of data, signals ("eeg", "lfp" or "wearable"), metric, value, low, high, n; none where nobody knows.
        """
        ...
