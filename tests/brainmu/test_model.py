"""The whole model: any subset of modalities, nothing from the future, the same in pieces and in company."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from tests.brainmu.planted import NAMES as PLANTED
from tests.brainmu.planted import make_model, simulate_pieces
from tests.modalities import make_recording, spoil_after

from sharpwave.brainmu.encoders import ENCODERS
from sharpwave.brainmu.epochs import EpochedRecording, collate, epoch_recording
from sharpwave.brainmu.explanation.occlusion import forecast_without, pass_over_night, restrict_batch
from sharpwave.brainmu.model import BrainMu, Output
from sharpwave.brainmu.presets import configure
from sharpwave.errors import SharpwaveError
from sharpwave.recordings.recording import Recording

NAMES = list(ENCODERS)
SECONDS = 360.0


@pytest.fixture(scope="module")
def model() -> BrainMu:
    torch.manual_seed(0)
    return BrainMu(configure("lite", width=16, n_layers=2, n_heads=2, window=150.0)).eval()


@pytest.fixture(scope="module")
def recording() -> Recording:
    rng = np.random.default_rng(0)
    parts = [make_recording(name, rng, seconds=SECONDS) for name in NAMES]
    return Recording(
        signals={key: signal for part in parts for key, signal in part.signals.items()},
        spikes=next(part.spikes for part in parts if part.spikes is not None),
        hypnogram=next(part.hypnogram for part in parts if part.hypnogram is not None),
    )


@pytest.fixture(scope="module")
def windowed(recording: Recording) -> EpochedRecording:
    return epoch_recording(recording, every_channel=True)


def run(model: BrainMu, *pieces: EpochedRecording) -> Output:
    with torch.no_grad():
        return model(collate(pieces))


def assert_alike(first: Output, second: Output, *, steps: slice = slice(None), atol: float = 1e-5) -> None:
    torch.testing.assert_close(first.latents[0, steps], second.latents[0, steps], atol=atol, rtol=1e-4)
    for name in ("stage", "change", "destination", "depth"):
        one, other = getattr(first.readout, name)[0, steps], getattr(second.readout, name)[0, steps]
        torch.testing.assert_close(one, other, atol=atol, rtol=1e-4)


def test_every_modality_is_read(model: BrainMu, windowed: EpochedRecording) -> None:
    assert set(windowed.epochs) == set(NAMES)
    output = run(model, windowed)
    assert output.latents.shape == (1, 12, 16)
    assert output.readout.stage.shape == (1, 12, 5)
    assert output.readout.change.shape == (1, 12, 3)
    assert output.readout.destination.shape == (1, 12, 3, 5)
    assert output.readout.depth.shape == (1, 12)
    predicted = model.predict_next(output.latents, collate([windowed]))
    for name, part in predicted.items():
        assert part.shape == (1, 12, len(windowed.epochs[name].channels), ENCODERS[name].n_targets)


@pytest.mark.parametrize("name", NAMES)
def test_noise_after_t_moves_nothing_at_or_before_t(name: str, model: BrainMu, recording: Recording) -> None:
    rng = np.random.default_rng(1)
    own = make_recording(name, rng, seconds=SECONDS)
    before = run(model, epoch_recording(own, modalities=[name]))
    for steps in (1, 5, 11):
        moment = 30.0 * steps
        after = run(model, epoch_recording(spoil_after(own, moment, rng), modalities=[name]))
        assert_alike(after, before, steps=slice(steps))
    later = run(model, epoch_recording(spoil_after(own, 60.0, rng), modalities=[name]))
    assert not torch.allclose(later.latents[0, 2:], before.latents[0, 2:], atol=1e-3)


def test_noise_after_t_in_all_modalities_together(model: BrainMu, recording: Recording) -> None:
    before = run(model, epoch_recording(recording))
    after = run(model, epoch_recording(spoil_after(recording, 210.0, np.random.default_rng(2))))
    assert_alike(after, before, steps=slice(7))
    assert not torch.allclose(after.latents[0, 7:], before.latents[0, 7:], atol=1e-3)


@pytest.mark.parametrize("seed", range(6))
def test_any_subset_and_what_is_absent_is_as_good_as_left_out(
    seed: int, model: BrainMu, windowed: EpochedRecording
) -> None:
    rng = np.random.default_rng(seed)
    names = list(rng.permutation(NAMES)[: rng.integers(1, len(NAMES))])
    left_out = run(model, windowed.only(names))
    assert torch.isfinite(left_out.latents).all()
    batch = collate([windowed])
    absent = {
        name: part if name in names else replace(part, present=torch.zeros_like(part.present))
        for name, part in batch.modalities.items()
    }
    with torch.no_grad():
        assert_alike(model(replace(batch, modalities=absent)), left_out)


def test_modalities_that_the_model_lacks_are_passed_over(windowed: EpochedRecording) -> None:
    small = BrainMu(configure("lite", modalities=["eeg"], width=16, n_layers=1, n_heads=2)).eval()
    assert_alike(run(small, windowed), run(small, windowed.only(["eeg"])))
    assert set(small.predict_next(run(small, windowed).latents, collate([windowed]))) == {"eeg"}


@pytest.mark.parametrize("lengths", [(1,) * 12, (5, 7), (2, 9, 1)])
def test_in_pieces_is_the_whole(lengths: tuple[int, ...], model: BrainMu, windowed: EpochedRecording) -> None:
    whole, caches, first = run(model, windowed), None, 0
    for length in lengths:
        with torch.no_grad():
            part = model(collate([windowed.restrict(first, first + length)]), caches)
        caches = part.caches
        torch.testing.assert_close(part.latents, whole.latents[:, first : first + length], atol=1e-5, rtol=1e-4)
        first += length


def test_company_is_irrelevant(model: BrainMu, windowed: EpochedRecording) -> None:
    alone = run(model, windowed.restrict(2, 7).only(["eeg", "stages", "bold"]))
    together = run(model, windowed.restrict(2, 7).only(["eeg", "stages", "bold"]), windowed)
    assert_alike(together, alone, steps=slice(5)) if together.latents.shape[1] == 5 else torch.testing.assert_close(
        together.latents[0, :5], alone.latents[0], atol=1e-5, rtol=1e-4
    )


def test_the_order_of_modalities_is_irrelevant(model: BrainMu, windowed: EpochedRecording) -> None:
    backwards = replace(windowed, epochs=dict(reversed(list(windowed.epochs.items()))))
    assert_alike(run(model, backwards), run(model, windowed))


def test_gradients_reach_every_parameter(model: BrainMu, windowed: EpochedRecording) -> None:
    copy = BrainMu(model.config)
    batch = collate([windowed])
    output = copy(batch)
    predicted = copy.predict_next(output.latents, batch)
    readout = output.readout
    parts = [readout.stage, readout.change, readout.destination, readout.depth, *predicted.values()]
    sum(part.square().sum() for part in parts).backward()
    for name, parameter in copy.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name


def test_a_traced_pass_gives_the_same_numbers_with_and_without_caches() -> None:
    model, batch = make_model(), collate(simulate_pieces(1))
    with torch.no_grad():
        plain, traced = model(batch), model(batch, trace=True)
        torch.testing.assert_close(traced.latents, plain.latents, atol=1e-5, rtol=0)
        torch.testing.assert_close(traced.readout.change, plain.readout.change, atol=1e-5, rtol=0)
        caches = model(restrict_batch(batch, 0, 40)).caches
        rest = model(restrict_batch(batch, 40, 60), caches, trace=True)
    torch.testing.assert_close(rest.readout.change, plain.readout.change[:, 40:], atol=1e-5, rtol=0)
    torch.testing.assert_close(rest.readout.stage, plain.readout.stage[:, 40:], atol=1e-5, rtol=0)
    assert rest.caches == caches
    assert not plain.attention
    assert len(traced.attention) == len(model.blocks)


def test_attention_is_shared_out_among_earlier_tokens() -> None:
    model, batch = make_model(), collate(simulate_pieces(1))
    with torch.no_grad():
        weights = model(batch, trace=True).attention
    times = batch.times[0].repeat(len(PLANTED) + 1)
    for weight in weights:
        torch.testing.assert_close(weight.sum(dim=2), torch.ones(1, len(times)), atol=1e-5, rtol=0)
        assert bool((weight[0][times[:, None] < times[None]] == 0).all())


@pytest.mark.parametrize("pooled_query", [False, True])
def test_a_mask_weight_of_zero_is_an_occlusion(pooled_query: bool, rng: np.random.Generator) -> None:
    model, piece = make_model(pooled_query=pooled_query), simulate_pieces(1)[0]
    context = pass_over_night(model, piece).open(50)
    occlusions = rng.random((3, *context.present.shape)) < 0.4
    weights = torch.cat([torch.tensor(~occlusions).flatten(1).float(), torch.ones(3, context.n_steps)], dim=1)
    with torch.no_grad():
        masked = model(context.batch, context.caches, mask_weights=weights, trace=True).readout.change[:, -1, 0]
    np.testing.assert_allclose(masked.numpy(), forecast_without(model, context, occlusions), atol=1e-5)


def test_mask_weights_without_a_trace_are_refused() -> None:
    model, batch = make_model(), collate(simulate_pieces(1))
    with pytest.raises(SharpwaveError, match="mask weights in a traced pass"):
        model(batch, mask_weights=torch.ones(1, 4 * len(batch.times[0])))
