"""What a benchmark run writes and refuses."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace

import pytest

from sharpwave.benchmarks import runner
from sharpwave.benchmarks.rows import Row
from sharpwave.errors import SharpwaveError

ROW = Row("d", "s", "m", "kappa", 0.5, float("nan"), 1.0, 3)


def test_a_run_is_printed_and_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    module = SimpleNamespace(run=lambda data, *, seeds, train: ({"seeds": seeds}, [ROW]))
    monkeypatch.setattr(runner, "import_module", lambda name: module)
    runner.run_benchmark("forecast", seeds=2, output=tmp_path / "deep" / "out.json")
    written = json.loads((tmp_path / "deep" / "out.json").read_text())
    assert list(written) == ["benchmark", "config", "machine", "commit", "rows"]
    assert written["config"] == {"seeds": 2}
    assert written["rows"] == [{**asdict(ROW), "low": None}]
    assert set(written["machine"]) == {"cpu", "cores", "ram_gb", "python"}
    assert "kappa" in capsys.readouterr().out


def test_unknown_benchmark() -> None:
    with pytest.raises(SharpwaveError, match="a benchmark among forecast, staging"):
        runner.run_benchmark("nonsense")
