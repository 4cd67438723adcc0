"""The demonstration on a small scale: the page, the hypnogram, and sleep that keeps what is otherwise forgotten."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from sharpwave.commands.batch import NightOutcome
from sharpwave.commands.cli import app
from sharpwave.commands.demo import demonstrate_network_sleep
from sharpwave.demonstrations import network_sleep as demonstration
from sharpwave.demonstrations.network_sleep import Demonstration, demonstrate_forgetting
from sharpwave.demonstrations.streams import Stream, load_digits, split_classes
from sharpwave.recordings import read_hypnogram

command = sys.modules["sharpwave.commands.demo"]
"""The module, by whose name the package hands out its function."""


@pytest.fixture(scope="module")
def found() -> Demonstration:
    return demonstrate_forgetting(n_seeds=1, make_stream=stream_few_digits)


def stream_few_digits(*, seed: int) -> Stream:
    """Five tasks of two digits each, half of the images."""
    return split_classes(load_digits(), n_tasks=5, rng=np.random.default_rng(seed), n_train=140, n_test=45)


def test_sleep_forgets_less(found: Demonstration) -> None:
    forgetting = found.tables["summary"].set_index("way")["forgetting"]
    assert forgetting["sleep"] < forgetting["replay"] < forgetting["fine-tuning"]
    assert forgetting["fine-tuning"] > 0.7
    assert found.tables["matrix"]["accuracy"].between(0, 1).all()
    assert len(found.losses) == len(found.hypnogram)


def test_page_and_hypnogram(found: Demonstration, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demonstration, "demonstrate_forgetting", lambda **_: found)
    page, words = demonstrate_network_sleep(tmp_path / "out", n_seeds=1)
    assert "forgot" in words
    assert page == tmp_path / "out" / "network-sleep.html"
    assert "A network that sleeps" in page.read_text()
    assert set(read_hypnogram(tmp_path / "out" / "network-hypnogram.tsv").labels) == {"W", "NREM"}


@pytest.mark.parametrize("part", ["night", "memory", "network"])
def test_one_part_alone(part: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done = []
    row = dict.fromkeys(("content", "what", "planted", "with_effect", "without_effect"), "") | {"n_nights": 2}
    outcome = NightOutcome("demo", "done", report=tmp_path / "report.html")
    words = "sharpwave.demonstrations.words.demonstrate_words"
    planted = "sharpwave.night.planted.compare_planted_nights"
    monkeypatch.setattr(command, "decode_demo", lambda *_, **__: done.append("night") or outcome)
    monkeypatch.setattr(planted, lambda **_: done.append("memory") or pd.DataFrame([row]))
    monkeypatch.setattr(command, "demonstrate_network_sleep", lambda *_, **__: done.append("network") or ("page", ""))
    monkeypatch.setattr(words, lambda: SimpleNamespace(describe=lambda: ""))
    result = CliRunner().invoke(app, ["demo", "--only", part, "-o", str(tmp_path / "out")], catch_exceptions=False)
    assert (result.exit_code, done) == (0, [part])
    assert command.PARTS[part] in result.output
