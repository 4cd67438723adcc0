"""Tasks of text: what is read, what is refused, and that nothing of the test is learned from."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.benchmarks.language.folders import make_classes, make_questions, write_lines

from sharpwave.benchmarks.language.harness import find_answer
from sharpwave.benchmarks.language.streams import PROTOCOLS, load_tasks, make_text_stream, score_answer
from sharpwave.benchmarks.language.texts import Labelled, TextTask, load_folder
from sharpwave.errors import SharpwaveError

OWN = replace(PROTOCOLS["own"], n_train=48, n_test=16, batch=8, length=40)


def test_a_folder_of_tasks_is_read_packed_or_not(tmp_path: Path) -> None:
    mood, place = load_folder(make_classes(tmp_path))
    assert (mood.name, place.name) == ("mood", "place")
    assert (mood.labels, place.labels) == (("glad", "sad"), ("land", "sea"))
    assert (len(mood.train), len(mood.test)) == (48, 16)


def test_questions_without_an_answer_are_left_out(tmp_path: Path) -> None:
    garden, kitchen = load_folder(make_questions(tmp_path))
    assert (len(garden.train), len(kitchen.test)) == (24, 8)
    for item in (*garden.train, *kitchen.test):
        assert item.context[item.start :].startswith(item.answers[0])


GOOD = {"text": "fine", "label": "good"}


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("{", "JSON in line 2 of a-train"),
        ('{"text": "x"}', "in line 2 of a-train"),
        ('{"text": "  ", "label": "good"}', "in line 2 of a-train"),
        ('{"text": "x", "label": ["good"]}', "in line 2 of a-train"),
        ("[" * 5000, "line 2 of a-train"),
        ('{"question": "q", "context": "c", "answers": {"text": ["z"], "answer_start": [0]}}', "in line 2 of a-train"),
        ('{"question": "q", "context": "c", "answers": {"text": ["c"], "answer_start": [-1]}}', "in line 2 of a-train"),
        ('{"question": "q", "context": "c", "answers": {"text": ["c"], "answer_start": [0]}}', "tasks of one kind"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(tmp_path: Path, line: str, expected: str) -> None:
    (tmp_path / "a-train.jsonl").write_text(json.dumps(GOOD) + "\n" + line + "\n")
    write_lines(tmp_path / "a-test.jsonl", [GOOD])
    with pytest.raises(SharpwaveError, match=expected):
        load_folder(tmp_path)


def test_folders_that_are_none_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SharpwaveError, match="a folder of tasks"):
        load_folder(tmp_path)
    write_lines(tmp_path / "a-train.jsonl", [GOOD, {"text": "bad", "label": "poor"}])
    with pytest.raises(SharpwaveError, match="a-test"):
        load_folder(tmp_path)
    write_lines(tmp_path / "a-test.jsonl", [{"text": "so so", "label": "fair"}])
    with pytest.raises(SharpwaveError, match="in the test fair"):
        load_folder(tmp_path)
    (tmp_path / "a-test.jsonl.gz").write_bytes(b"not packed")
    with pytest.raises(SharpwaveError, match="one file of a-test"):
        load_folder(tmp_path)
    (tmp_path / "a-test.jsonl").unlink()
    with pytest.raises(SharpwaveError, match="packed by gzip"):
        load_folder(tmp_path)


def test_texts_of_the_test_are_not_learned_from(tmp_path: Path) -> None:
    rows = [{"text": f"t{n}", "label": "ab"[n % 2]} for n in range(8)]
    write_lines(tmp_path / "a-train.jsonl", rows)
    write_lines(tmp_path / "a-test.jsonl", rows[:4])
    (task,) = load_folder(tmp_path)
    assert {item.text for item in task.train} == {"t4", "t5", "t6", "t7"}


def test_validation_streams_hold_training_items_alone_and_share_no_text(rng: np.random.Generator) -> None:
    train = tuple(Labelled(f"t{n // 2}", "ab"[n % 2]) for n in range(40))
    task = TextTask("a", train, (Labelled("other", "a"),))
    drawn = task.draw(n_train=100, n_test=100, rng=rng, validation=True)
    assert set(drawn.train) | set(drawn.test) == set(train)
    assert not {i.text for i in drawn.train} & {i.text for i in drawn.test}


def test_order_and_items_are_drawn_by_the_seed(tmp_path: Path) -> None:
    tasks = load_tasks(OWN, make_classes(tmp_path))
    short = replace(OWN, n_train=16)
    made = [make_text_stream(short, tasks, model=None, kind="classes", seed=seed) for seed in (0, 0, 1, 2, 3)]
    assert torch.equal(made[0].tasks[0].train["input_ids"], made[1].tasks[0].train["input_ids"])
    assert len({each.tasks[0].name for each in made}) == 2
    assert made[0].classes == ("glad", "land", "sad", "sea")
    unknown, told = made[0].find_majority()
    assert (unknown, told) == (0.25, 0.5)


def test_a_class_is_named_by_one_token_and_nothing_else_is_learned(tmp_path: Path) -> None:
    stream = make_text_stream(OWN, load_tasks(OWN, make_classes(tmp_path)), model=None, kind="words", seed=0)
    network = stream.make_network(0)
    assert len(set(network.words)) == 4
    for task in stream.tasks:
        labels, mask = task.train["labels"], task.train["attention_mask"]
        assert ((labels != -100).sum(dim=1) == 1).all()
        last = mask.sum(dim=1) - 1
        said = labels[torch.arange(len(labels)), last]
        assert set(said.tolist()) == {network.words[each] for each in task.classes}
        assert torch.equal(task.train["input_ids"][torch.arange(len(labels)), last], said)


@pytest.mark.parametrize(
    ("said", "right", "expected"),
    [
        ("The cat!", ["a cat"], (1, 1)),
        ("black cat", ["cat", "dog"], (2 / 3, 0)),
        ("", ["cat"], (0, 0)),
        ("", [""], (1, 1)),
    ],
)
def test_answers_are_scored_as_squad_does(said: str, right: list[str], expected: tuple[float, float]) -> None:
    assert score_answer(said, right) == pytest.approx(expected)


def test_an_answer_is_out_of_the_context_in_order_and_short() -> None:
    context = "a" * 80
    places = ((-1, -1), *((n, n + 1) for n in range(80)))
    logits = torch.zeros(81, 2)
    logits[0], logits[5, 0], logits[3, 1], logits[60, 1], logits[9, 1] = 9.0, 5.0, 4.0, 3.0, 1.0
    assert len(find_answer(context, places, logits)) == 5  # tokens 5 to 9: 3 is before, 60 too far
