"""From stage labels and scored intervals, with whatever gaps and overlaps they have, to one stage per epoch.

A label or code means an AASM stage: R&K's and vendors' words, several languages, integers.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import lru_cache
from itertools import pairwise

import numpy as np
import pandas as pd
from jaxtyping import Float, Int8

from sharpwave.errors import SharpwaveError
from sharpwave.recordings.hypnogram import STAGE_SETS, UNSCORED, Hypnogram
from sharpwave.recordings.recording import empty_events

_SPELLINGS: dict[str, str] = {
    "W": "W WAKE AWAKE WK WAKING WAKEFULNESS EVEIL EVEILLE VEILLE WACH WACHZUSTAND WACHHEIT WACHPHASE WACHSEIN VEGLIA"
    " SVEGLIO VIGILIA DESPIERTO DESPIERTA DESPERTO ACORDADO WAAK WAKKER VAKEN VAGEN HEREILLA CZUWANIE BDENI UYANIK"
    " UYANIKLIK БОДРСТВОВАНИЕ 清醒 觉醒期 覚醒 각성 S0",
    "N1": "N1 S1 NREM1 NONREM1 ST1",
    "N2": "N2 S2 NREM2 NONREM2 ST2",
    "N3": "N3 S3 S4 N4 NREM3 NREM4 NONREM3 NONREM4 ST3 ST4 SWS SLOWWAVESLEEP S3/S4 S3/4 S3+S4 N3/N4 NREM3/4 3/4"
    " DELTASCHLAF DELTASLEEP DEONDASLENTAS 慢波睡眠 徐波睡眠",
    "R": "R REM SP PARADOXAL PARADOXICAL PARADOXALE PARADOXES SREM MOR TRAUMSCHLAF RAPIDEYEMOVEMENT RAPIDEYEMOVEMENTS"
    " PHASICREM TONICREM 快速眼动 快动眼 快速眼球运动 异相 レム 렘 БДГ БЫСТРЫЙ",
    "NREM": "NREM NR NONREM NONRAPIDEYEMOVEMENT SOMMEILLENT 非快速眼动 ノンレム 비렘 МЕДЛЕННЫЙ",
    "LIGHT": "LIGHT LEICHT LEGER LIGERO LEVE LEGGERO LENTLEGER SUPERFICIAL LICHTE LATT LETT 浅 얕은 ПОВЕРХНОСТНЫЙ",
    "DEEP": "DEEP TIEF PROFOND PROFUNDO PROFONDO LENTPROFOND DIEPE DJUP DYP 深 깊은 ГЛУБОКИЙ",
    "S": "S SLEEP ASLEEP SCHLAF SCHLAFEND SOMMEIL DORMIDO SONNO SLAAP 睡眠 入睡",
    "?": "? U NA UNS UNSCORED UNSTAGED UNKNOWN UNDEFINED NOTSCORED NONE NOSTAGE MT M MVT MOVEMENT MOVEMENTTIME ART"
    " ARTEFACT ARTIFACT ARTEFAKT ARTEFACTO BEWEGUNGSZEIT UNBESTIMMT NICHTBEWERTET"
    " NONSCORE INDETERMINE INDETERMINADO NAN NULL 体动 未评分 未知 不明",
}


def _plain(text: str) -> str:
    """In capitals, without accents; letters of other scripts stay."""
    apart = unicodedata.normalize("NFKD", text.replace("ı", "i"))
    return unicodedata.normalize("NFKC", "".join(each for each in apart if not unicodedata.combining(each))).upper()


_WORDS = {word: stage for stage, words in _SPELLINGS.items() for word in _plain(words).split()}
_SLEEP = re.compile(r"SLEEP|SCHLAF|SLAAP|SOMMEIL|SUENO|SONO|SONNO|SOMN|SPANEK|СОН|睡眠|수면|睡|STATE|STAGE")
"""Words for sleep that stand beside the name of a stage and leave it as it is: "REM-Schlaf", "sueño profundo"."""
_PREFIX = re.compile(
    r"(SLEEP[ _-]*STAGE|STAGE|STG|STADE|STADIU?M|STADIO|ESTADIO|ESTAGIO|ETAPA|СТАДИЯ|SCHLAFSTADIUM|SCHLAFPHASE"
    r"|FASE|FAZA|SLEEP[ _-](?=S\d|N\d|REM|MT|W))[ _:.-]*"
)
_JOINED = re.compile(r"[()\[\]|:,;=/]|\s[-–]\s")
"""What stands between two names of one stage, or a name and its code: "Wake (W)", "W - Wake", "N2 (2)"."""
_ROMAN = {"I": "1", "II": "2", "III": "3", "IV": "4"}
_DIGITS = {"0": "W", "1": "N1", "2": "N2", "3": "N3", "4": "N3", "5": "R"}

INTEGER = re.compile(r"[+-]?\d{1,3}(\.0*|,0+)?([eE][+-]?0+)?")
"""An integer of a scoring as programs write it: "2", "2.0", "2,0", "2.000000000000000000e+00" (`numpy.savetxt`)."""

_AASM = {0: "W", 1: "N1", 2: "N2", 3: "N3", 4: "R"}
CONVENTIONS: dict[str, dict[int, str]] = {
    "yasa": _AASM,
    "aasm": _AASM,
    "rk": {0: "W", 1: "N1", 2: "N2", 3: "N3", 4: "N3", 5: "R", 6: "?", 7: "?", 8: "?", 9: "?"},
    "dreams": {5: "W", 4: "R", 3: "N1", 2: "N2", 1: "N3", 0: "N3"},
    "ucddb": {0: "W", 1: "R", 2: "N1", 3: "N2", 4: "N3", 5: "N3", 6: "?", 7: "?", 8: "?"},
}
"""Integer codes: YASA and Dreem ("yasa" and "aasm" are one); Rechtschaffen & Kales (NSRR, Walch); DREAMS; UCDDB.

