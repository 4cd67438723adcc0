"""What scorers mark beside stages: arousals, apnoeas, hypopnoeas, desaturations, leg movements, lights off and on.

Labels come in the words of many programs (Compumedics, Noxturnal, RemLogic, Domino, Sleepware, Luna, EDF+) and of a few
languages. A label that says "no", "test", "artefact" and the like is a technician's note and no event.
"""

from __future__ import annotations

import re
import unicodedata

import numpy as np
import pandas as pd

from sharpwave.errors import SharpwaveError

AROUSALS = ("arousal",)
APNEAS = ("apnea", "obstructive_apnea", "central_apnea", "mixed_apnea")
HYPOPNEAS = ("hypopnea", "obstructive_hypopnea", "central_hypopnea", "mixed_hypopnea")
DESATURATIONS = ("desaturation",)
LEG_MOVEMENTS = ("leg_movement",)
PERIODIC_LEG_MOVEMENTS = ("periodic_leg_movement",)
RERAS = ("respiratory_effort_related_arousal",)

_NOTE = re.compile(
    r"\b(no|not|non|none|kein\w*|ohne|sans|pas|without|test\w*|calib\w*|kalib\w*|biocal\w*|check\w*|index|threshold|alarm"
    r"|art[ie]fa[ck]t\w*|please|asked|possible|questionable|unsure)\b|\?"
)
_CODES = {
    "AR": "arousal",
    "ARO": "arousal",
    "OA": "obstructive_apnea",
    "OSA": "obstructive_apnea",
    "CA": "central_apnea",
    "CSA": "central_apnea",
    "MSA": "mixed_apnea",
    "HYP": "hypopnea",
    "OH": "obstructive_hypopnea",
    "CH": "central_hypopnea",
    "RERA": "respiratory_effort_related_arousal",
    "DES": "desaturation",
    "OD": "desaturation",
    "LM": "leg_movement",
    "LML": "leg_movement",
    "LMR": "leg_movement",
    "PLM": "periodic_leg_movement",
    "PLMS": "periodic_leg_movement",
    "PLML": "periodic_leg_movement",
    "PLMR": "periodic_leg_movement",
    "MPJ": "periodic_leg_movement",
}
_AROUSAL = re.compile(r"arousals?\b|arousing|\bmicro ?(eveils?|despertar\w*|risvegli\w*)|weckreaktion|\bontwaakreactie")
_RERA = re.compile(r"\breras?\b|respiratory effort related|effort related arousal")
_HYPOPNEA = re.compile(r"h[yi]popn\w*|\bipopn\w*|\bhyp [ocm]\b")
_APNEA = re.compile(r"apn(o?ea|o?eas|eic|oe|oes|oen|ee|ees|eu|eus|eas|ia|eia|eias)\b")
_DESATURATION = re.compile(
    r"desat\w*|satt?igungsabf\w*|entsatt?ig\w*|(o2|spo2|sao2|oxygen|saturation) ?(saturation ?)?(drop|dip|abfall)"
)
_LEG = re.compile(
    r"\b(leg|limb)s? ?movements?|movements? ?(of )?(the )?(leg|limb)s?\b|beinbeweg\w*|mouvements? (\w+ ){0,3}jambes?"
    r"|movimient\w* (\w+ ){0,3}piernas?|moviment\w* (\w+ ){0,3}gamb[ae]|beenbeweg\w*|\b(p?lms?) ?(left|right|l|r)?\b"
)
_PERIODIC = re.compile(r"\bperiod\w*|\bplms?\b|\bmpj\b")
_CAUSES = (
    ("obstructive", re.compile(r"obstr\w*|ostr\w*|\bo\b")),
    ("central", re.compile(r"cent\w*|zent\w*|\bc\b")),
    ("mixed", re.compile(r"mix\w*|gemis\w*|gemengd\w*|mist[ae]\b|\bm\b")),
)
_MOST_WORDS = 8


