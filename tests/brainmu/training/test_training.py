from __future__ import annotations

import math
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.brainmu.training_nights import make_model, make_night

from sharpwave.brainmu import load_brainmu
from sharpwave.brainmu.training.crops import RandomCrops
from sharpwave.brainmu.training.objective import Objective, TrainingOptions
from sharpwave.brainmu.training.resume import find_checkpoints, read_rows
from sharpwave.brainmu.training.training import draw_batches, train
from sharpwave.errors import SharpwaveError

OPTIONS = TrainingOptions(steps=24, batch=4, piece=30, learning_rate=3e-3, checkpoint_every=4, average=0.1)
STAGES = replace(OPTIONS, steps=80, learning_rate=1e-2, objective=Objective(next_step=0, change=0, depth=0))

RUN = """
from tests.brainmu.training.test_training import OPTIONS, SOURCE
from tests.brainmu.training_nights import make_model
from sharpwave.brainmu.training.training import train
import sys, time
class Slow:
    def draw(self, rng, n_steps):
        time.sleep(0.02)
        return SOURCE.draw(rng, n_steps)
train(make_model(dropout=0.1), Slow(), options=OPTIONS, folder=sys.argv[1])
"""

SOURCE = RandomCrops([make_night(seed) for seed in range(3)])


def test_a_killed_run_goes_on_as_if_it_had_not_been(tmp_path: Path) -> None:
    process = subprocess.Popen([sys.executable, "-c", RUN, str(tmp_path / "killed")], stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 900
    while not find_checkpoints(tmp_path / "killed") and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    done = int(find_checkpoints(tmp_path / "killed")[-1].name[-8:])
    assert 0 < done < OPTIONS.steps

    resumed, whole = make_model(seed=1, dropout=0.1), make_model(dropout=0.1)
    losses = train(resumed, SOURCE, options=OPTIONS, folder=tmp_path / "killed")
    assert losses == train(whole, SOURCE, options=OPTIONS, folder=tmp_path / "whole")
    for name, value in whole.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[name]), name
    assert read_rows(tmp_path / "killed" / "losses.csv") == read_rows(tmp_path / "whole" / "losses.csv")


def test_a_finished_run_is_not_trained_again(tmp_path: Path) -> None:
    options = replace(OPTIONS, steps=6)
    losses = train(make_model(), SOURCE, options=options, folder=tmp_path)
    again = make_model(seed=1)
    assert train(again, SOURCE, options=options, folder=tmp_path) == losses
    loaded, card = load_brainmu(tmp_path)
    assert all(torch.equal(value, again.state_dict()[name]) for name, value in loaded.state_dict().items())
    assert card["training"]["steps"] == 6
    assert len(find_checkpoints(tmp_path)) == 1


def test_what_the_heart_rate_says_of_the_stage_is_learned() -> None:
    losses = train(make_model(), SOURCE, options=STAGES)
    assert np.mean(losses[:5]) > math.log(5) - 0.3
    assert np.mean(losses[-10:]) < 1.1


def test_nothing_is_learned_where_the_heart_rate_says_nothing() -> None:
    source = RandomCrops([make_night(seed, levels=(0.0,) * 5) for seed in range(20)])
    assert np.mean(train(make_model(), source, options=STAGES)[-10:]) > 1.4


def test_devices_together_see_what_one_would_see_alone() -> None:
    alone = next(draw_batches(SOURCE, OPTIONS, done=3))
    parts = [next(draw_batches(SOURCE, OPTIONS, done=3, rank=rank, world=2)) for rank in range(2)]
    for rank, part in enumerate(parts):
        assert torch.equal(part.whole.times, alone.whole.times[rank::2])
        assert torch.equal(part.whole.stages, alone.whole.stages[rank::2])
        for name, seen in part.seen.modalities.items():
            assert torch.equal(seen.present, alone.seen.modalities[name].present[rank::2])


def test_a_random_state_from_outside_changes_nothing_and_is_not_changed() -> None:
    options = replace(OPTIONS, steps=3)
    torch.manual_seed(1)
    one = train(make_model(dropout=0.2), SOURCE, options=options)
    torch.manual_seed(2)
    state = torch.get_rng_state()
    model = make_model(dropout=0.2)
    torch.set_rng_state(state)
    assert train(model, SOURCE, options=options) == one
    assert torch.equal(torch.get_rng_state(), state)


def test_bf16_learns_too() -> None:
    options = replace(OPTIONS, steps=30, precision="bf16-mixed")
    losses = train(make_model(), SOURCE, options=options)
    assert np.mean(losses[-5:]) < np.mean(losses[:5]) - 0.2


def test_another_run_in_the_folder_is_refused(tmp_path: Path) -> None:
    train(make_model(), SOURCE, options=replace(OPTIONS, steps=1), folder=tmp_path)
    with pytest.raises(SharpwaveError, match=r"to go on; got other learning_rate"):
        train(make_model(), SOURCE, options=replace(OPTIONS, steps=1, learning_rate=1.0), folder=tmp_path)


def test_a_checkpoint_of_another_model_is_refused(tmp_path: Path) -> None:
    train(make_model(), SOURCE, options=replace(OPTIONS, steps=1), folder=tmp_path)
    with pytest.raises(SharpwaveError, match="a checkpoint of this model"):
        train(make_model(width=32), SOURCE, options=replace(OPTIONS, steps=1), folder=tmp_path)


def test_a_damaged_checkpoint_is_refused(tmp_path: Path) -> None:
    train(make_model(), SOURCE, options=replace(OPTIONS, steps=1), folder=tmp_path)
    (find_checkpoints(tmp_path)[-1] / "optimiser.safetensors").write_bytes(b"junk")
    with pytest.raises(SharpwaveError, match="a checkpoint of this model; got checkpoint-00000001"):
        train(make_model(), SOURCE, options=replace(OPTIONS, steps=1), folder=tmp_path)


def test_a_loss_that_runs_away_stops_the_run() -> None:
    model = make_model()
    with torch.no_grad():
        model.state.fill_(float("nan"))
    with pytest.raises(SharpwaveError, match=r"a finite loss at update 0; got nan"):
        train(model, SOURCE, options=OPTIONS)


def test_a_frozen_model_is_refused() -> None:
    with pytest.raises(SharpwaveError, match="something to learn; got all parameters frozen"):
        train(make_model().requires_grad_(False), SOURCE, options=OPTIONS)
