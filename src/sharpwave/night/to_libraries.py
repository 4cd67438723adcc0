"""A decoded night as other libraries want it: MNE's annotations and pynapple's epochs."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import pandas as pd

from sharpwave.recordings.hypnogram import Hypnogram

if TYPE_CHECKING:
    import mne
    import pynapple as nap

SHORTEST = 1e-3
"""Seconds that an event without duration lasts as an epoch."""


def to_annotations(hypnogram: Hypnogram, events: pd.DataFrame) -> mne.Annotations:
    """Stages and events as MNE's annotations, for `raw.set_annotations`; an unscored epoch is left out.

    Args:
        hypnogram: Stages; they are named "Sleep stage W", "Sleep stage N2" and so on, as in EDF+.
        events: onset and duration (s from the start of the recording), label; may be empty.

    >>> from sharpwave.recordings import Hypnogram
    >>> to_annotations(Hypnogram.from_labels(["W", "N2", "N2"]), pd.DataFrame()).description.tolist()
    ['Sleep stage W', 'Sleep stage N2']
    """
    import mne

    spans = _list_spans(hypnogram, events, prefix="Sleep stage ")
    return mne.Annotations(spans["onset"].to_numpy(), spans["duration"].to_numpy(), spans["label"].tolist())


def to_epochs(hypnogram: Hypnogram, events: pd.DataFrame) -> dict[str, nap.IntervalSet]:
    """Stages and events as pynapple's epochs by name; what touches or overlaps is joined, as pynapple does.

    Args:
        hypnogram: Stages, named "W", "N2" and so on.
        events: onset and duration (s from the start of the recording), label; may be empty.

    >>> from sharpwave.recordings import Hypnogram
    >>> epochs = to_epochs(Hypnogram.from_labels(["W", "N2", "N2"]), pd.DataFrame())
    >>> epochs["N2"].start.tolist(), epochs["N2"].end.tolist()
    ([30.0], [90.0])
    """
    import pynapple as nap

    spans = _list_spans(hypnogram, events)
    with warnings.catch_warnings():  # it warns of each span that it joins
        warnings.simplefilter("ignore")
        return {
            str(label): nap.IntervalSet(
                rows["onset"].to_numpy(), (rows["onset"] + rows["duration"].clip(lower=SHORTEST)).to_numpy()
            )
            for label, rows in spans.groupby("label")
        }


def _list_spans(hypnogram: Hypnogram, events: pd.DataFrame, *, prefix: str = "") -> pd.DataFrame:
    """One row a bout or event: onset, duration (s), label."""
    bouts = hypnogram.bouts().rename(columns={"stage": "label"})
    bouts = bouts[bouts["label"] != "?"]
    tables = [bouts.assign(label=prefix + bouts["label"].astype(str))] if len(bouts) else []
    if len(events):
        tables.append(events[["onset", "duration", "label"]].fillna({"duration": 0.0}).astype({"label": str}))
    if not tables:
        return pd.DataFrame({"onset": [], "duration": [], "label": []})
    return pd.concat(tables, ignore_index=True).sort_values("onset", kind="stable", ignore_index=True)
