"""What scorers mark is known in the words of their programs, and technicians' notes are not taken for it."""

from __future__ import annotations

import pandas as pd
import pytest

from sharpwave.errors import SharpwaveError
from sharpwave.recordings.annotations import (
    choose_scorer,
    find_lights_marks,
    find_scored_events,
    is_lights,
    name_event,
    take_scorer,
)

WORDS = {
    "arousal": (
        "Arousal (ARO RES)", "Arousal|Arousal ()", "arousal-spontaneous", "AROUSAL-PLM", "EEG arousal", "Micro-éveil",
        "Microdespertar", "PLM Arousal", "Spontaneous arousal|Arousal (apon aro)",
    ),
    "respiratory_effort_related_arousal": ("RERA", "Respiratory effort related arousal|RERA", "arousal_rera"),
    "obstructive_apnea": (
        "Obstructive Apnea", "ObstructiveApnea", "apnea-obstructive", "apnea:obstructive", "APNEA-O", "OA",
        "Obstruktive Apnoe", "Apnée obstructive", "Obstructive apnea|Obstructive Apnea", "Apnea obstructiva",
    ),
    "central_apnea": ("Central apnoea", "Zentrale Apnoe", "Apnée centrale", "APNEA-CENTRAL"),
    "mixed_apnea": ("Mixed Apnea", "Gemischte Apnoe", "Apnée mixte"),
    "apnea": ("Apnea", "apnoea", "Apneu"),
    "hypopnea": ("Hypopnea", "Hypopnoe", "Hypopnée", "Hipopnea", "Ipopnea", "Hypopnea with arousal", "Hypopnea - 4%"),
    "obstructive_hypopnea": ("HYP-O", "Hypopnea (obstructive)"),
    "desaturation": (
        "SpO2 desaturation|SpO2 desaturation", "DESAT", "RelativeDesaturation", "oxygensaturation-drop", "Entsättigung",
        "Sättigungsabfall", "Désaturation", "O2 desaturation 4%",
    ),
    "leg_movement": ("Limb Movement (Left)", "LegMovement", "LM", "LM left", "Beinbewegung", "Mouvement de jambe"),
    "periodic_leg_movement": (
        "PLM (Right)", "PLM", "Periodic limb movement", "Periodic leg movement - left|PLM (Left)",
        "Mouvements périodiques des jambes",
    ),
}  # fmt: skip
NOTES = (
    "SpO2 artifact|SpO2 artifact", "no apnea seen", "Leg movement test left", "Body movement", "move left leg", "R",
    "Sleep stage N2", "MCAP-A1", "Lights off", "apnea?", "please move your left leg now", "Unsure hypopnea",
)  # fmt: skip


@pytest.mark.parametrize(("kind", "label"), [(kind, label) for kind, labels in WORDS.items() for label in labels])
def test_words_of_programs(kind: str, label: str) -> None:
    assert name_event(label) == kind


@pytest.mark.parametrize("label", NOTES)
def test_notes_are_no_events(label: str) -> None:
    assert name_event(label) is None


@pytest.mark.parametrize(
    ("off", "on"),
    [
        ("Lights off", "Lights on"), ("LIGHTS_OUT", "LIGHTS_ON"), ("Licht aus", "Licht an"), ("LOFF", "LON"),
        ("Comment/lightsOff", "Comment/lightsOn"), ("Extinction des feux", "Lumière allumée"),
        ("Luces apagadas", "Luces encendidas"),
    ],
)  # fmt: skip
def test_lights_in_several_languages(off: str, on: str) -> None:
    marks = pd.DataFrame({"onset": [60.0, 900.0], "duration": [0.0, 0.0], "label": [off, on]})
    assert is_lights(off)
    assert is_lights(on)
    assert find_lights_marks(marks) == {"lights_off": (60.0, off), "lights_on": (900.0, on)}


def test_the_first_off_and_the_last_on_after_it_count() -> None:
    labels = ["Lights on", "Lights off", "Lights on", "Lights off", "Lights on"]
    marks = pd.DataFrame({"onset": [0.0, 60.0, 300.0, 400.0, 900.0], "duration": 0.0, "label": labels})
    assert {name: mark[0] for name, mark in find_lights_marks(marks).items()} == {"lights_off": 60, "lights_on": 900}
    span = pd.DataFrame({"onset": [60.0], "duration": [28_800.0], "label": ["lights_off"]})
    assert find_lights_marks(span)["lights_on"][0] == 28_860
    assert find_lights_marks(marks.assign(label="Biocal")) == {}


def test_one_event_marked_twice_is_one() -> None:
    notes = pd.DataFrame(
        {"onset": [10.0, 10.2, 40.0], "duration": [5.0, 5.0, None], "label": ["Arousal", "arousal|Arousal", "AROUSAL"]}
    )
    found = find_scored_events(notes)
    assert found["onset"].tolist() == [10.0, 40.0]
    assert found["duration"].tolist() == [5.0, 0.0]


def test_a_person_is_taken_before_a_program_and_a_wish_before_both() -> None:
    rows = pd.DataFrame({"onset": [0.0, 0.0], "duration": 30.0, "label": ["W", "N1"], "scorer": ["auto", "manual"]})
    taken, said = take_scorer(rows)
    assert taken["label"].tolist() == ["N1"]
    assert "'manual' was taken" in said[0]
    assert take_scorer(rows, "AUTO")[0]["label"].tolist() == ["W"]
    with pytest.raises(SharpwaveError, match=r"a scorer among auto, manual.*--scorer"):
        take_scorer(rows, "me")
    with pytest.raises(SharpwaveError, match="it names none"):
        take_scorer(rows.drop(columns="scorer"), "me")
    assert choose_scorer(["A"]) == ("A", None)
