"""What the page on language models says runs."""

from __future__ import annotations

import re
from pathlib import Path

import torch
from tests.consolidation.language import tiny

PAGE = (Path(__file__).parents[3] / "docs" / "language-models.md").read_text(encoding="utf-8")


def test_a_memory_a_night_and_dreams_as_they_stand_on_the_page(tmp_path, capsys) -> None:
    blocks = re.findall(r"```python\n(.*?)```", PAGE[PAGE.index("## A memory of tokens") :], re.DOTALL)
    model = tiny.make("gpt2")
    texts, classes = tiny.make_items(0, 64, seed=0)
    batches = [tiny.collate_causal(texts[first : first + 16], classes[first : first + 16]) for first in (0, 16, 32, 48)]
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-3)
    space = {"model": model, "optimiser": optimiser, "batches": batches, "folder": tmp_path}
    for block in blocks[:2]:
        exec(compile(block, "language-models.md", "exec"), space)
    said = capsys.readouterr().out
    assert "dreams" in said
    assert len(space["memory"]) == 64
