"""The alias table of channel labels as data: electrode sites, references, label patterns, and words around them."""

from __future__ import annotations

import re

# fmt: off
ELECTRODES = (
    "Nz", "Fp1", "Fpz", "Fp2",
    "AF9", "AF7", "AF5", "AF3", "AF1", "AFz", "AF2", "AF4", "AF6", "AF8", "AF10",
    "F9", "F7", "F5", "F3", "F1", "Fz", "F2", "F4", "F6", "F8", "F10",
    "FT9", "FT7", "FC5", "FC3", "FC1", "FCz", "FC2", "FC4", "FC6", "FT8", "FT10",
    "T9", "T7", "T3", "C5", "C3", "C1", "Cz", "C2", "C4", "C6", "T4", "T8", "T10",
    "TP9", "TP7", "CP5", "CP3", "CP1", "CPz", "CP2", "CP4", "CP6", "TP8", "TP10",
    "P9", "P7", "T5", "P5", "P3", "P1", "Pz", "P2", "P4", "P6", "T6", "P8", "P10",
    "PO9", "PO7", "PO5", "PO3", "PO1", "POz", "PO2", "PO4", "PO6", "PO8", "PO10",
    "O1", "Oz", "O2", "Iz",
)
"""Sites of the 10-20 and 10-10 systems, with the older names T3, T4, T5, T6."""

REFERENCES = (
    "M1", "M2", "A1", "A2", "M1M2", "A1A2", "TP9", "TP10", "LM", "LE", "LER", "AA", "Ax", "AVG", "CAR", "CLE", "REF",
    "AVERAGE", "MEAN", "LINKED",
)
"""What an electrode may be measured against, besides another electrode."""

_LEFT_LEG = r"L(EFT)?[ -]?(LEG|TIB.*|AT)|LAT\d?|TIB ?L|(LEG|JAMBE|TIB)[ -/(]*(L|LEFT|GAUCHE)\)?"
_RIGHT_LEG = r"R(IGHT)?[ -]?(LEG|TIB.*|AT)|RAT\d?|TIB ?R|(LEG|JAMBE|TIB)[ -/(]*(R|RIGHT|DROITE)\)?"
_CHIN = r"\(?SUB-?MENT(AL|ALIS)?\)?|\(?CHIN\)?|MENT(ON|ALIS|AL)|\(?CENTER CHIN\)?|[LRC] ?CHIN(-[LRC] ?CHIN)?|CHEMG"
_AIRFLOW = (
    r"NAF ?\d*|AIR ?FLOW|NEW AIR|FLOW|NASAL( PRESSURE| FLOW)?|NPV?|CANNULA"
    r"|(ORO-?NASAL )?THERM.*|RESP ?ORO-?NASAL|(FLUX|DEBIT).*"
)

