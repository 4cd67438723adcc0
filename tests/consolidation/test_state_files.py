from __future__ import annotations

import pytest
import torch

from sharpwave.consolidation.state_files import load_state, save_state
from sharpwave.errors import SharpwaveError


def test_what_is_written_comes_back(tmp_path) -> None:
    shared = torch.randn(3)
    state = {"a": {0: shared, "b": [shared, None, 1.5, float("inf"), ("x", True)]}, "c": torch.arange(2)[:0]}
    loaded = load_state(save_state(state, tmp_path / "new"))
    assert torch.equal(loaded["a"][0], shared)
    assert torch.equal(loaded["a"]["b"][0], shared)
    assert loaded["a"]["b"][1:] == [None, 1.5, float("inf"), ["x", True]]
    assert loaded["c"].dtype == torch.int64


def test_damaged_files(tmp_path) -> None:
    save_state({"a": torch.ones(2)}, tmp_path)
    (tmp_path / "state.json").write_text('{"tensor": "7"}')
    with pytest.raises(SharpwaveError, match="write it with save_state"):
        load_state(tmp_path)
    with pytest.raises(SharpwaveError, match="that belong together"):
        load_state(tmp_path / "nowhere")
    with pytest.raises(SharpwaveError, match="numbers, strings, None"):
        save_state({"a": object()}, tmp_path)


NESTED = ("[" * 100_000 + "]" * 100_000, '{"pairs": ' * 5000 + "1" + "}" * 5000)


@pytest.mark.parametrize("content", [*NESTED, "[1, 2]", '{"pairs": [[[1], 2]]}', '{"pairs": 5}', "\xff", ""])
def test_damaged_trees_are_explained(tmp_path, content: str) -> None:
    save_state({"a": torch.ones(2)}, tmp_path)
    (tmp_path / "state.json").write_text(content, encoding="latin-1")
    with pytest.raises(SharpwaveError, match=r"that belong together.*write it with save_state"):
        load_state(tmp_path)