Negative is unscored.
"""


@lru_cache(maxsize=4096)
def name_stage(label: str, *, digits: bool = False) -> str | None:
    """The stage a label names: a name in `STAGE_SETS`, "?" where unscored, None where it is no stage at all.

    Args:
        label: Label as the scorer wrote it: "Sleep stage W", "Éveil", "N2", "S4", "REM" ...
        digits: Whether bare digits are Rechtschaffen & Kales stages; after "Stage" they always are.
    """
    text = _plain(str(label)).strip()
    bare = _PREFIX.sub("", text, count=1) if _PREFIX.match(text) else text
    bare = bare.removesuffix("期").strip() if not bare.isascii() else bare
    if len(bare) > 1 or bare != text:
        bare = re.sub(r"(?<![A-Z])(I{1,3}|IV)$", lambda found: _ROMAN[found[0]], bare)
    if bare in _DIGITS and (digits or bare != text):
        return _DIGITS[bare]
    if text in ("", "N/A"):
        return "?"
    joined = re.sub(r"[\s_.-]", "", bare)
    if joined in _WORDS or not joined:
        return _WORDS.get(joined, "?")
    rest = _SLEEP.sub("", joined)
    if rest in _WORDS and (len(rest) > 1 or not rest.isascii()):
        return _WORDS[rest]
    parts = _JOINED.split(text)
    names = {name_stage(part) for part in parts if part.strip(" 0123456789")} if len(parts) > 1 else set()
    return names.pop() if len(names) == 1 else None


def are_codes(labels: Sequence[str]) -> bool:
    """Whether labels are integers, with or without words for what was not scored among them.

    >>> are_codes(["0", "2.0", "NaN"]), are_codes(["W", "2"]), are_codes(["?", "?"])
    (True, False, False)
    """
    written = [bool(INTEGER.fullmatch(label)) for label in labels]
    return any(written) and all(code or name_stage(label) == "?" for label, code in zip(labels, written, strict=True))


def read_codes(labels: Sequence[str]) -> list[int]:
    """The integers of labels for which `are_codes` holds; -1 where a word says that nothing was scored."""
    return [int(float(label.replace(",", "."))) if INTEGER.fullmatch(label) else -1 for label in labels]


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


def names_of_codes(codes: Sequence[int], *, convention: str | Mapping[int, str] | None, where: str = "") -> list[str]:
    """Stage names for integer codes.

    Args:
        codes: Integers; negative is unscored.
        convention: Name in `CONVENTIONS`, or code → label.
        where: Name of the file, for messages.

    Raises:
        SharpwaveError: If the convention is not given, not known, or does not hold a code.
    """
    if convention is None:
        raise SharpwaveError(
            "stage names, or integers with a known meaning" + (f", in {where}" if where else ""),
            got=f"integers {', '.join(map(str, sorted(set(codes))[:10]))}, which several conventions read differently",
            fix="say what they mean: --stage-convention yasa (4 is REM), rk (5 is REM), dreams (5 is wake) or ucddb "
            "(1 is REM); in Python, `convention` of read_hypnogram",
        )
    if isinstance(convention, str):
        if convention not in CONVENTIONS:
            raise SharpwaveError(
                f"a convention among {', '.join(CONVENTIONS)}",
                got=repr(convention),
                fix="choose one of them as --stage-convention; in Python, a mapping code → stage is possible, too",
            )
        table = CONVENTIONS[convention]
    else:
        table = {int(code): _named(label) for code, label in convention.items()}
    strange = sorted({code for code in codes if code >= 0 and code not in table})
    if strange:
        raise SharpwaveError(
            f"codes {', '.join(map(str, sorted(table)))} as in the convention {convention!r}"
            + (f", in {where}" if where else ""),
            got=", ".join(map(str, strange[:5])),
            fix="choose the --stage-convention that fits; in Python, a mapping code → stage is possible, too",
        )
    return [table.get(code, "?") for code in codes]


def _named(label: str) -> str:
    name = name_stage(label, digits=True)
    if name is None:
        raise SharpwaveError(
            "a stage such as W, N1, N2, N3, R", got=repr(label), fix="correct the mapping of the convention"
        )
    return name


@dataclass(frozen=True)
class Scoring:
    """A hypnogram and what is known of where it came from.

    Attributes:
        hypnogram: The stages; their start counts from `clock`, or from the start of the recording where `placed`.
        clock: Clock time from which the file counts, where it has one.
        dated: Whether `clock` has a date.
        placed: Whether `hypnogram.start` counts from the start of the recording.
        repairs: What was repaired, one sentence each.
        events: What else was scored (arousals, apnoeas, lights off ...), as the scorer named it: onset, duration (s),
            label; onsets count as those of `hypnogram`.
    """

    hypnogram: Hypnogram
    clock: datetime | None = None
    dated: bool = False
    placed: bool = False
    repairs: tuple[str, ...] = ()
    events: pd.DataFrame = field(default_factory=empty_events)

    def shifted(self, seconds: float) -> Scoring:
        """The scoring with its times later by some seconds, counted from the start of the recording.

        >>> Scoring(Hypnogram.from_labels(["W"])).shifted(60.0).hypnogram.start
        60.0
        """
        moved = replace(self.hypnogram, start=self.hypnogram.start + seconds)
        return replace(
            self, hypnogram=moved, events=self.events.assign(onset=self.events["onset"] + seconds), placed=True
        )


def make_scoring(
    names: Sequence[str], probabilities: np.ndarray | None, epoch_length: float, repairs: Sequence[str]
) -> Scoring:
    """The scoring of a list of stage names, one an epoch, from the start of the recording."""
    codes, n_stages = codes_of_names(names)
    if probabilities is not None and probabilities.shape[1] != n_stages:
        n_stages = probabilities.shape[1]
        index = {name: code for code, name in enumerate(STAGE_SETS[n_stages])}
        codes = np.array([index.get(name, UNSCORED) for name in names], dtype=np.int8)
    return Scoring(Hypnogram(codes, epoch_length, n_stages, 0.0, probabilities), repairs=tuple(repairs))


MAX_EPOCHS = 3_000_000
"""A month of seconds, or nearly three years of 30 s."""

SHORTEST = 0.1
"""Seconds; shorter epochs are times in another unit."""
_USUAL = (30.0, 20.0, 10.0, 5.0, 4.0, 2.5, 2.0, 1.0)


def fill_epochs(
    onset: Float[np.ndarray, " interval"],
    duration: Float[np.ndarray, " interval"],
    names: Sequence[str],
    *,
    epoch_length: float | None = None,
    probabilities: Float[np.ndarray, "interval stage"] | None = None,
    end: float | None = None,
) -> tuple[Hypnogram, list[str]]:
    """Cut scored intervals into epochs; gaps become unscored, and are declared.

    Args:
        onset: Onset of each interval in seconds, shape (interval,).
        duration: Duration of each interval in seconds; with 0 or NaN it lasts until the next interval.
        names: Stage name of each interval, or "?".
        epoch_length: Length of an epoch in seconds; found from the intervals if None.
        probabilities: Probability of each stage in each interval, shape (interval, stage); optional.
        end: End of the recording in the same seconds, where known: stages that are marked at changes only last until
            the next, the last one until here.

    Returns:
        The hypnogram, and sentences on what was repaired.

    Raises:
        SharpwaveError: If times are not finite, or overlap with different stages.
    """
    repairs: list[str] = []
    order = np.argsort(onset, kind="stable")
    onset, duration = np.asarray(onset, dtype=float)[order], np.asarray(duration, dtype=float)[order]
    if not len(onset) or not np.isfinite(onset).all():
        raise SharpwaveError("finite onsets of scored epochs", got=f"{len(onset)} rows", fix="check the time column")
    ordered = [names[index] for index in order]
    duration, open_ended, last = _closed(onset, duration, ordered, epoch_length, end)
    if open_ended:
        repairs.append(f"{open_ended} scored intervals have no duration; each lasts until the next{last}")
    length = _epoch_length(onset, duration, skip_last=bool(last)) if epoch_length is None else float(epoch_length)
    start = float(onset[0])
    n_epochs = _count((onset + duration).max() - start, length)
    codes, n_stages = codes_of_names(ordered)
    if probabilities is not None:
        n_stages = probabilities.shape[1]
        codes = _recoded(ordered, n_stages)
    first = np.rint((onset - start) / length).astype(int)
    last = np.minimum(np.maximum(np.rint((onset + duration - start) / length).astype(int), first + 1), n_epochs)
    shift = np.abs(onset - start - first * length).max()
    if shift > min(1.0, length / 4):
        repairs.append(
            f"scored intervals lie up to {shift:.3g} s off the grid of {length:g} s epochs and were moved to it"
        )
    stages, notes = _lay_out(first, last, codes, n_epochs)
    soft = None
    if probabilities is not None:
        soft = np.full((n_epochs, n_stages), np.nan)
        for low, high, row in zip(first, last, order, strict=True):
            soft[low:high] = probabilities[row]
    return Hypnogram(stages, length, n_stages, start, soft), repairs + notes


def _lay_out(first: np.ndarray, last: np.ndarray, codes: np.ndarray, n_epochs: int) -> tuple[np.ndarray, list[str]]:
    """Each interval's code in its epochs; what was scored twice or not at all is said, or refused where it is much."""
    stages = np.full(n_epochs, UNSCORED, dtype=np.int8)
    covered = np.zeros(n_epochs, dtype=bool)
    n_conflicts = 0
    for low, high, code in zip(first, last, codes, strict=True):
        n_conflicts += int((covered[low:high] & (stages[low:high] != code)).sum())
        stages[low:high], covered[low:high] = code, True
    if n_conflicts > max(1, 0.05 * n_epochs):
        raise SharpwaveError(
            "one stage at a time",
            got=f"{n_conflicts} of {n_epochs} epochs scored twice, differently",
            fix="choose a scorer with --scorer where the file names them, or keep one scorer per file",
        )
    notes = [f"{n_conflicts} epochs are scored twice; the later row counts"] if n_conflicts else []
    if not covered.all():
        notes.append(f"{int((~covered).sum())} epochs lie in gaps of the scoring and are unscored")
    return stages, notes