def name_event(label: str) -> str | None:
    """The kind of event that a scorer's label names, such as "hypopnea"; None where it names none.

    Args:
        label: Label as the scorer wrote it: "Arousal (ARO RES)", "Apnée obstructive", "SpO2 desaturation", "PLM" ...

    >>> [name_event(label) for label in ("Arousal (ARO RES)", "Zentrale Apnoe", "HYP-O", "no apnea seen")]
    ['arousal', 'central_apnea', 'obstructive_hypopnea', None]
    """
    if str(label).strip().upper() in _CODES:
        return _CODES[str(label).strip().upper()]
    text = _plain(label)
    if not text or len(text.split()) > _MOST_WORDS or _NOTE.search(text):
        return None
    breathing = _HYPOPNEA.search(text) or _APNEA.search(text)
    if _RERA.search(text):
        return RERAS[0]
    if _AROUSAL.search(text) and not (breathing and re.search(r"\b(with|w|and|mit|und|avec|et)\b", text)):
        return AROUSALS[0]
    if breathing:
        kind = "hypopnea" if _HYPOPNEA.search(text) else "apnea"
        cause = next((name for name, words in _CAUSES if words.search(text)), None)
        return f"{cause}_{kind}" if cause else kind
    if _DESATURATION.search(text):
        return DESATURATIONS[0]
    if _LEG.search(text):
        return PERIODIC_LEG_MOVEMENTS[0] if _PERIODIC.search(text) else LEG_MOVEMENTS[0]
    return None


def _plain(label: object) -> str:
    """A label in lower case, without accents, in words: "ObstructiveApnea" and "apnea_obstructive" are two words."""
    text = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", str(label).partition("|")[0])
    text = unicodedata.normalize("NFKD", text.replace("µ", "u")).encode("ascii", "ignore").decode().lower()
    text = text.replace("æ", "ae").replace("½", "")
    return " ".join(re.sub(r"[^a-z0-9?]+", " ", text).split())


MANUAL = re.compile(r"manual|human|expert|rater|technician|consensus|visual", re.IGNORECASE)
"""Words of a scorer who is a person, or persons; taken before a scorer who is not."""

SCORER_COLUMNS = ("scorer", "rater", "annotator", "expert", "reader", "source_scorer")


def find_scorer_column(events: pd.DataFrame) -> str | None:
    """The column that says who scored a row; None where there is none.

    >>> find_scorer_column(pd.DataFrame({"onset": [0.0], "Rater": ["A"]}))
    'Rater'
    """
    names = {str(name).strip().lower(): str(name) for name in events.columns}
    return next((names[name] for name in SCORER_COLUMNS if name in names), None)


def choose_scorer(scorers: list[str], wanted: str | None = None) -> tuple[str, str | None]:
    """The scorer to take, and a sentence that says which one was taken where there are several.

    Args:
        scorers: Who scored, in the order of the file, each once.
        wanted: Who the user asked for; a person, else the first, if None.

    Raises:
        SharpwaveError: If the one who was asked for is not among them.

    >>> choose_scorer(["auto", "manual"])[0]
    'manual'
    """
    if wanted is not None:
        match = next((name for name in scorers if name.strip().lower() == wanted.strip().lower()), None)
        if match is None:
            raise SharpwaveError(
                f"a scorer among {', '.join(scorers[:12]) or 'those named in the file (it names none)'}",
                got=repr(wanted),
                fix="give one of them as --scorer, or leave it out",
            )
        chosen = match
    else:
        chosen = next((name for name in scorers if MANUAL.search(name)), scorers[0])
    if len(scorers) < 2:
        return chosen, None
    others = ", ".join(repr(name) for name in scorers if name != chosen)
    return (
        chosen,
        f"scored by {len(scorers)}: the scoring of {chosen!r} was taken, not that of {others} (--scorer chooses)",
    )


def take_scorer(events: pd.DataFrame, scorer: str | None = None) -> tuple[pd.DataFrame, list[str]]:
    """The rows of one scorer, where a column says who scored; and a sentence on who was taken.

    Args:
        events: Columns onset, duration (s), label, and who scored, where that is known.
        scorer: Who the user asked for; see `choose_scorer`.

    >>> table = pd.DataFrame({"onset": [0.0, 0.0], "duration": 30.0, "label": ["W", "N1"], "scorer": ["a", "b"]})
    >>> take_scorer(table)[0]["label"].tolist()
    ['W']
    """
    column = find_scorer_column(events)
    names = pd.Series("", index=events.index)
    if column is not None:
        names = events[column].map(lambda value: "" if pd.isna(value) else str(value).strip()).replace("n/a", "")
    scorers = [name for name in dict.fromkeys(names) if name]
    if not scorers:
        if scorer is not None:
            choose_scorer([], scorer)
        return events, []
    chosen, sentence = choose_scorer(scorers, scorer)
    return events[(names == chosen) | (names == "")].reset_index(drop=True), [sentence] if sentence else []


