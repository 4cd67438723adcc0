"""The kernels of training against attention with a cache, and against each other."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tests.brainmu.training_nights import make_model, make_night, make_recording
from torch.nn.attention import flex_attention

from sharpwave.brainmu import BrainMu, collate, epoch_recording
from sharpwave.brainmu.attention import make_mask
from sharpwave.brainmu.epochs import Batch
from sharpwave.brainmu.learning_pass import drop, make_sight, number_times, seed_tokens
from sharpwave.brainmu.training.devices import Execution
from sharpwave.errors import SharpwaveError

SHAPE = {"modalities": ["heart_rate", "stages"], "n_layers": 3, "window": 600.0, "width": 32}
SEEDS = torch.tensor([5, -7, 11], dtype=torch.int32)


@pytest.fixture(scope="module")
def batch() -> Batch:
    return make_batch()


def make_batch() -> Batch:
    """Nights of other lengths, one of them without stages, one with gaps, one that begins elsewhere."""
    nights = [epoch_recording(make_recording(seed), modalities=["heart_rate", "stages"]) for seed in (0, 1)]
    whole = collate([nights[0].restrict(0, 40), nights[1].restrict(20, 75), make_night(2).restrict(0, 30)])
    parts = dict(whole.modalities)
    there = torch.rand(parts["heart_rate"].present.shape, generator=torch.Generator().manual_seed(0)) > 0.3
    parts["heart_rate"] = replace(parts["heart_rate"], present=parts["heart_rate"].present & there)
    return replace(whole, modalities=parts)


def learn(
    model: BrainMu, batch: Batch, seeds: torch.Tensor | None = SEEDS
) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """Latents of a pass in training, and the gradient of some function of them."""
    model.train().zero_grad()
    latents = model(batch, seeds=seeds).latents
    (latents * torch.randn(latents.shape, generator=torch.Generator().manual_seed(0))).sum().backward()
    return latents.detach(), {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}


def test_whole_numbers_say_what_times_say(batch: Batch) -> None:
    tokens = make_model(**SHAPE).encode(batch)
    mask = make_mask(tokens.times, tokens.times, tokens.present, window=600.0)
    numbers = number_times(tokens.times, tokens.present, window=600.0)
    n_tokens = tokens.times.shape[1]
    sight = make_sight(numbers, n_queries=n_tokens, attention="dense")
    assert torch.equal(sight.mask[:, 0] & ~sight.blind[:, 0], mask)
    assert not mask.all()
    assert sight.blind.any()
    last = make_sight(numbers, n_queries=10, attention="dense")
    assert torch.equal(last.mask & ~last.blind, (sight.mask & ~sight.blind)[:, :, -10:])


def test_learning_sees_what_a_pass_with_a_cache_sees(batch: Batch) -> None:
    model = make_model(**SHAPE)
    with torch.no_grad():
        expected = model.eval()(batch).latents
        there = batch.valid
        torch.testing.assert_close(model.train()(batch).latents[there], expected[there], atol=2e-6, rtol=0)


@pytest.mark.filterwarnings("ignore:flex_attention called without")
def test_flex_attention_gives_the_numbers_and_gradients_of_the_mask(
    batch: Batch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(flex_attention, "_validate_device", lambda *_: None)  # its plain form has a gradient, untested
    monkeypatch.setattr("sharpwave.brainmu.learning_pass.check_gradient", lambda _: None)
    model = make_model(**SHAPE, dropout=0.2)
    latents, gradients = learn(model, batch)
    with Execution(attention="flex").applied(model):
        other, others = learn(model, batch)
    torch.testing.assert_close(other, latents, atol=2e-6, rtol=0)
    for name, value in gradients.items():
        torch.testing.assert_close(others[name], value, atol=1e-4, rtol=1e-4, msg=name)


def test_what_is_computed_again_has_the_same_gradient_bit_for_bit(batch: Batch) -> None:
    model = make_model(**SHAPE, dropout=0.2)
    latents, gradients = learn(model, batch)
    with Execution(recompute=True).applied(model):
        other, others = learn(model, batch)
        assert model.blocks[0].recompute
    assert torch.equal(other, latents)
    assert not model.blocks[0].recompute
    assert all(torch.equal(others[name], value) for name, value in gradients.items())


def test_what_is_computed_again_drops_the_same_without_seeds(batch: Batch) -> None:
    model = make_model(**SHAPE, dropout=0.2)
    found = []
    for recompute in (False, True):
        torch.manual_seed(0)
        with Execution(recompute=recompute).applied(model):
            found.append(learn(model, batch, seeds=None)[1])
    assert all(torch.equal(found[1][name], value) for name, value in found[0].items())


COMPILED = """
import torch
from tests.brainmu.test_learning_pass import SHAPE, learn, make_batch, make_model
from sharpwave.brainmu.training.devices import Execution
model, batch = make_model(**SHAPE, dropout=0.2), make_batch()
latents, gradients = learn(model, batch)
with Execution(compiled=True, recompute=True).applied(model, backend="eager"):
    other, others = learn(model, batch)
    assert "learn" in vars(model.blocks[0])