def _recoded(names: Sequence[str], n_stages: int) -> np.ndarray:
    index = {name: code for code, name in enumerate(STAGE_SETS[n_stages])}
    return np.array([index.get(name, UNSCORED) for name in names], dtype=np.int8)


def _closed(
    onset: np.ndarray, duration: np.ndarray, names: Sequence[str], epoch_length: float | None, end: float | None
) -> tuple[np.ndarray, int, str]:
    """Durations without holes, how many were unknown, and words on the last one where it lasts until the end."""
    open_ended = ~(np.isfinite(duration) & (duration > 0))
    if not open_ended.any():
        return duration, 0, ""
    gaps = np.diff(onset, append=np.nan)
    positive = gaps[gaps > 0]
    usual = epoch_length or (float(positive.min()) if len(positive) else 30.0)
    until_next = np.where(np.isfinite(gaps) & (gaps > 0), gaps, usual)
    last = ""
    lasts = end is not None and end > onset[-1] and bool(open_ended[-1]) and open_ended.mean() > 0.5
    if end is not None and lasts and _are_changes(positive, names):
        until_next[-1], last = end - onset[-1], ", the last until the end of the recording"
    return np.where(open_ended, until_next, duration), int(open_ended.sum()), last


def _are_changes(gaps: np.ndarray, names: Sequence[str]) -> bool:
    """Whether stages are marked where they change and not at every epoch."""
    if not len(gaps):
        return len(names) == 1
    repeated = sum(earlier == later for earlier, later in pairwise(names))
    regular = float((np.abs(gaps - np.median(gaps)) < 0.5).mean()) > 0.5
    return not regular or (repeated <= 0.05 * len(gaps) and (len(names) > 2 or gaps[0] > _USUAL[0]))


def _epoch_length(onset: np.ndarray, duration: np.ndarray, *, skip_last: bool = False) -> float:
    spans = np.r_[duration[:-1] if skip_last else duration, np.diff(onset)]
    spans = spans[spans > 1e-3]
    if not len(spans):
        return 30.0
    for length in _USUAL:
        if (np.abs(spans / length - np.rint(spans / length)) * length < 0.02).mean() > 0.99:
            return length
    return float(np.median(duration))


def _count(span: float, length: float) -> int:
    if not (np.isfinite(length) and length >= SHORTEST):
        raise SharpwaveError(
            f"epochs of {SHORTEST:g} s at least",
            got=f"{length:.3g} s",
            fix="check the unit of the times in the file, or give --stage-epoch in seconds",
        )
    n_epochs = span / length
    if not n_epochs <= MAX_EPOCHS:
        raise SharpwaveError(
            f"at most {MAX_EPOCHS} epochs", got=f"{span:.3g} s of {length:g} s each", fix="check the times in the file"
        )
    return max(1, int(np.ceil(n_epochs - 1e-6)))
