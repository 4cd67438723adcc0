"""What a stage label or code means, in AASM names: R&K and vendors' words, several languages, integers."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Int8

from sharpwave.errors import SharpwaveError
from sharpwave.recordings.hypnogram import STAGE_SETS, UNSCORED

_SPELLINGS: dict[str, str] = {
    "W": "W WAKE AWAKE WK WAKEFULNESS EVEIL EVEILLE WACH VEGLIA VIGILIA WAAK S0",
    "N1": "N1 S1 NREM1 NONREM1 ST1",
    "N2": "N2 S2 NREM2 NONREM2 ST2",
    "N3": "N3 S3 S4 N4 NREM3 NREM4 NONREM3 NONREM4 ST3 ST4 SWS",
    "R": "R REM SP PARADOXAL PARADOXICAL REMSLEEP SREM",
    "NREM": "NREM NR NONREM NREMSLEEP",
    "LIGHT": "LIGHT LIGHTSLEEP",
    "DEEP": "DEEP DEEPSLEEP",
    "S": "S SLEEP ASLEEP",
    "?": "? U NA UNS UNSCORED UNSTAGED UNKNOWN NOTSCORED NOSTAGE MT M MVT MOVEMENT MOVEMENTTIME ART ARTEFACT ARTIFACT",
}
_WORDS = {word: stage for stage, words in _SPELLINGS.items() for word in words.split()}
_DIGITS = {"0": "W", "1": "N1", "2": "N2", "3": "N3", "4": "N3", "5": "R"}

CONVENTIONS: dict[str, dict[int, str]] = {
    "aasm": {0: "W", 1: "N1", 2: "N2", 3: "N3", 4: "R"},
    "rk": {0: "W", 1: "N1", 2: "N2", 3: "N3", 4: "N3", 5: "R", 6: "?", 7: "?", 8: "?", 9: "?"},
    "dreams": {5: "W", 4: "R", 3: "N1", 2: "N2", 1: "N3", 0: "N3"},
    "ucddb": {0: "W", 1: "R", 2: "N1", 3: "N2", 4: "N3", 5: "N3", 6: "?", 7: "?", 8: "?"},
}
"""Integer codes: YASA and Dreem; Rechtschaffen & Kales (NSRR, Walch); DREAMS; UCDDB. Negative is unscored."""


def name_stage(label: str, *, digits: bool = False) -> str | None:
    """The stage a label names: a name in `STAGE_SETS`, "?" where unscored, None where it is no stage at all.

    Args:
        label: As written: "Sleep stage W", "Éveil", "N2", "S4", "REM" ...
        digits: Whether bare digits are Rechtschaffen & Kales stages; after "Stage" they always are.
    """
    text = unicodedata.normalize("NFKD", str(label)).encode("ascii", "ignore").decode().upper().strip()
    bare = re.sub(r"^(SLEEP[ _-]*STAGE|STAGE|STADE|STADIUM|SLEEP[ _-](?=S\d|N\d|REM|MT|W))[ _:-]*", "", text)
    if bare in _DIGITS and (digits or bare != text):
        return _DIGITS[bare]
    if text in ("", "N/A"):
        return "?"
    return _WORDS.get(re.sub(r"[ _.-]", "", bare))


def codes_of_names(names: Sequence[str | None]) -> tuple[Int8[np.ndarray, " epoch"], int]:
    """Stage codes and number of stages for stage names ("?" and None are unscored).

    Raises:
        SharpwaveError: If the names come from different stage sets.
    """
    present = {name for name in names if name and name != "?"}
    for n_stages in (5, 4, 3, 2):
        if present <= set(STAGE_SETS[n_stages]):
            index = {name: code for code, name in enumerate(STAGE_SETS[n_stages])}
            return np.array([index.get(name or "?", UNSCORED) for name in names], dtype=np.int8), n_stages
    raise SharpwaveError(
        "stages of one set (W N1 N2 N3 R; W LIGHT DEEP R; W NREM R; or W S)",
        got=", ".join(sorted(present)),
        fix="merge the finer stages, or relabel the coarser ones",
    )


def names_of_codes(codes: Sequence[int], *, convention: str | Mapping[int, str] | None) -> list[str]:
    """Stage names for integer codes.

    Args:
        codes: Integers; negative is unscored.
        convention: Name in `CONVENTIONS`, or code → label.

    Raises:
        SharpwaveError: If the convention is not given, not known, or does not hold a code.
    """
    if convention is None:
        raise SharpwaveError(
            "stage names, or integers with a known meaning",
            got=f"integers {', '.join(map(str, sorted(set(codes))[:10]))}, which several conventions read differently",
            fix="pass convention='aasm' (4 is REM), 'rk' (5 is REM), 'dreams' (5 is wake), 'ucddb' (1 is REM)",
        )
    if isinstance(convention, str):
        if convention not in CONVENTIONS:
            raise SharpwaveError(
                f"a convention among {', '.join(CONVENTIONS)}",
                got=repr(convention),
                fix="or pass a mapping code → stage",
            )
        table = CONVENTIONS[convention]
    else:
        table = {int(code): _named(label) for code, label in convention.items()}
    strange = sorted({code for code in codes if code >= 0 and code not in table})
    if strange:
        raise SharpwaveError(
            f"codes {', '.join(map(str, sorted(table)))} as in the convention {convention!r}",
            got=", ".join(map(str, strange[:5])),
            fix="choose the convention that fits, or pass a mapping code → stage",
        )
    return [table.get(code, "?") for code in codes]


def _named(label: str) -> str:
    name = name_stage(label, digits=True)
    if name is None:
        raise SharpwaveError(
            "a stage such as W, N1, N2, N3, R", got=repr(label), fix="correct the mapping of the convention"
        )
    return name
