"""One specification and encoder a modality, one file a family; `ENCODERS` is the line that adds one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, MutableMapping
from importlib import import_module
from typing import TYPE_CHECKING

import lazy_loader

from sharpwave import moved

if TYPE_CHECKING:
    from sharpwave.brainmu.encoders.contract import ModalitySpecification


class Registry(MutableMapping[str, "ModalitySpecification"]):
    """Specifications by modality; the file of a family loads when one of its modalities is first asked for.

    Args:
        homes: File of each modality, whose `SPECIFICATIONS` has it.
    """

    def __init__(self, homes: Mapping[str, str]) -> None:
        self._entries: dict[str, str | ModalitySpecification] = dict(homes)

    def __getitem__(self, name: str) -> ModalitySpecification:
        entry = self._entries[name]
        if isinstance(entry, str):
            entry = self._entries[name] = import_module(f"{__name__}.{entry}").SPECIFICATIONS[name]
        return entry

    def __setitem__(self, name: str, specification: ModalitySpecification) -> None:
        self._entries[name] = specification

    def __delitem__(self, name: str) -> None:
        del self._entries[name]

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)


ENCODERS = Registry(
    {
        "stages": "stage_history",
        "eeg": "electrophysiology",
        "eog": "electrophysiology",
        "emg": "electrophysiology",
        "ecg": "electrophysiology",
        "lfp": "electrophysiology",
        "spikes": "electrophysiology",
        "bold": "bold",
        "calcium": "behaviour",
        "heart_rate": "behaviour",
        "activity": "behaviour",
        "acceleration": "electrophysiology",
        "oxygen": "behaviour",
        "temperature": "behaviour",
        "position": "behaviour",
        "performance": "behaviour",
        "features": "behaviour",
    }
)
"""Specifications by modality."""

_load, __dir__, __all__ = lazy_loader.attach(__name__, submod_attrs={"contract": ["ModalitySpecification"]})
__all__ += ["ENCODERS"]
__getattr__ = moved.rename(
    __name__,
    {
        "EEG": "brainmu.encoders.electrophysiology:EEG",
        "Kind": "brainmu.encoders.contract:ModalitySpecification",
        "ModalityBatch": "brainmu.epochs:ModalityBatch",
        "identify_channels": "brainmu.epochs:identify_channels",
    },
    otherwise=_load,
)
