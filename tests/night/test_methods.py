"""The words that go with a night say what was done in it, and no more, for every combination of what can be done."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from itertools import product
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from sharpwave.night.decode import decode_recording
from sharpwave.night.methods import (
    CITATIONS,
    GIVEN,
    describe_methods,
    list_citations,
    list_limits,
    list_packages,
    read_versions,
)
from sharpwave.night.options import DecodeOptions
from sharpwave.recordings import Hypnogram, Recording

OWN, LEARNED = "Markov chain, learned from the night so far", "LightGBM on stage history, calibrated"


@pytest.mark.parametrize("stager", [GIVEN, "yasa", "hmm"])
@pytest.mark.parametrize("forecaster", [OWN, LEARNED])
def test_every_sentence_is_true_of_its_run(stager: str, forecaster: str) -> None:
    for probable, compared, forecast, judged, estimated in product((True, False), repeat=5):
        text = describe_methods(
            stager,
            {"EEG": "C4-M1"},
            ["spindle"],
            forecaster=forecaster,
            epoch_length=30,
            unclear_below=0.6,
            probable=probable,
            compared=compared,
            estimated=estimated,
            forecast=forecast,
            judged=judged,
        )
        assert ("came with the recording" in text) == (stager == GIVEN)
        assert (f"by the {stager} stager from C4-M1 (EEG)" in text) == (stager != GIVEN)
        assert ("counts as unclear" in text) == probable
        assert ("80 % intervals" in text) == probable
        assert ("agreement" in text) == compared
        assert (forecaster in text) == forecast
        assert ("No forecast was made." in text) == (not forecast)
        assert ("forecast skill" in text) == (forecast and judged)
        assert ("persistence" in text) == (forecast and judged and forecaster == LEARNED)
        assert ("expert hypnograms" in text) == (forecast and judged and forecaster == LEARNED)
        assert ("block bootstrap" in text) == (compared or (forecast and judged))
        assert ("E-value" in text) == estimated
        assert text.count(". .") == text.count("..") == text.count("; .") == 0


def test_what_was_given_is_not_called_detected_and_counts_are_those_of_the_run() -> None:
    text = describe_methods(
        GIVEN,
        {},
        ["reactivation", "spindle"],
        forecaster=OWN,
        epoch_length=10,
        unclear_below=0.6,
        estimated=False,
        scored={"arousal": 12, "hypopnea": 3},
        supplied=["reactivation", "cue: bell"],
    )
    assert "Events detected: spindle." in text
    assert "Events given with the recording: reactivation, cue: bell." in text
    assert "counted, not detected: 12 arousal, 3 hypopnea." in text


def test_what_is_cited_was_used() -> None:
    assert list_citations(GIVEN, [], known=False, expert_nights=False) == [CITATIONS["aasm"]]
    used = list_citations("yasa", ["slow_wave", "ripple"], estimated=True)
    assert set(used) == set(CITATIONS.values())
    assert CITATIONS["dod"] not in list_citations("rodent", [], expert_nights=False)
    assert CITATIONS["agreement"] not in list_citations("hmm", [], known=False)


def test_limits_of_a_forecast_need_a_forecast() -> None:
    for stager in (GIVEN, "yasa"):
        assert any("forecast" in limit for limit in list_limits(stager))
        assert not any("forecast" in limit for limit in list_limits(stager, forecast=False))


@pytest.mark.parametrize("stager", [GIVEN, "yasa", "yasa-resampled", "hmm", "rodent", "lightgbm-wearable", "brainmu"])
@pytest.mark.parametrize("source", ["a.edf", "a.zarr", "a.fif", "a.csv"])
def test_packages_are_those_of_the_run(stager: str, source: str) -> None:
    found = list_packages(stager, ["ripple"] * (source == "a.csv"), forecaster=OWN, source=source)
    assert ("yasa" in found) == stager.startswith("yasa")
    assert ("hmmlearn" in found) == (stager in ("hmm", "rodent"))
    assert ("zarr" in found) == (source == "a.zarr")
    assert ("ripple-detection" in found) == (source == "a.csv")
    assert len(set(found)) == len(found)


def test_a_package_that_another_night_loaded_is_not_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("hmmlearn", "ripple_detection", "zarr"):
        monkeypatch.setitem(sys.modules, name, sys.modules.get(name, ModuleType(name)))
    night = decode_recording(Recording(hypnogram=Hypnogram.from_labels(["W"] * 5 + ["N2"] * 20)))
    assert {"numpy", "scipy", "pandas"} <= set(night.provenance.versions)
    assert not {"hmmlearn", "ripple-detection", "zarr", "yasa"} & set(night.provenance.versions)
    assert "hmmlearn" in read_versions()


def test_a_package_that_no_night_loaded_yet_is_named_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the second night of a process would have other files than the first."""
    monkeypatch.delitem(sys.modules, "hmmlearn", raising=False)
    assert "hmmlearn" in read_versions(("hmmlearn",))


