"""What a benchmark run writes and refuses."""

from __future__ import annotations

import json
import subprocess
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from sharpwave.benchmarks import provenance, runner
from sharpwave.benchmarks.rows import Row
from sharpwave.benchmarks.scale import benchmark as scale
from sharpwave.errors import SharpwaveError

ROW = Row("d", "s", "m", "kappa", 0.5, float("nan"), 1.0, 3)


def test_a_run_is_printed_and_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    module = SimpleNamespace(run=lambda data, *, seeds, train: ({"seeds": seeds}, [ROW]))
    monkeypatch.setattr(runner, "import_module", lambda name: module)
    runner.run_benchmark("forecast", seeds=2, output=tmp_path / "deep" / "out.json")
    written = json.loads((tmp_path / "deep" / "out.json").read_text())
    assert list(written) == ["benchmark", "config", "machine", "commit", "provenance", "rows"]
    assert written["config"] == {"seeds": 2}
    assert written["rows"] == [{**ROW.to_dict(), "low": None}]
    assert written["provenance"]["command"] == "sharpwave benchmark forecast --seeds 2"
    assert {"numpy", "sharpwave"} <= set(written["provenance"]["versions"])
    assert written["provenance"]["allowed"] == []
    assert set(written["machine"]) == {"cpu", "cores", "ram_gb", "python"}
    assert "kappa" in capsys.readouterr().out


def test_unknown_benchmark() -> None:
    with pytest.raises(SharpwaveError, match="a benchmark among forecast, "):
        runner.run_benchmark("nonsense")


def _fake(monkeypatch: pytest.MonkeyPatch, rows: list[Row]) -> None:
    module = SimpleNamespace(run=lambda data, *, seeds, train: ({}, rows))
    monkeypatch.setattr(runner, "import_module", lambda name: module)


def test_a_published_result_is_not_written_from_changed_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _fake(monkeypatch, [ROW])
    monkeypatch.setattr(provenance, "find_published", lambda: tmp_path / "results")
    monkeypatch.setattr(provenance, "find_commit", lambda: "0123456789ab+")
    output = tmp_path / "results" / "forecast.json"
    with pytest.raises(SharpwaveError, match="a clean tree"):
        runner.run_benchmark("forecast", output=output)
    assert not output.exists()
    runner.run_benchmark("forecast", output=tmp_path / "elsewhere.json")
    runner.run_benchmark("forecast", output=output, allow_dirty=True)
    assert json.loads(output.read_text())["provenance"]["allowed"] == ["dirty tree"]


@pytest.mark.parametrize(
    ("rows", "seeds", "words"),
    [
        ([ROW, replace(ROW, metric="f1")], 2, "2 seeds where it has 5"),
        ([ROW], 5, "1 rows of it missing, such as d, s, m, f1"),
        ([ROW, replace(ROW, metric="f1", n=2)], 5, "a smaller n in 1 rows, such as d, s, m, f1: 2, not 3"),
    ],
)
def test_a_smaller_result_does_not_overwrite_a_larger(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rows: list[Row], seeds: int, words: str
) -> None:
    output = tmp_path / "forecast.json"
    _fake(monkeypatch, [ROW, replace(ROW, metric="f1")])
    runner.run_benchmark("forecast", output=output)
    runner.run_benchmark("forecast", output=output)
    before = output.read_text()
    _fake(monkeypatch, rows)
    with pytest.raises(SharpwaveError, match=words):
        runner.run_benchmark("forecast", seeds=seeds, output=output)
    assert output.read_text() == before
    assert (tmp_path / "forecast.smaller.json").exists() == (seeds == 5)
    runner.run_benchmark("forecast", seeds=seeds, output=output, allow_smaller=True)
    assert words in json.loads(output.read_text())["provenance"]["allowed"][0]


def test_changed_and_new_files_make_a_tree_dirty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def git(*arguments: str) -> None:
        subprocess.run(["git", "-c", "user.name=t", "-c", "user.email=t@t", *arguments], cwd=tmp_path, check=True)

    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "code.py").write_text("a = 1\n")
    git("init", "--quiet")
    git("add", ".")
    git("commit", "--quiet", "-m", "one")
    monkeypatch.setattr(provenance, "__file__", str(tmp_path / "src" / "code.py"))
    assert len(provenance.find_commit()) == 12
    (tmp_path / "src" / "new.py").write_text("b = 2\n")
    assert provenance.find_commit().endswith("+")
    assert provenance.find_published() == tmp_path / "benchmarks" / "results"


def test_some_methods_alone_need_a_benchmark_that_keeps_its_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _fake(monkeypatch, [ROW])
    with pytest.raises(SharpwaveError, match="leave --methods out"):
        runner.run_benchmark("forecast", methods=["er"])
    asked = {}

    def run(data, *, seeds, train, methods, parts):
        asked.update(methods=methods, parts=parts)
        return {}, [ROW]

    monkeypatch.setattr(runner, "import_module", lambda name: SimpleNamespace(run=run))
    with pytest.raises(SharpwaveError, match="name the JSON file with --output"):
        runner.run_benchmark("continual", methods=["er"])
    result = runner.run_benchmark("continual", methods=["er", "sleep"], output=tmp_path / "out.json")
    assert asked == {"methods": ["er", "sleep"], "parts": tmp_path / "out.parts"}
    assert result.provenance["command"].endswith("--methods er,sleep")


def test_methods_alone_are_refused_with_the_names_of_those_that_have_them() -> None:
    with pytest.raises(SharpwaveError, match="continual, continual-cifar10, language or scale"):
        runner._choose_parts("coupling", lambda data: None, None, ["stores"])
    assert runner._choose_parts("scale", scale.run, Path("scale.json"), ["stores"])["parts"] == Path("scale.parts")
