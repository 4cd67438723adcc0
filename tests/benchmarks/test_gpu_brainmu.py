"""The script for a graphics card, tried out at a tiny size."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

GPU = Path(__file__).parents[2] / "benchmarks" / "gpu"
pytestmark = pytest.mark.skipif(not GPU.is_dir(), reason="the scripts are part of a clone, not of the package")
SMALL = ["--device", "cpu", "--preset", "lite", "--batch", "1", "--piece", "4", "--steps", "1", "--methods"]
METHODS = ["dense", "dense, recomputed", "flex"]


def run_script(monkeypatch: pytest.MonkeyPatch, path: Path) -> list[dict]:
    import brainmu

    monkeypatch.setattr(sys, "argv", ["brainmu.py", *SMALL, *METHODS, "--output", str(path)])
    brainmu.main()
    return json.loads(path.read_text())["rows"]


def test_brainmu_is_measured_and_goes_on_where_it_was(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.syspath_prepend(str(GPU))
    for name in ("card", "brainmu"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    rows = run_script(monkeypatch, tmp_path / "card.json")
    found = {(row["setting"], row["method"].split(" ")[0].strip(","), row["metric"]): row["value"] for row in rows}
    for setting, method in (("speed", "dense"), ("loader", "off"), ("loader", "on")):
        assert found[setting, method, "tokens_per_second"] > 0
    assert {row["method"] for row in rows if row["setting"] == "speed"} == {"dense", "dense, recomputed"}
    losses = [row["value"] for row in rows if row["metric"] == "loss_difference"]
    assert losses == [0.0]
    import brainmu

    monkeypatch.setattr(brainmu.Bench, "measure_speed", None)  # nothing is measured a second time
    assert run_script(monkeypatch, tmp_path / "card.json") == rows


def test_the_shell_script_hands_on_what_it_is_given() -> None:
    done = subprocess.run(
        ["bash", str(GPU / "brainmu.sh"), "--steps", "2"],
        env={"PYTHON": "echo", "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == [str(GPU / "brainmu.py"), "--steps", "2"]