def test_a_night_without_changes_claims_no_skill() -> None:
    night = decode_recording(Recording(hypnogram=Hypnogram.from_labels(["N2"] * 30)))
    assert "no changes of stage to judge it by" in night.provenance.methods
    assert "block bootstrap" not in night.provenance.methods
    nothing = decode_recording(Recording(hypnogram=Hypnogram(np.full(30, -1, dtype=np.int8))))
    assert "No forecast was made." in nothing.provenance.methods
    assert not any("forecast" in limit for limit in nothing.limits)


def test_cues_and_reactivations_of_a_table_were_given(tmp_path: Path) -> None:
    (tmp_path / "cues.tsv").write_text("onset\tduration\tlabel\n100\t1\tbell\n")
    (tmp_path / "found.tsv").write_text("onset\tcontent\n300\tmaze\n400\tmaze\n")
    options = DecodeOptions(cues=tmp_path / "cues.tsv", reactivations=tmp_path / "found.tsv")
    stages = Hypnogram.from_labels(["W"] * 5 + ["N2"] * 60)
    night = decode_recording(Recording(hypnogram=stages), options=options)
    assert "Events detected: none." in night.provenance.methods
    assert "given with the recording: reactivation, cue: bell." in night.provenance.methods
    assert ("E-value" in night.provenance.methods) == bool(len(night.effects.rules))


CODE = """
import json, sys
from pathlib import Path
from tests.nights import simulate_short_night
from sharpwave.night.decode import decode_recording
from sharpwave.night.options import DecodeOptions
night = decode_recording(simulate_short_night()[0], options=DecodeOptions(stager=sys.argv[1] or None))
print(json.dumps([night.provenance.methods, night.provenance.citations, dict(night.provenance.versions), night.stager,
                  [name for name in sys.modules if "." not in name]]))
"""


@pytest.mark.parametrize("stager", ["", "hmm"])
def test_each_library_that_a_page_names_was_imported(stager: str) -> None:
    done = subprocess.run([sys.executable, "-c", CODE, stager], capture_output=True, text=True, check=True)
    methods, citations, versions, used, modules = json.loads(done.stdout.strip().splitlines()[-1])
    assert f"by the {used} stager" in methods
    assert any("YASA" in text or "Vallat" in text for text in citations) == used.startswith("yasa")
    names = {"scikit-learn": "sklearn", "ripple-detection": "ripple_detection", "yasa": "_yasa_alone"}
    assert {names.get(name, name) for name in versions} - {"sharpwave", "python"} <= set(modules)
    assert ("hmmlearn" in versions) == (used == "hmm")


def test_the_words_are_made_of_the_night(tmp_path: Path) -> None:
    stages = Hypnogram.from_labels(["W"] * 5 + ["N2"] * 30 + ["R"] * 20)
    expert = replace(stages)
    alone = decode_recording(Recording(hypnogram=expert))
    assert "agreement" not in alone.provenance.methods
    assert alone.provenance.hashes == {"key": ""}
