"""Objectives that language models name themselves: the loss is that of their own heads."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import pytest
import torch
from tests.consolidation.language.models import N_WORDS, make_model, make_tokens
from torch import Tensor

from sharpwave.consolidation import Objective
from sharpwave.errors import SharpwaveError


def make_texts() -> dict[str, Tensor]:
    batch = make_tokens()
    batch["labels"][:, :2] = -100  # a prompt
    return batch


def make_classes() -> dict[str, Tensor]:
    return make_tokens() | {"labels": torch.tensor([0, 2, 1, 2])}


def make_shares() -> dict[str, Tensor]:
    return make_tokens() | {"labels": torch.tensor([[1.0, 0, 1], [0, 0, 0], [1, 1, 1], [0, 1, 0]])}


def make_numbers() -> dict[str, Tensor]:
    return make_tokens() | {"labels": torch.tensor([0.5, -1.0, 2.0, 0.0])}


def make_answers() -> dict[str, Tensor]:
    batch = {name: value for name, value in make_tokens().items() if name != "labels"}
    return batch | {"start_positions": torch.tensor([1, 0, 40, 2]), "end_positions": torch.tensor([3, 0, 40, 2])}


HEADS: dict[str, tuple[Callable, dict]] = {
    "LlamaForCausalLM": (make_texts, {}),
    "GPT2LMHeadModel": (make_texts, {}),
    "BertForMaskedLM": (make_texts, {}),
    "BertForTokenClassification": (lambda: make_texts() | {"labels": make_texts()["labels"].clamp(max=2)}, {"n": 3}),
    "BertForSequenceClassification": (make_classes, {"n": 3}),
    "LlamaForSequenceClassification": (make_classes, {"n": 3}),
    "GPT2ForSequenceClassification": (make_shares, {"n": 3}),
    "GPT2ForTokenClassification": (lambda: make_texts() | {"labels": make_texts()["labels"].clamp(max=2)}, {"n": 3}),
    "BertForQuestionAnswering": (make_answers, {}),
    "LlamaForQuestionAnswering": (make_answers, {}),
}


@pytest.mark.parametrize("name", HEADS)
def test_the_loss_is_that_of_the_models_own_head(name: str) -> None:
    make_batch, options = HEADS[name]
    model, batch = make_model(name, num_labels=options.get("n", 2)).eval(), make_batch()
    objective = Objective.for_model(model)
    with torch.no_grad():
        losses = objective.compute_losses(objective.run(model, batch), batch)
        own = model(**batch).loss
    assert losses.shape == (4,)
    torch.testing.assert_close(losses.mean(), own)


def test_numbers_and_a_problem_type_that_the_configuration_names() -> None:
    model, batch = make_model("BertForSequenceClassification", num_labels=1).eval(), make_numbers()
    objective = Objective.for_model(model)
    with torch.no_grad():
        torch.testing.assert_close(
            objective.compute_losses(objective.run(model, batch), batch).mean(), model(**batch).loss
        )
    batch = make_shares()
    model = make_model("LlamaForSequenceClassification", num_labels=3, problem_type="regression").eval()
    objective = Objective.for_model(model)
    with torch.no_grad():
        losses = objective.compute_losses(objective.run(model, batch), batch)
        torch.testing.assert_close(losses.mean(), model(**batch).loss)


def test_items_alike_or_tokens_alike() -> None:
    model, batch = make_model("LlamaForCausalLM").eval(), make_texts()
    alone = []
    with torch.no_grad():
        for row in range(4):
            alone.append(model(**{name: value[row : row + 1] for name, value in batch.items()}).loss)
        objective = Objective.for_model(model, average="item")
        losses = objective.compute_losses(objective.run(model, batch), batch)
    torch.testing.assert_close(losses, torch.stack(alone))
    assert abs(losses.mean() - model(**batch).loss) > 1e-3
    with pytest.raises(SharpwaveError, match="an average over one of token, item"):
        Objective.for_model(model, average="sum")


def test_what_is_around_a_model_does_not_hide_it() -> None:
    peft = pytest.importorskip("peft")
    model, batch = make_model("GPT2LMHeadModel").eval(), make_texts()
    adapted = peft.get_peft_model(model, peft.LoraConfig(task_type="CAUSAL_LM", r=2)).eval()
    compiled = torch.compile(adapted, backend="eager")
    for around in (adapted, compiled):
        objective = Objective.for_model(around)
        with torch.no_grad():
            losses = objective.compute_losses(objective.run(adapted, batch), batch)
            torch.testing.assert_close(losses.mean(), adapted(**batch).loss)


def test_scores_of_a_causal_model() -> None:
    model = make_model("LlamaForCausalLM")
    batch = {"labels": torch.tensor([[-100, -100, 7, 9], [-100, 8, 9, -100], [-100, 7, -100, -100]])}
    output = torch.zeros(3, 4, N_WORDS)
    output[0, 1, 7] = output[0, 2, 9] = 2.0  # both right
    output[1, 0, 7] = output[1, 1, 9] = 2.0  # the first wrong
    output[2, 0, 30], output[2, 0, 7] = 5.0, 1.0  # another word is likelier, but is no label
    accuracy = Objective.for_model(model, words=[7, 8])
    assert accuracy.score(output, batch).tolist() == [1, 0, 1]
    assert accuracy.scores_share(output, batch)
    exact = Objective.for_model(model, score="exact match")
    assert exact.score(output, batch).tolist() == [1, 0, 0]
    plain = Objective.for_model(model)
    assert not plain.scores_share(output, batch)
    torch.testing.assert_close(
        plain.score(output, batch), -Objective.for_model(model, average="item").compute_losses(output, batch)
    )
    own = Objective.for_model(model, score=lambda output, batch: output[:, 0, 7])
    assert own.score(output, batch).tolist() == [0, 2, 1]
    with pytest.raises(SharpwaveError, match="a score that fits a model of kind 'causal'"):
        Objective.for_model(model, score="accuracy")


def test_scores_of_answers() -> None:
    model = make_model("BertForQuestionAnswering")
    batch = {"start_positions": torch.tensor([1, 2, 5]), "end_positions": torch.tensor([2, 5, 5])}
    output = torch.zeros(3, 8, 2)
    for row, (first, last) in enumerate([(1, 2), (4, 7), (0, 1)]):
        output[row, first, 0] = output[row, last, 1] = 3.0
    f1 = Objective.for_model(model).score(output, batch)
    torch.testing.assert_close(f1, torch.tensor([1.0, 0.5, 0.0]))
    assert Objective.for_model(model, score="exact match").score(output, batch).tolist() == [1, 0, 0]
    output[0, 7, 0] = 9.0  # a start after its end is no answer
    assert Objective.for_model(model).score(output, batch)[0] == 0


def test_a_class_is_right_or_wrong() -> None:
    model, batch = make_model("BertForSequenceClassification", num_labels=3).eval(), make_classes()
    objective = Objective.for_model(model)
    output = objective.run(model, batch).detach()
    right = (output.argmax(1) == batch["labels"]).float()
    assert objective.score(output, batch).tolist() == right.tolist()
    assert objective.find_label(batch) == "labels"


def test_padding_that_is_learned_is_noticed() -> None:
    for name in ("LlamaForCausalLM", "GPT2LMHeadModel"):
        model, batch = make_model(name).eval(), make_tokens()
        objective = Objective.for_model(model)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            objective.compute_losses(objective.run(model, batch), batch)
        batch["labels"] = batch["input_ids"].clone()
        with pytest.warns(UserWarning, match="labels of a batch are of padding"):
            objective.compute_losses(objective.run(model, batch), batch)
        del batch["attention_mask"]
        fresh = Objective.for_model(model)
        with pytest.warns(UserWarning, match="labels of a batch are of padding"):
            fresh.compute_losses(fresh.run(model, batch), batch)


def test_models_that_say_nothing_of_their_task_are_refused() -> None:
    import transformers

    sizes = {"vocab_size": 16, "d_model": 8, "d_kv": 4, "d_ff": 8, "num_layers": 1, "num_heads": 2}
    translator = transformers.T5ForConditionalGeneration(transformers.T5Config(**sizes))
    with pytest.raises(SharpwaveError, match="an encoder with a decoder"):
        Objective.for_model(translator)
    with pytest.raises(SharpwaveError, match="whose head says nothing of what it learns"):
        Objective.for_model(make_model("BertModel"))
    model = make_model("LlamaForCausalLM")
    with pytest.raises(SharpwaveError, match="name them as the model does: input_ids"):
        Objective.for_model(model).run(model, {"x": torch.zeros(1, 2)})