assert "learn" not in vars(model.blocks[0])
assert torch._dynamo.utils.counters["stats"]["unique_graphs"] == 2, torch._dynamo.utils.counters["stats"]
torch.testing.assert_close(other, latents, atol=2e-6, rtol=0)
for name, value in gradients.items():
    torch.testing.assert_close(others[name], value, atol=1e-4, rtol=1e-4, msg=name)
"""


@pytest.mark.slow
def test_compiled_blocks_learn_the_same_in_two_graphs_for_all_of_them() -> None:
    """In a process of its own: annotations that are checked at run time do not compile."""
    root = Path(__file__).parents[2]
    path = os.pathsep.join([str(root), str(root / "src")])
    subprocess.run([sys.executable, "-c", COMPILED], env={**os.environ, "PYTHONPATH": path}, check=True)


def test_a_processor_does_not_learn_with_flex_attention(batch: Batch) -> None:
    model = make_model(**SHAPE)
    with Execution(attention="flex").applied(model), pytest.raises(SharpwaveError, match="got a processor"):
        learn(model, batch)
    with pytest.raises(SharpwaveError, match="attention among dense, flex; got 'flash'"):
        Execution(attention="flash")


def test_dropout_of_a_crop_depends_on_its_seed_alone(batch: Batch) -> None:
    model = make_model(**SHAPE, dropout=0.3).train()
    together = model(batch, seeds=SEEDS).latents
    crop = epoch_recording(make_recording(1), modalities=["heart_rate", "stages"]).restrict(20, 75)
    parts = {
        name: replace(part, present=batch.modalities[name].present[1:2])
        for name, part in collate([crop]).modalities.items()
    }
    alone = model(replace(collate([crop]), modalities=parts), seeds=SEEDS[1:2]).latents
    torch.testing.assert_close(alone[0], together[1], atol=2e-6, rtol=0)
    assert not torch.allclose(alone, model(replace(collate([crop]), modalities=parts), seeds=SEEDS[:1]).latents)


def test_dropout_drops_its_share_everywhere_alike_and_nothing_together() -> None:
    seeds = seed_tokens(torch.arange(20, dtype=torch.int32), 50, kind=3)
    one, two = (drop(torch.ones(20, 50, 64), chance=0.3, training=True, seeds=seeds, place=place) for place in (0, 1))
    assert one.mean() == pytest.approx(1.0, abs=0.01)
    gone = one == 0
    for dims in ((0, 1), (0, 2), (1, 2)):
        share = gone.float().mean(dim=dims)
        n_each = gone.numel() / len(share)
        assert (share - 0.3).abs().max() < 5 * (0.21 / n_each) ** 0.5
    for other in (two == 0, gone.roll(1, 0), gone.roll(1, 1), gone.roll(1, 2)):
        assert (gone & other).float().mean() == pytest.approx(0.09, abs=0.005)
