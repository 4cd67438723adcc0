"""DOD, Walch, PD-LFP and DREAMS: files in the published layout that the tests write, then the real folders."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from sharpwave.errors import SharpwaveError
from sharpwave.recordings.datasets import dod, dreams, pd_lfp, walch


def write_dod(folder: Path, scorings: dict[str, list[int]], *, night: str = "abc", cohort: str = "dodo") -> None:
    for name, stages in scorings.items():
        path = folder / "scorers" / cohort / name / f"{night}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(stages))


def write_walch(folder: Path, *, hours: list[float], labels: list[int], subject: str = "7") -> None:
    columns = {"time_feature": hours, "psg_labels": labels}
    columns |= {f"{name}_feature": list(np.arange(len(hours)) + 0.5) for name in ("hr", "count", "circadian")}
    for name, values in columns.items():
        np.savetxt(folder / f"{subject}_{name}.out", values)


def test_dod_keeps_the_span_all_scored_and_shares_votes(tmp_path: Path) -> None:
    write_dod(
        tmp_path, {"scorer_1": [-1, -1, 0, 1, 2, 2], "scorer_2": [-1, 0, 0, 2, 2, -1], "scorer_3": [0, 0, 0, 2, -1, 2]}
    )
    assert dod.subjects(tmp_path) == ["dodo-abc"]
    night = dod.load(tmp_path, "dodo-abc")
    assert night.hypnogram.stages.tolist() == [0, 2]
    assert night.hypnogram.start == 60.0
    np.testing.assert_allclose(night.hypnogram.probabilities[1], [0, 1 / 3, 2 / 3, 0, 0])
    assert {len(h) for h in night.metadata["scorers"].values()} == {2}


def test_dod_refuses_what_is_not_a_list_of_stages(tmp_path: Path) -> None:
    write_dod(tmp_path, {"scorer_1": [0, 1], "scorer_2": [0, 1]})
    (tmp_path / "scorers" / "dodo" / "scorer_2" / "abc.json").write_text('{"a": 1}')
    with pytest.raises(SharpwaveError, match="flat list of integers"):
        dod.load(tmp_path, "dodo-abc")


def test_walch_rebuilds_the_grid_over_gaps(tmp_path: Path) -> None:
    write_walch(tmp_path, hours=[0, 30 / 3600, 120 / 3600], labels=[0, 4, 5])
    night = walch.load(tmp_path, "7")
    assert night.hypnogram.stages.tolist() == [0, 3, -1, -1, 4]
    np.testing.assert_array_equal(night["heart_rate"].read(), [0.5, 1.5, np.nan, np.nan, 2.5])
    assert "2 epochs are gaps" in night.repairs[0]


@pytest.mark.parametrize(
    ("hours", "labels", "message"), [([0, 1], [0], "same number of rows"), ([1, 0], [0, 0], "increase by 30 s")]
)
def test_walch_refuses_rows_that_do_not_match(tmp_path: Path, hours: list, labels: list, message: str) -> None:
    write_walch(tmp_path, hours=hours, labels=labels)
    with pytest.raises(SharpwaveError, match=message):
        walch.load(tmp_path, "7")


def test_pd_lfp_keeps_rows_and_labels_together(tmp_path: Path, rng: np.random.Generator) -> None:
    from scipy.io import savemat

    power = rng.random((5, 6, 3))
    labels = np.array(["W", "N1", "N3", "R", "?"], dtype=object)[:, None]
    savemat(tmp_path / "summaryLFP_Site_03.mat", {"m": power, "s": power, "sl": labels})
    night = pd_lfp.load(tmp_path, pd_lfp.subjects(tmp_path)[0])
    assert night.hypnogram.labels == ["W", "N1", "N3", "R", "?"]
    np.testing.assert_allclose(night["power"].read(), power.reshape(5, 18), rtol=1e-6)
    savemat(tmp_path / "summaryLFP_Site_03.mat", {"m": power[:4], "s": power[:4], "sl": labels})
    with pytest.raises(SharpwaveError, match="a label per epoch"):
        pd_lfp.load(tmp_path, "Site_03")


def test_dreams_finds_rate_unit_and_experts(tmp_path: Path) -> None:
    (tmp_path / "excerpt9.txt").write_text("[O1-A1]\n" + "\n".join(["10.0"] * 1000))
    (tmp_path / "Hypnogram_excerpt9.txt").write_text("[Hypnogram]\n5\n4\n0\n2\n")
    (tmp_path / "Visual_scoring2_excerpt9.txt").write_text("[vis2]\n  1.5\t 1.0\n  7.0 \t 0.5\n")
    night = dreams.load(tmp_path, "excerpt9")
    assert night["O1-A1"].rate == 50
    np.testing.assert_allclose(night["O1-A1"].read(), 1e-5)
    assert night.hypnogram.labels == ["W", "R", "N3", "N2"]
    assert night.events[["onset", "duration", "scorer"]].to_numpy().tolist() == [
        [1.5, 1.0, "expert_2"],
        [7.0, 0.5, "expert_2"],
    ]
    (tmp_path / "Hypnogram_excerpt9.txt").write_text("[Hypnogram]\n5\n5\n5\n")
    with pytest.raises(SharpwaveError, match="50, 100 or 200 Hz"):
        dreams.load(tmp_path, "excerpt9")


@pytest.mark.parametrize("module", [dod, walch, pd_lfp, dreams])
def test_unknown_subject_is_named(tmp_path: Path, module: object) -> None:
    with pytest.raises(SharpwaveError, match="none found in this folder"):
        module.load(tmp_path, "nobody")  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("module", "folder", "least"),
    [
        (dod, "dod-hypnograms", 1),
        (walch, "walch-applewatch", 1),
        (pd_lfp, "pd-lfp-sleep", 1),
        (dreams, "dreams-spindles", 1),
    ],
)
def test_every_real_subject_loads(data_root: Path, module: object, folder: str, least: int) -> None:
    found = module.subjects(data_root / folder)  # type: ignore[attr-defined]
    assert len(found) >= least
    for subject in found[:8]:
        night = module.load(data_root / folder, subject)  # type: ignore[attr-defined]
        assert night.hypnogram.scored.mean() > 0.8
        assert all(abs(signal.duration - night.hypnogram.end) < 31 for signal in night.signals.values())