PATTERNS: tuple[tuple[str, str, str], ...] = (
    (r".*\bIMP(E|É)?(DANCE)?\b.*", "", "other"),
    (r"STATUS|OX STAT|TRIGGER|MARKER|LIGHT|SOUND|PHONO|MIC|SNOR(E|ING)|BATTERY|HYPNOGRAM.*", "", "other"),
    (r"(BODY )?POS(ITION)?", "", "other"),
    (r"EEG ?\(SEC\)|EEG ?2", "EEG 2", "eeg"),
    (r"EEG ?1?", "EEG", "eeg"),
    (r"EOG ?\(?L(EFT)?\)?|EOG LEFT HORIZ|L(EFT)? ?EOG|LOC|LEFT ?EYE|E1|EOG ?E1|OG", "E1", "eog"),
    (r"EOG ?\(?R(IGHT)?\)?|EOG RIGHT HORIZ|R(IGHT)? ?EOG|ROC|RIGHT ?EYE|E2|EOG ?E2|OD", "E2", "eog"),
    (r"EOG ?H(ORI[ZS][A-Z]*)?|H(ORI[ZS][A-Z]*)? ?EOG", "EOG horizontal", "eog"),
    (r"EOG ?V(ERT[A-Z]*)?|V(ERT[A-Z]*)? ?EOG", "EOG vertical", "eog"),
    (r"EOG ?(\d*)", r"EOG\1", "eog"),
    (rf"(EMG ?)?({_LEFT_LEG})", "EMG leg left", "emg"),
    (rf"(EMG ?)?({_RIGHT_LEG})", "EMG leg right", "emg"),
    (r"(EMG ?)?(LEGS?|JAMBES?|TIB(IALIS)?.*)\d?", "EMG leg", "emg"),
    (rf"(EMG[ -]?)?({_CHIN})( ?EMG)? ?\d?(-(EMG ?)?(CHIN)?\d?)?", "EMG chin", "emg"),
    (r"1-2|1-F|2-F", "EMG chin", "emg"),
    (r"EMG[ -]?(\d*)(-EMG\d*)?", r"EMG\1", "emg"),
    (r"(ECG|EKG)[ -]?(\d|I{1,3}|V\d|L|R)?(-(ECG|EKG)?(\d|R)?)?", "ECG", "ecg"),
    (r"SPO2|SAO2|OSAT|SAT(URATION)?|O2 ?SAT(URATION)?", "SpO2", "oxygen"),
    (r"HR|H\.R\.?|PR|PULSE( RATE)?|HEART[ _]?RATE|DHR|FC", "heart rate", "heart_rate"),
    (r"(SKIN |CORE )?TEMP.*", "temperature", "temperature"),
    (_AIRFLOW, "airflow", "respiration"),
    (r"VTH|THOR.*|CHEST|THO ?RES|RIP ?THO.*|INDUCTANCE THORA.*|EFFORT THO.*", "thorax", "respiration"),
    (r"VAB|ABD.*|ABDO ?RES|RIP ?ABD.*|INDUCTANCE ABDOM.*|EFFORT ABD.*", "abdomen", "respiration"),
    (r"RESP(IRATION)?( RATE)?|RIP.*|SUM|EFFORT", "respiration", "respiration"),
    (r"ACTI(VITY|GRAPHY|METER)?|ACC(EL.*)?|[XYZ][ -]AXIS|ACC[ _-]?[XYZ]|MOVEMENT", "", "activity"),
    (r"(LFP|HPC|HIPPOCAMPUS|HIP|CA1|CA3|DG|STN|CTX|PFC|NAC|AMY|BLA)([ _-].*|\d*)", "", "lfp"),
)
"""Pattern of the whole label in upper case, name, modality: the first that fits. "" keeps the label as the name.

"1", "2" and "F" are the chin electrodes of Noxturnal exports; "NAF", "VTH" and "VAB" are the breathing of DREAMS.
"""

NO_SIGNAL = re.compile(
    r"\bIMP|IMPED|QUAL|\bSQI\b|POWER|\bBAND|STATUS|FLAG|EVENT|ARTE?F|CONTACT|INDEX|DELTA|THETA|ALPHA|BETA|GAMMA|SIGMA"
    r"|SPECTR|RATIO|ENTROP|TRIG|MARK|SCOR|STAGE|STADI|HYPNO|PROB\b|CONFID|OFFSET|FLOW|RESP|PRESS|EFFORT|SNOR|\bPOS"
    r"|SPO2|SAT\b|PULSE|TEMP|THERM|LIGHT|SOUND|\bMIC|\bACC|GYRO|BATT|COUNT|RATE\b|VARIAB|\bHRV?\b|\bBPM|\bRR\b|\bIBI"
    r"|ENVEL|AMPLIT|TIME|SYNC"
)
"""Words of labels, in upper case, that make them no voltage of an electrode, whatever else they name."""
TRIMMINGS = r"AVG|AVE|REF|RAW|FILT(ERED)?|COPY|UV|\d{1,2}|[\d.]+-[\d.]+ ?HZ"
"""Words at the end of a label that do not change what the channel is."""
WORDS = (
    ("LINKS|LI|GAUCHE|IZQ(?:UIERDA)?", "LEFT"),
    ("RECHTS|RE|DROITE?|DER(?:ECHA)?", "RIGHT"),
    ("KINN", "CHIN"),
    ("BEINE?|PIERNA", "LEG"),
)
"""Words of other languages and the one that the patterns know."""
