"""The small GPT-2: twenty steps, broken off and gone on with, and judged beside counts."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from sharpwave.errors import SharpwaveError
from sharpwave.recipes import small_gpt2
from sharpwave.recipes.small_gpt2 import compute_held_out_loss, make_model, make_small_gpt2, pretrain

TINY = {"n_layer": 1, "n_embd": 16, "n_head": 2, "n_positions": 256}


@pytest.fixture
def tokens(rng: np.random.Generator) -> np.ndarray:
    return np.tile(rng.integers(0, 20, 50), 60).astype(np.int64)


def test_a_run_that_was_broken_off_comes_to_the_same_weights(tokens: np.ndarray, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(small_gpt2, "LENGTH", 32)
    monkeypatch.setattr(small_gpt2, "SAVE_EVERY", 5)
    whole = make_model(size=20, **TINY)
    told = pretrain(whole, tokens, tmp_path / "whole", steps=20)
    assert told["step"] == 20
    assert told["losses"][-1] < told["losses"][0]
    save = small_gpt2._save
    calls = []

    def save_and_stop(*arguments) -> None:
        save(*arguments)
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(small_gpt2, "_save", save_and_stop)
    with pytest.raises(KeyboardInterrupt):
        pretrain(make_model(size=20, **TINY), tokens, tmp_path / "parts", steps=20)
    again = make_model(size=20, seed=7, **TINY)
    assert pretrain(again, tokens, tmp_path / "parts", steps=20)["losses"] == told["losses"]
    for mine, other in zip(again.parameters(), whole.parameters(), strict=True):
        assert torch.equal(mine, other)


def test_the_recipe_writes_a_model_that_loads_and_says_what_it_read(tmp_path: Path, monkeypatch) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    monkeypatch.setattr(small_gpt2, "LENGTH", 32)
    report = make_small_gpt2(
        tmp_path, steps=2, sources=["pydoc_data", "unittest", "email", "no_such_package"], size=300, **TINY
    )
    assert report["not_installed"] == ["no_such_package"]
    assert report["sources"]["pydoc_data"] == "PSF-2.0"
    assert set(report["held_out_loss"]) == {"gpt2", "unigram", "bigram"}
    assert report["held_out_loss"]["bigram"] < report["held_out_loss"]["unigram"] < np.log(300)
    assert json.loads((tmp_path / "report.json").read_text()) == report
    model, tokenizer = AutoModelForCausalLM.from_pretrained(tmp_path), AutoTokenizer.from_pretrained(tmp_path)
    ids = tokenizer("The assert statement")["input_ids"]
    assert tokenizer.decode(ids) == "The assert statement"
    assert model(torch.tensor([ids])).logits.shape == (1, len(ids), 300)
    with pytest.raises(SharpwaveError, match="documents"):
        make_small_gpt2(tmp_path / "none", steps=1, sources=["no_such_package"])


def test_held_out_loss_is_that_of_equal_shares_before_anything_is_learned(tokens: np.ndarray) -> None:
    assert compute_held_out_loss(make_model(size=20, **TINY), tokens, n_pieces=4) == pytest.approx(np.log(20), abs=0.1)
