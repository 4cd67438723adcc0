"""Labels of real files are recognised, shown, overridden, and picked for staging."""

from __future__ import annotations

import numpy as np
import pytest

from sharpwave.errors import SharpwaveError
from sharpwave.recordings.channels import channel_aliases, describe_unknown, pick_channels, recognise_channel
from sharpwave.recordings.modality import MODALITIES
from sharpwave.recordings.recording import Recording, Signal

KNOWN = {
    "C4-M1": ("C4-M1", "eeg", "M1"),
    "C4-A1": ("C4-A1", "eeg", "A1"),
    "C4:M1": ("C4-M1", "eeg", "M1"),
    "c4_m1": ("C4-M1", "eeg", "M1"),
    "C4M1": ("C4-M1", "eeg", "M1"),
    "EEG C4": ("C4", "eeg", None),
    "EEG C4-A1": ("C4-A1", "eeg", "A1"),
    "EEG Fpz-Cz": ("Fpz-Cz", "eeg", "Cz"),
    "FP1-A1": ("Fp1-A1", "eeg", "A1"),
    "EEG(sec)": ("EEG 2", "eeg", None),
    "E1": ("E1", "eog", None),
    "LOC": ("E1", "eog", None),
    "ROC-A1": ("E2-A1", "eog", "A1"),
    "EOG(L)": ("E1", "eog", None),
    "EOG Left Horiz": ("E1", "eog", None),
    "EOG horizontal": ("EOG horizontal", "eog", None),
    "EOG1-A1": ("EOG1-A1", "eog", "A1"),
    "Chin1-Chin2": ("EMG chin", "emg", None),
    "EMG submental": ("EMG chin", "emg", None),
    "Chin EMG": ("EMG chin", "emg", None),
    "EMG1": ("EMG1", "emg", None),
    "Right Leg": ("EMG leg right", "emg", None),
    "L Chin-R Chin": ("EMG chin", "emg", None),
    "LChin": ("EMG chin", "emg", None),
    "ChEMG1": ("EMG chin", "emg", None),
    "Lefteye": ("E1", "eog", None),
    "RightEye": ("E2", "eog", None),
    "H.R.": ("heart rate", "heart_rate", None),
    "EKG": ("ECG", "ecg", None),
    "ECG I": ("ECG", "ecg", None),
    "NAF1": ("airflow", "respiration", None),
    "VTH": ("thorax", "respiration", None),
    "SAO2": ("SpO2", "oxygen", None),
    "PR": ("heart rate", "heart_rate", None),
    "LFP_3": ("LFP_3", "lfp", None),
    "C3-M2 [1]": ("C3-M2", "eeg", "M2"),
    "[C4-M1]": ("C4-M1", "eeg", "M1"),
    "EEG C4-M1 (AVG)": ("C4-M1", "eeg", "M1"),
    "C4-M1-0": ("C4-M1", "eeg", "M1"),
    "C4 M1": ("C4-M1", "eeg", "M1"),
    "C4-(M1+M2)/2": ("C4-M1M2", "eeg", "M1M2"),
    "C4 linked ears": ("C4-LINKED", "eeg", "LINKED"),
    "C4-M1_filt": ("C4-M1", "eeg", "M1"),
    "PSG_C4": ("C4", "eeg", None),
    "EEG 1: C4-M1": ("C4-M1", "eeg", "M1"),
    "A1-C4": ("C4-A1", "eeg", "A1"),
    "Dreem F7-O1": ("F7-O1", "eeg", "O1"),
    "ZMax EEG L": ("ZMax EEG L", "eeg", None),
    "EEG-0": ("EEG-0", "eeg", None),
    "RAW_TP9": ("TP9", "eeg", None),
    "EOG links": ("E1", "eog", None),
    "PSG EOG RIGHT": ("E2", "eog", None),
    "LOC-A2 [1]": ("E1-A2", "eog", "A2"),
    "EMG Kinn": ("EMG chin", "emg", None),
    "Bein rechts": ("EMG leg right", "emg", None),
    "EMG PLM": ("EMG leg (EMG PLM)", "emg", None),
    "EMG T3": ("EMG T3", "emg", None),
    "Ch1": ("Ch1", "other", None),
    "1": ("1", "other", None),
    "EEG quality": ("EEG quality", "other", None),
    "EEG delta power": ("EEG delta power", "other", None),
    "Pressure P4": ("Pressure P4", "other", None),
    "HR (ECG)": ("HR (ECG)", "other", None),
    "C3 Impédance": ("C3 Impédance", "other", None),
    "C3-M2 (Imp)": ("C3-M2 (Imp)", "other", None),
    "M1": ("M1", "eeg", None),
    "EEG A1-REF": ("A1-REF", "eeg", "REF"),
    "A1-A2": ("A1-A2", "other", None),
    "CZ2-A1": ("CZ2-A1", "other", None),
    "OX STAT": ("OX STAT", "other", None),
    "Snoring": ("Snoring", "other", None),
    "never seen": ("never seen", "other", None),
}


