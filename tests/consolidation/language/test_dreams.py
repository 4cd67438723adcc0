"""A language model writes its dreams itself, is held to what it said yesterday on them, and nothing else is stored."""

from __future__ import annotations

import copy
import math

import pytest
import torch
from tests.consolidation.language import tiny
from tests.consolidation.language.test_nights import learn, list_moved, make_adapted, read_state

from sharpwave.consolidation import Objective, Probe, Sleep
from sharpwave.consolidation.language import Dreams, TokenMemory
from sharpwave.consolidation.language.dreamt import Dreamt
from sharpwave.consolidation.state_files import load_state, save_state
from sharpwave.errors import SharpwaveError

PROMPTS = [[1], [1, 12], [1, 20, 21, 22]]


def make_sleep(model=None, *, buffer=None, budget: float | None = None, probe: Probe | None = None, **options) -> Sleep:
    model = tiny.make("gpt2") if model is None else model
    optimiser = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=3e-3)
    options = {"prompts": PROMPTS, "max_new_tokens": 8, "n_items": 24, "temperature": 1.0} | options
    dreams, objective = Dreams(**options), Objective.for_model(model)
    return Sleep(model, buffer, optimiser, objective=objective, rem=dreams, budget=budget, probe=probe or Probe())


@pytest.mark.parametrize("name", ["llama", "gpt2"])
def test_a_night_of_dreams_brings_a_model_back_to_what_it_said_yesterday(name: str) -> None:
    sleep = make_sleep(tiny.make(name), n_items=32)
    learn(sleep, 0, n_items=384, whole=True)
    sleep.night(2)
    learn(sleep, 1, n_items=384, whole=True)
    report = sleep.night(30)
    before, after = report.divergence
    assert after < 0.5 * before
    assert (report.hypnogram.stages == 2).all()
    assert "dreams" in report.note
    assert "tokens in" in report.note
    assert report.cost["asleep_tokens"] > 0
    assert sleep.learner.buffer is None


def test_dreams_are_what_the_teacher_says_token_by_token() -> None:
    """The stored targets are those of a pass of the model as it woke up, over the texts that it wrote."""
    model = tiny.make("llama")
    teacher = copy.deepcopy(model).eval()
    sleep = make_sleep(model, top_k=5)
    learn(sleep, 0, n_items=128)
    evening = read_state(model)
    sleep.fall_asleep(3)
    assert not list_moved(model, evening)  # the teacher's weights were put on and taken off again
    phase = sleep.phases[2]
    batch = phase._make_batch(range(len(phase.dreamt)))
    with torch.no_grad():
        logits = teacher(batch["input_ids"], batch["attention_mask"]).logits.log_softmax(-1)
    taught = batch["logits"]
    rows, places = torch.nonzero(taught["positions"] >= 0, as_tuple=True)
    said = logits[rows, taught["positions"][rows, places]].gather(1, taught["ids"][rows, places])
    torch.testing.assert_close(said, taught["values"][rows, places], atol=1e-4, rtol=1e-4)
    assert {tuple(text[:1]) for text in phase.dreamt.texts} == {(1,)}
    assert len({tuple(text) for text in phase.dreamt.texts}) == len(phase.dreamt)
    sleep.abandon()
    assert not list_moved(model, evening)


def test_dreams_that_are_no_good_are_left_out_and_counted() -> None:
    dreamt = Dreamt(texts=[[1, 5, 6, 7]])
    found = [
        dreamt.find_fault([1, *new], new, least=3) for new in ([], [4, 4], [4] * 6, [4, 5] * 6, [5, 6, 7], [5, 6, 8])
    ]
    assert found == ["empty", "too short", "repeats itself", "repeats itself", "dreamt before", ""]
    assert "3 left out: 1 empty, 2 too short" in make_described()


def make_described() -> str:
    dreamt = Dreamt()
    dreamt.left_out.update({"empty": 1, "too short": 2})
    return dreamt.describe()


