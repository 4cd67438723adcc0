"""The stream of texts that is learned in private: who is in it, and what a text is turned into."""

from __future__ import annotations

import math
import os
from pathlib import Path

import numpy as np
import pytest
import torch

pytest.importorskip("opacus", reason="opacus is not installed: pip install 'sharpwave[private]'")
pytest.importorskip("transformers", reason="transformers is not installed: pip install 'sharpwave[language]'")

from sharpwave.benchmarks.private.benchmark import METHODS, learn
from sharpwave.benchmarks.private.texts import N_KIND, N_TESTED, PAIRS, load_kinds, make_tasks, read_words, run
from sharpwave.errors import SharpwaveError

DATA = os.environ.get("SHARPWAVE_DATA")


@pytest.mark.skipif(not DATA, reason="needs the data sets (SHARPWAVE_DATA)")
def test_kinds_have_as_many_texts_and_none_is_tested_that_was_learned() -> None:
    kinds = load_kinds(Path(str(DATA)), rng=np.random.default_rng(0))
    assert list(kinds) == [kind for pair in PAIRS for kind in pair]
    trained = [text for train, _ in kinds.values() for text in train]
    tested = [text for _, test in kinds.values() for text in test]
    assert len(trained) == 10 * N_KIND == len(set(trained))
    assert len(tested) == 10 * N_TESTED == len(set(tested))
    assert not set(trained) & set(tested)


def test_words_are_numbers_of_one_length_whatever_other_texts_there_are() -> None:
    texts = ["a dull film", "the match was lost", "a Dull film!"]
    read = read_words(texts)
    torch.testing.assert_close(read.square().mean(dim=1), torch.ones(3))
    assert torch.equal(read[0], read[2])
    assert float((read[0] * read[1]).mean().abs()) < 0.3
    torch.testing.assert_close(read_words(texts[1:2])[0], read[1])


def test_nights_from_the_buffer_keep_kinds_that_private_fine_tuning_forgets() -> None:
    rng = np.random.default_rng(0)
    means = 1 + 0.4 * torch.from_numpy(rng.normal(size=(10, 32)).astype(np.float32))  # and all have one in common

    def draw(kind: int, n_texts: int) -> torch.Tensor:
        return means[kind] + 0.5 * torch.from_numpy(rng.normal(size=(n_texts, 32)).astype(np.float32))

    known = {name: (draw(c, 100), draw(c, 30)) for c, name in enumerate(kind for pair in PAIRS for kind in pair)}
    tasks = make_tasks(known, 0)
    assert sorted(each for task in tasks for each in task.classes) == list(range(10))
    found = {method: learn(tasks, 0, method, math.inf) for method in (METHODS[0], METHODS[2])}
    assert found[METHODS[0]]["accuracy"] < 0.4 < 0.6 < found[METHODS[2]]["accuracy"]
    assert all(each["accuracy_told"] > 0.8 for each in found.values())


def test_another_stream_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text").mkdir()
    with pytest.raises(SharpwaveError, match="no --stream"):
        run(tmp_path, seeds=1, stream="qa5")