@pytest.mark.parametrize("label", KNOWN)
def test_known_labels(label: str) -> None:
    identity = recognise_channel(label)
    assert (identity.name, identity.modality, identity.reference) == KNOWN[label]


def test_every_alias_names_a_modality() -> None:
    table = channel_aliases()
    assert set(table["modality"]) <= set(MODALITIES)
    assert {"label", "name", "modality"} == set(table.columns)


def test_overrides_win_in_any_case() -> None:
    identity = recognise_channel("CH3", overrides={"ch3": "C4-M1:eeg"})
    assert (identity.name, identity.modality, identity.reference) == ("C4-M1", "eeg", "M1")
    assert recognise_channel("C4", overrides={"C4": ":lfp"}).modality == "lfp"
    assert recognise_channel("x", overrides={"x": "E1"}).modality == "eog"


def test_override_with_a_strange_modality() -> None:
    with pytest.raises(SharpwaveError, match="expected a modality among"):
        recognise_channel("x", overrides={"x": "C4:brain"})


def _recording(names: list[str], doubtful: tuple[str, ...] = ()) -> Recording:
    signals = {name: Signal(name, np.zeros(10), 100.0, MODALITIES[recognise_channel(name).modality]) for name in names}
    return Recording(signals, metadata={"doubtful": doubtful})


@pytest.mark.parametrize(
    ("names", "eeg"),
    [
        (["O1-M2", "C3-M2", "C4-M1"], "C4-M1"),
        (["O1-M2", "C3-A2", "Fp1-A2"], "C3-A2"),
        (["Fz", "Cz-A1", "O2"], "Cz-A1"),
        (["Pz", "O2"], "Pz"),
        (["C4-A2", "C3-A2", "C4-A1"], "C4-A1"),
        (["F4", "Cz"], "Cz"),
    ],
)
def test_best_eeg(names: list[str], eeg: str) -> None:
    assert pick_channels(_recording(names))["eeg"] == eeg


def test_roles_and_the_users_choice() -> None:
    recording = _recording(["C4-M1", "C3-M2", "E2", "E1", "EMG leg left", "EMG chin"])
    assert pick_channels(recording) == {"eeg": "C4-M1", "eog": "E1", "emg": "EMG chin"}
    assert pick_channels(recording, channels=["EEG C3-M2"])["eeg"] == "C3-M2"
    with pytest.raises(SharpwaveError, match="expected one of the signals"):
        pick_channels(recording, channels=["C2"])


def test_legs_do_not_stage_and_doubtful_channels_come_last() -> None:
    picked = pick_channels(_recording(["C4-M1", "Pz", "EMG leg left"], doubtful=("C4-M1",)))
    assert picked == {"eeg": "Pz"}


def test_the_users_choice_by_the_label_of_the_file() -> None:
    signals = {name: Signal(name, np.zeros(10), 100.0, MODALITIES["eeg"]) for name in ("C4-M1", "Fz")}
    recording = Recording(signals, metadata={"labels": {"Fz": "Ch 7", "C4-M1": "Ch 1"}})
    assert pick_channels(recording, channels=["Ch 7"]) == {"eeg": "Fz"}
    with pytest.raises(SharpwaveError, match=r"signals C4-M1, Fz; got 'Ch 9'.*--channel-alias"):
        pick_channels(recording, channels=["Ch 9"])


def test_an_unknown_channel_is_listed_beside_known_ones() -> None:
    signals = {
        "E1": Signal("E1", np.zeros(10), 100.0, MODALITIES["eog"]),
        "Pos": Signal("Pos", np.zeros(10), 1.0, MODALITIES["other"]),
        "Ch1": Signal("Ch1", np.zeros(10), 100.0, MODALITIES["other"]),
    }
    listed, fix = describe_unknown(Recording(signals, metadata={"units": {"E1": "uV", "Ch1": "counts"}}))
    assert listed == "'E1' (unit 'uV', 100 Hz), 'Pos' (no unit, 1 Hz), 'Ch1' (unit 'counts', 100 Hz)"
    assert "--channel-alias 'Ch1=C4-M1:eeg'" in fix
    assert "--unit uV" in fix