def test_writing_and_learning_dreams_stay_within_the_budget() -> None:
    sleep = make_sleep(budget=0.3, n_items=200)
    for task in range(2):
        learn(sleep, task, n_items=256)
        report = sleep.night()
        assert len(report.losses) >= 1
    assert sleep.budget.slept <= 1.1 * sleep.budget.earned
    assert report.added_passes < 0.36


def test_dreams_beside_a_memory_take_their_share_of_the_night() -> None:
    memory = TokenMemory("100 kB")
    sleep = make_sleep(buffer=memory, share=0.5)
    learn(sleep, 0, n_items=64)
    report = sleep.night(6)
    assert report.hypnogram.stages.tolist() == [1, 1, 1, 2, 2, 2]


def test_a_night_that_harms_is_undone_bit_for_bit_and_yesterday_is_the_next_morning() -> None:
    scores = iter([1.0, 0.0])
    sleep = make_sleep(probe=Probe(lambda _: next(scores)))
    learn(sleep, 0, n_items=64)
    evening = read_state(sleep.learner.model)
    assert not sleep.night(3).committed
    assert not list_moved(sleep.learner.model, evening)
    learn(sleep, 1, n_items=16)
    yesterday = sleep.phases[2]._yesterday
    assert all(torch.equal(value, evening[key]) for key, value in yesterday.items() if key in evening)


def test_an_adapter_that_is_switched_off_teaches() -> None:
    sleep = make_sleep(make_adapted(), teacher="base")
    sleep.learner.optimiser.param_groups[0]["lr"] = 0.03
    learn(sleep, 0, n_items=256, whole=True)
    report = sleep.night(10)
    assert report.divergence[1] < report.divergence[0]
    with pytest.raises(SharpwaveError, match="adapters of PEFT"):
        make_sleep(teacher="base")


def test_a_night_of_dreams_goes_on_from_a_file(tmp_path) -> None:
    one = make_sleep()
    learn(one, 0, n_items=64)
    one.fall_asleep(6)
    one.step()
    save_state({"sleep": one.state_dict(), "optimiser": one.learner.optimiser.state_dict()}, tmp_path / "state")
    other = make_sleep(copy.deepcopy(one.learner.model))
    state = load_state(tmp_path / "state")
    other.learner.optimiser.load_state_dict(state["optimiser"])
    other.load_state_dict(state["sleep"])
    losses = [each.night().losses.tolist() for each in (one, other)]
    assert losses[0] == pytest.approx(losses[1], abs=1e-6)


def test_texts_go_through_a_tokenizer() -> None:
    def tokenize(text: str) -> dict:
        return {"input_ids": [1, *(10 + ord(letter) % 50 for letter in text)]}

    sleep = make_sleep(prompts=["<a>", [5]], tokenizer=tokenize)
    assert sleep.phases[2].prompts == [[1, 20, 57, 22], [5]]
    with pytest.raises(SharpwaveError, match="a tokenizer"):
        make_sleep(prompts=["<a>"])


def test_models_that_cannot_go_on_from_a_prompt_are_refused_in_words() -> None:
    with pytest.raises(SharpwaveError, match="which cannot"):
        make_sleep(tiny.make("bert"))
    for options in ({"prompts": []}, {"prompts": "text"}, {"teacher": "parrot"}, {"temperature": 0}, {"share": 2}):
        with pytest.raises(SharpwaveError):
            make_sleep(**options)


def test_without_a_single_good_dream_a_night_changes_nothing_and_says_so() -> None:
    sleep = make_sleep(least=100)
    learn(sleep, 0, n_items=32)
    evening = read_state(sleep.learner.model)
    with pytest.warns(UserWarning, match="no weight moved"):
        report = sleep.night(2)
    assert "0 dreams (24 left out" in report.note
    assert not list_moved(sleep.learner.model, evening)
    assert math.isnan(report.divergence[0])