def find_scored_events(events: pd.DataFrame, *, scorer: str | None = None) -> pd.DataFrame:
    """The events that a scorer marked: onset, duration (s), label (see `name_event`), channel, scored_as.

    Marked twice (on two channels, in two files) at the same time, an event is one.

    Args:
        events: Annotations: columns onset, duration (s), label.
        scorer: Whose events to take, where several scored; see `choose_scorer`.

    >>> notes = pd.DataFrame({"onset": [0.0, 90.0], "duration": [30.0, 5.0], "label": ["Stage N2", "EEG arousal"]})
    >>> find_scored_events(notes)[["onset", "label", "scored_as"]].values.tolist()
    [[90.0, 'arousal', 'EEG arousal']]
    """
    column = find_scorer_column(events)
    named = set() if column is None else {str(name).strip().lower() for name in events[column]}
    events, _ = take_scorer(events, scorer if scorer is not None and scorer.strip().lower() in named else None)
    kinds = events["label"].map(name_event)
    found = events[kinds.notna()]
    table = pd.DataFrame(
        {
            "onset": found["onset"].astype(float),
            "duration": pd.to_numeric(found["duration"], errors="coerce").fillna(0.0).clip(lower=0.0),
            "label": kinds[kinds.notna()].astype(str),
            "channel": "",
            "scored_as": found["label"].astype(str),
        }
    )
    table = table[np.isfinite(table["onset"])].sort_values(["label", "onset"], kind="stable")
    again = (table["label"] == table["label"].shift()) & (table["onset"] - table["onset"].shift() < 0.5)
    return table[~again].sort_values("onset", kind="stable", ignore_index=True)


_LIGHTS_OFF = re.compile(
    r"\b(lights?|lamps?) ?(are |is |switched |turned )?(off|out)\b|\bl ?off\b|\bloff\b|\blichte?r? aus\b|\blicht uit\b"
    r"|\bextinction( des?)? (feux|lumieres?)|\blumieres? eteintes?|\b(luces|luz) apagadas?|\bluc[ei] spent[ae]"
)
_LIGHTS_ON = re.compile(
    r"\b(lights?|lamps?) ?(are |is |switched |turned )?on\b|\blon\b|\bl ?on\b|\blichte?r? (an|ein|aan)\b"
    r"|\ballumage( des?)? (feux|lumieres?)|\blumieres? allumees?|\b(luces|luz) encendidas?|\bluc[ei] acces[ae]"
)


def is_lights(label: str) -> bool:
    """Whether an annotation says that the lights went off or on.

    >>> is_lights("Licht aus"), is_lights("Flashlight offered")
    (True, False)
    """
    text = _plain(label)
    return len(text.split()) <= _MOST_WORDS and bool(_LIGHTS_OFF.search(text) or _LIGHTS_ON.search(text))


def find_lights_marks(events: pd.DataFrame) -> dict[str, tuple[float, str]]:
    """When the lights went off and on, by the annotations: "lights_off" and "lights_on" → (seconds, label).

    The first "off", and the last "on" after it; a long "off" without an "on" lasts until then. Absent where not said.

    Args:
        events: Annotations: columns onset, duration (s), label.

    >>> marks = pd.DataFrame({"onset": [60.0, 1140.0], "duration": 0.0, "label": ["Lights off", "Lights on"]})
    >>> find_lights_marks(marks)
    {'lights_off': (60.0, 'Lights off'), 'lights_on': (1140.0, 'Lights on')}
    """
    off: list[tuple[float, str]] = []
    on: list[tuple[float, str]] = []
    ends: list[tuple[float, str]] = []
    for onset, duration, label in zip(events["onset"], events["duration"], events["label"], strict=True):
        text = _plain(label)
        if not np.isfinite(onset) or len(text.split()) > _MOST_WORDS or re.search(r"\b(no|not|before|test)\b", text):
            continue
        if _LIGHTS_OFF.search(text):
            off.append((float(onset), str(label)))
            if pd.notna(duration) and float(duration) >= 600:
                ends.append((float(onset) + float(duration), str(label)))
        elif _LIGHTS_ON.search(text):
            on.append((float(onset), str(label)))
    marks: dict[str, tuple[float, str]] = {}
    if off:
        marks["lights_off"] = min(off)
    later = [mark for mark in on or ends if not off or mark[0] > marks["lights_off"][0]]
    if later and (off or max(later)[0] > 0):
        marks["lights_on"] = max(later)
    return marks
