"""What the pages on Brainµ say is so: the example of a new modality runs, and the sizes are right."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch

from sharpwave.brainmu.encoders import ENCODERS
from sharpwave.brainmu.model import BrainMu
from sharpwave.brainmu.presets import PRESETS, configure
from sharpwave.recordings.modality import MODALITIES

DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture
def registries() -> Iterator[None]:
    before = dict(ENCODERS), dict(MODALITIES)
    yield
    for registry, content in zip((ENCODERS, MODALITIES), before, strict=True):
        registry.clear()
        registry.update(content)


@pytest.mark.usefixtures("registries")
def test_the_example_of_a_new_modality_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    blocks = re.findall(r"```python\n(.*?)```", (DOCS / "adding-a-modality.md").read_text(encoding="utf-8"), re.DOTALL)
    assert len(blocks) == 3
    module = ModuleType("conductance")
    monkeypatch.setitem(sys.modules, "conductance", module)
    for block in blocks:
        exec(compile(block, "adding-a-modality.md", "exec"), module.__dict__)
    assert "conductance" in ENCODERS
    kind, grid = ENCODERS["conductance"], module.EpochGrid(0.0, 30.0, 20)
    whole, past = kind.cut(module.recording, grid), None
    for step in range(20):
        windows, past = kind.normalise(kind.measure(module.recording, grid.restrict(step, step + 1)), past)
        np.testing.assert_allclose(windows.values[0], whole.values[step], atol=1e-6)


def test_the_table_of_sizes_is_right() -> None:
    page = (DOCS / "brainmu.md").read_text(encoding="utf-8")
    rows = re.findall(r"\| `(\w+)` \| (\d+) \| (\d+) \| (\d+) \| ([\d.]+) million", page)
    assert [row[0] for row in rows] == list(PRESETS)
    for name, width, layers, heads, millions in rows:
        config = configure(name)
        assert (config.width, config.n_layers, config.n_heads) == (int(width), int(layers), int(heads))
        with torch.device("meta"):
            count = sum(parameter.numel() for parameter in BrainMu(config).parameters())
        assert count / 1e6 == pytest.approx(float(millions), rel=0.03)


def test_the_page_names_every_modality() -> None:
    page = (DOCS / "brainmu.md").read_text(encoding="utf-8").lower()
    words = {"bold": "bold", "lfp": "lfp", "stages": "stage history", "acceleration": "wrist acceleration"}
    words |= {"performance": "task performance", "features": "named features", "heart_rate": "heart rate"}
    for name in ENCODERS:
        assert words.get(name, name) in page, name
