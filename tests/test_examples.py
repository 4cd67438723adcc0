from __future__ import annotations

import re
import runpy
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[1] / "examples"
EXAMPLES = sorted(FOLDER.glob("*.py"))


def run_example(path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> str:
    monkeypatch.setattr(sys, "argv", [str(path)])
    runpy.run_path(str(path), run_name="__main__")
    return capsys.readouterr().out


def test_a_night_is_decoded(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert "usable" in run_example(FOLDER / "decode_a_night.py", monkeypatch, capsys)


def test_sleep_keeps_what_was_learned(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    said = run_example(FOLDER / "let_a_network_sleep.py", monkeypatch, capsys)
    without, with_sleep = (float(found) for found in re.findall(r"accuracy (\d\.\d\d)", said))
    assert with_sleep > without + 0.3


def test_a_live_night_is_run_and_its_log_checked(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["live.py", "--minutes", "0.2"])
    runpy.run_path(str(FOLDER / "live.py"), run_name="__main__")
    said = capsys.readouterr().out
    assert "polarity" in said
    assert "whole" in said
    assert "the same" in said


def find_shares(said: str) -> tuple[float, float]:
    """Share of the first task's words that are known at the end, without sleep and with it."""
    without, with_sleep = re.findall(r"'french': (\d\.\d)", said)
    return float(without), float(with_sleep)


def test_a_trainer_keeps_its_first_task(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("transformers")
    said = run_example(FOLDER / "trainer.py", monkeypatch, capsys)
    without, with_sleep = find_shares(said)
    assert with_sleep >= without + 0.3
    assert max(float(added) for added in re.findall(r"; \+(\d+\.\d)% of training", said)) < 16


def test_an_adapter_keeps_its_first_task(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("trl")
    said = run_example(FOLDER / "sft_lora.py", monkeypatch, capsys)
    without, with_sleep = find_shares(said)
    assert with_sleep >= without + 0.3
    assert said.count("the frozen weights are as they were: True") == 2


def test_every_example_is_tested_and_listed() -> None:
    here, readme = Path(__file__).read_text(encoding="utf-8"), (FOLDER / "README.md").read_text(encoding="utf-8")
    here += (Path(__file__).parent / "integrations" / "test_off_peak.py").read_text(encoding="utf-8")
    assert all(path.name in here and path.name in readme for path in EXAMPLES)
