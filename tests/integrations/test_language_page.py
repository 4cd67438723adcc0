"""What the page on language models says runs."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import pytest
import torch

pytest.importorskip("trl")
ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "language-models.md").read_text(encoding="utf-8")


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_every_snippet_of_the_page_runs(tmp_path, capsys) -> None:
    import transformers

    example = runpy.run_path(str(ROOT / "examples" / "trainer.py"))
    model, tokenizer = example["make_model"](None)
    made = {task: example["make_trainer"](model, tokenizer, task, [], rate=5e-3) for task in example["TASKS"]}
    arguments, collate = made["french"].args, made["french"].data_collator
    datasets = {task: trainer.train_dataset for task, trainer in made.items()}
    network = example["make_model"](None)[0]
    optimizer = torch.optim.AdamW(network.parameters(), lr=5e-3)
    loader = torch.utils.data.DataLoader(datasets["french"] * 2, batch_size=10, collate_fn=collate)
    space = {"Trainer": transformers.Trainer, "model": model, "arguments": arguments, "collate": collate}
    space |= {
        "datasets": datasets,
        "tokenizer": tokenizer,
        "network": network,
        "optimizer": optimizer,
        "loader": loader,
    }
    blocks = re.findall(r"```python\n(.*?)```", PAGE.partition("## A memory of tokens")[0], re.DOTALL)
    assert blocks[0].count("  # ") == 5
    for block in blocks:
        exec(compile(block, "language-models.md", "exec"), space)
    said = capsys.readouterr().out
    assert "day of french, then a night" in said
    assert "divergence from the morning's model" in said
    trainer = example["make_trainer"](model, tokenizer, "german", [space["callback"]], rate=5e-3)
    trainer.train()
    assert trainer.sleep_report.added_tokens < 0.2
    assert all(example["measure"](model, tokenizer, task) >= 0 for task in datasets)


def test_the_tables_have_their_place() -> None:
    assert "(language-benchmark.md)" in PAGE
