from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.consolidation.planted import (
    copy_weights,
    learn,
    make_network,
    make_points,
    make_sleeper,
    measure_accuracy,
    same_weights,
)
from torch import nn

from sharpwave.consolidation import (
    NREM,
    REM,
    FixedRatio,
    Homeostasis,
    Objective,
    Probe,
    Protection,
    ReplayBuffer,
    Sleep,
    TwoProcess,
    Wake,
    learner,
    present,
)
from sharpwave.consolidation.spiking import SpikingReplay
from sharpwave.consolidation.state_files import load_state, save_state
from sharpwave.errors import SharpwaveError

RICH = {
    "nrem": NREM(noise=0.1, reconstruction=0.5, anneal=True),
    "rem": REM(share=0.4, cycles=2, exploration=0.01),
    "homeostasis": Homeostasis(prune=0.02, regrow=0.5, strengthen=0.02),
    "steer": "brittle",
}
"""Everything at once."""

LOSSES_OF_0_1_0 = [0.819798, 0.813349, 0.800408, 0.97515, 1.005333, 0.96217]
"""What version 0.1.0 made of the night in `state-0.1.0`; two steps of it were slept when it was saved."""


def test_with_sleep_less_is_forgotten() -> None:
    for seed in range(3):
        accuracies = {}
        for name, options, sleeps in (
            ("fine-tuning", {"wake": Wake("none")}, False),
            ("replay", {}, False),
            ("replay and sleep", {}, True),
        ):
            sleep = make_sleeper(seed=seed, capacity=24, **options)
            learn(sleep, n_steps=60, sleeps=sleeps)
            accuracies[name] = measure_accuracy(sleep.learner.model)
        assert accuracies["fine-tuning"] < 0.6
        assert accuracies["replay and sleep"] > accuracies["fine-tuning"] + 0.2
        assert accuracies["replay and sleep"] > accuracies["replay"] - 0.03


def test_a_block_of_sleep_alone_brings_back_what_was_forgotten() -> None:
    sleep = make_sleeper(wake=Wake("none"), schedule=FixedRatio(0.25))
    learn(sleep, sleeps=False)
    awake = measure_accuracy(sleep.learner.model)
    report = sleep.night()
    assert report.committed
    assert measure_accuracy(sleep.learner.model) > awake + 0.3
    assert report.score_after > report.score_before
    table = report.groups[report.groups["kind"] == "task"].set_index("value")
    assert table.loc[0, "after"] > table.loc[0, "before"]


@pytest.mark.parametrize("options", [{}, RICH], ids=["default", "everything"])
def test_a_night_resumed_in_its_middle_gives_the_same_weights(options: dict, tmp_path) -> None:
    whole = make_sleeper(**options)
    learn(whole, n_tasks=2)
    whole.fall_asleep(8)
    for _ in range(3):
        whole.step()
    state = {
        "sleep": whole.state_dict(),
        "model": whole.learner.model.state_dict(),
        "optimiser": whole.learner.optimiser.state_dict(),
    }
    kept = load_state(save_state(state, tmp_path))
    resumed = make_sleeper(seed=5, **options)
    resumed.learner.model.load_state_dict(kept["model"])
    resumed.learner.optimiser.load_state_dict(kept["optimiser"])
    resumed.load_state_dict(kept["sleep"])
    reports = []
    for sleep in (whole, resumed):
        reports.append(sleep.night())
        reports += learn(sleep, first_task=2)
    assert same_weights(whole.learner.model.state_dict(), resumed.learner.model.state_dict())
    np.testing.assert_array_equal(reports[0].losses, reports[2].losses)
    assert whole.hypnogram == resumed.hypnogram
    assert reports[0].score_before == reports[2].score_before


@pytest.mark.parametrize("options", [{}, RICH], ids=["default", "everything"])
def test_a_night_that_harms_is_undone_bit_for_bit(options: dict) -> None:
    verdicts = iter([0.9, 0.5])
    sleep = make_sleeper(norm=True, probe=Probe(lambda _: next(verdicts)), **options)
    learn(sleep, n_tasks=2, sleeps=False)
    before, moments = copy_weights(sleep.learner.model), copy.deepcopy(sleep.learner.optimiser.state_dict())
    logits = sleep.learner.buffer.read(torch.arange(48))["logits"]
    report = sleep.night(6)
    assert not report.committed
    assert "fell from 0.9 to 0.5" in report.reason
    assert "rolled back" in str(report)
    assert same_weights(before, sleep.learner.model.state_dict())
    now = sleep.learner.optimiser.state_dict()
    for place, moment in moments["state"].items():
        assert torch.equal(moment["momentum_buffer"], now["state"][place]["momentum_buffer"])
    assert moments["param_groups"] == now["param_groups"]
    assert torch.equal(logits, sleep.learner.buffer.read(torch.arange(48))["logits"])


def test_a_night_that_is_kept_changes_the_weights_and_refreshes_the_logits() -> None:
    sleep = make_sleeper()
    learn(sleep, n_tasks=2, sleeps=False)
    before = copy_weights(sleep.learner.model)
    assert sleep.night(6).committed
    assert not same_weights(before, sleep.learner.model.state_dict())
    items = sleep.learner.buffer.read(torch.arange(48))
    sleep.learner.model.eval()
    with torch.no_grad():
        torch.testing.assert_close(items["logits"], sleep.learner.model(items["x"]))


@pytest.mark.parametrize("refresh", ["new", "replayed", "none"])
def test_whose_logits_a_night_takes_anew(refresh: str) -> None:
    sleep = make_sleeper(nrem=NREM(refresh=refresh))
    learn(sleep, n_tasks=1, sleeps=False)
    buffer, slots = sleep.learner.buffer, torch.arange(48)
    awake = buffer.read(slots)["logits"]
    sleep.night(8)
    first = buffer.read(slots)
    assert torch.equal(awake, first["logits"]) == (refresh == "none")
    learn(sleep, first_task=1, n_tasks=2, sleeps=False)
    kept = (buffer.read(slots)["x"] == first["x"]).flatten(1).all(dim=1)
    assert 5 < kept.sum() < 43
    assert sleep.state_dict()["buffer"]["new"] == slots[~kept].tolist()
    before = buffer.read(slots)["logits"]
    sleep.night(8)
    after = buffer.read(slots)["logits"]
    is_same = before == after
    assert is_same[kept][:, :2].all() == (refresh != "replayed")
    assert is_same[kept][:, 2:4].any() == (refresh == "none")
    assert is_same[kept][:, 4:].all() == (refresh != "replayed")
    assert is_same[~kept].any() == (refresh == "none")


def test_a_second_night_without_a_day_between_stores_nothing_anew() -> None:
    sleep = make_sleeper()
    learn(sleep, n_tasks=1)
    sizes: list[int] = []
    sleep.learner.model.register_forward_hook(lambda _, inputs, output: sizes.append(len(output)))
    before = sleep.learner.buffer.read(torch.arange(48))["logits"]
    assert sleep.night(3).committed
    assert 0 not in sizes
    assert torch.equal(before, sleep.learner.buffer.read(torch.arange(48))["logits"])


def test_breaking_off_at_any_step_is_harmless() -> None:
    for n_steps in range(5):
        sleep = make_sleeper(wake=Wake("none"), **RICH)
        learn(sleep, n_tasks=2, sleeps=False)
        asked = iter(range(100))
        awake = measure_accuracy(sleep.learner.model)
        report = sleep.night(20, until=lambda last=n_steps, asked=asked: next(asked) >= last)
        assert len(report.hypnogram) == n_steps + 1
        assert report.n_planned == 20
        assert measure_accuracy(sleep.learner.model) >= awake - 0.05
        assert not sleep.is_asleep


def test_an_error_in_the_night_puts_the_network_back() -> None:
    def fail(*_: object) -> bool:
        raise KeyboardInterrupt

    sleep = make_sleeper()
    learn(sleep, n_tasks=1, sleeps=False)
    before = copy_weights(sleep.learner.model)
    with pytest.raises(KeyboardInterrupt):
        sleep.night(5, until=fail)
    assert same_weights(before, sleep.learner.model.state_dict())
    assert not sleep.is_asleep


def test_a_loss_that_is_not_finite_ends_the_night() -> None:
    sleep = make_sleeper()
    learn(sleep, n_tasks=1, sleeps=False)
    before = copy_weights(sleep.learner.model)
    sleep.learner.buffer._table.columns["logits"].values[:] = torch.inf
    report = sleep.night(5)
    assert report.reason == "a loss was not finite"
    assert len(report.losses) == 1
    assert same_weights(before, sleep.learner.model.state_dict())


def test_the_hypnogram_of_a_run() -> None:
    sleep = make_sleeper(rem=REM(share=0.5))
    (first, second) = learn(sleep, n_steps=20, n_tasks=2)
    expected = ([0] * 20 + [1, 2]) * 2
    assert sleep.hypnogram.stages.tolist() == expected
    assert sleep.hypnogram.unit == "step"
    assert sleep.hypnogram.labels[-2:] == ["NREM", "R"]
    assert (first.hypnogram.start, second.hypnogram.start) == (20, 42)
    assert "1 NREM and 1 REM steps" in str(second)


def test_modes_are_put_back() -> None:
    sleep = make_sleeper(norm=True)
    learn(sleep, n_tasks=1, sleeps=False)
    sleep.learner.model.train()
    sleep.learner.model[1].eval()
    running = sleep.learner.model[1].running_mean.clone()
    sleep.night(3)
    assert [module.training for module in sleep.learner.model] == [True, False, True, True, True, True]
    assert torch.equal(running, sleep.learner.model[1].running_mean)
    sleep.learner.model.eval()
    sleep.night(3)
    assert not any(module.training for module in sleep.learner.model.modules())


def test_the_users_learning_rate_is_left_as_it_was() -> None:
    sleep = make_sleeper(nrem=NREM(rate=0.01, anneal=True, oscillation=4))
    learn(sleep, n_tasks=1)
    assert sleep.learner.optimiser.param_groups[0]["lr"] == 0.1


def test_a_probe_that_is_held_out_decides() -> None:
    points, labels = make_points(20, seed=3)
    swapped = Probe({"x": points, "y": (labels + 1) % 6})
    sleep = make_sleeper(wake=Wake("none"), probe=swapped, schedule=FixedRatio(0.3))
    learn(sleep, sleeps=False)
    sleep_report = sleep.night()
    assert sleep_report.held_out
    fair = make_sleeper(wake=Wake("none"), probe=Probe({"x": points, "y": labels}), schedule=FixedRatio(0.3))
    learn(fair, sleeps=False)
    assert fair.night().committed


def test_held_out_slots_make_a_probe() -> None:
    network = make_network()
    sleep = Sleep(network, ReplayBuffer(60, held_out=0.2), torch.optim.SGD(network.parameters(), lr=0.1))
    reports = learn(sleep, n_tasks=2)
    assert reports[-1].held_out
    assert reports[-1].groups.set_index("kind").loc["all", "n"] == 12


def test_without_an_optimiser_of_ones_own(tmp_path) -> None:
    network = make_network()
    sleep = Sleep(network, ReplayBuffer(20))
    learn(sleep, n_tasks=1)
    other = Sleep(make_network(seed=1), ReplayBuffer(20))
    other.load_state_dict(load_state(save_state(sleep.state_dict(), tmp_path)))
    assert other.hypnogram == sleep.hypnogram


def test_a_state_of_other_options_is_refused_and_nothing_is_taken_up() -> None:
    def make(*, stores: bool = True, own: bool = True, **options: Any) -> Sleep:
        network = make_network()
        optimiser = None if own else torch.optim.SGD(network.parameters(), lr=0.1)
        return Sleep(network, ReplayBuffer(20) if stores else None, optimiser, **options)

    bare = {"stores": False, "wake": Wake("none"), "nrem": SpikingReplay(n_steps=2)}
    protected = {"protection": Protection(anchor=1.0)}
    for kept, here, said in (
        (protected, {}, r"a state with 'guard', and a Sleep without.*Protection.*state\['guard'\] = None"),
        ({}, bare, "a state with 'buffer', and a Sleep without"),
        ({}, {"own": False}, "a state with 'optimiser'"),
        ({"own": False}, {}, "without 'optimiser'.*load its state yourself"),
        (bare, {}, "without 'buffer'"),
    ):
        saved, other = make(**kept), make(**here)
        saved._n_calls = 7
        with pytest.raises(SharpwaveError, match=said):
            other.load_state_dict(saved.state_dict())
        assert other._n_calls == 0
    state = make(**protected).state_dict()
    other = make()
    other.load_state_dict({**state, "guard": None})  # said aloud, it may be dropped
    make(**protected).load_state_dict(make().state_dict())  # protection may begin later


def test_half_precision_and_accumulation() -> None:
    plain = make_sleeper(nrem=NREM(batch_size=16))
    parts = make_sleeper(autocast=torch.bfloat16, accumulate=2, nrem=NREM(batch_size=8))
    for sleep in (plain, parts):
        learn(sleep, n_steps=40)
    assert len(plain.hypnogram) == 3 * 44
    assert len(parts.hypnogram) == 3 * 22
    assert measure_accuracy(parts.learner.model) > 0.7
    assert parts.learner.buffer.read(torch.arange(2))["logits"].dtype == torch.float32


def test_any_module_and_any_loss() -> None:
    class Twin(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.left, self.right = nn.Linear(4, 3), nn.Linear(4, 3)

        def forward(self, left: torch.Tensor, *, right: torch.Tensor) -> torch.Tensor:
            return self.left(left) + self.right(right)

    model = Twin()
    objective = Objective(
        forward=lambda network, batch: network(batch["sides"]["left"], right=batch["sides"]["right"]),
        loss=lambda output, batch: (output - batch["target"]).square().mean(dim=1),
    )
    sleep = Sleep(model, ReplayBuffer(30), torch.optim.Adam(model.parameters(), lr=0.05), objective=objective)
    generator = torch.Generator().manual_seed(0)
    for _ in range(40):
        left, right = torch.randn(2, 16, 4, generator=generator)
        sleep.learner.optimiser.zero_grad()
        sleep.wake({"sides": {"left": left, "right": right}, "target": left[:, :3] - right[:, :3]}).backward()
        sleep.learner.optimiser.step()
    before = sleep.night(1).score_before
    report = sleep.night(40)
    assert report.committed
    assert report.score_after > before


def test_it_sleeps_when_the_schedule_says_so() -> None:
    sleep = make_sleeper(schedule=FixedRatio(0.1, every=10))
    points, labels = make_points(10, seed=1)
    nights = []
    for step in range(25):
        sleep.wake({"x": points[:16], "y": labels[:16]}).backward()
        if sleep.rest() is not None:
            nights.append(step)
    assert nights == [9, 19]


def test_pressure_calls_for_sleep_when_the_task_changes() -> None:
    schedule = TwoProcess(rise=20, measure_every=5, limit=0.3)
    sleep = make_sleeper(wake=Wake("none"), nrem=NREM(clip=None), schedule=schedule)
    points, labels = make_points(100, seed=1)
    rng = torch.Generator().manual_seed(0)
    nights: list[int] = []
    for step in range(240):
        mine = torch.nonzero(labels // 2 == (0 if step < 120 else 1))[:, 0]
        chosen = mine[torch.randint(len(mine), (16,), generator=rng)]
        sleep.learner.optimiser.zero_grad()
        sleep.wake({"x": points[chosen], "y": labels[chosen]}).backward()
        sleep.learner.optimiser.step()
        report = sleep.rest()
        if report is not None:
            nights.append(step)
            assert report.pressure[0] > report.pressure[1]
    late = [step for step in nights if 60 <= step < 120]
    changed = [step for step in nights if 120 <= step < 180]
    assert len(changed) > len(late)


def test_asleep_and_awake_are_not_confused() -> None:
    sleep = make_sleeper()
    with pytest.raises(SharpwaveError, match="call fall_asleep"):
        sleep.step()
    with pytest.raises(SharpwaveError, match=r"call Sleep\.wake on the batches"):
        sleep.night()
    learn(sleep, n_tasks=1, sleeps=False)
    sleep.fall_asleep(2)
    with pytest.raises(SharpwaveError, match="a network that is awake"):
        sleep.wake({"x": torch.zeros(1, 8), "y": torch.zeros(1, dtype=torch.int64)})
    sleep.abandon()
    with pytest.raises(SharpwaveError, match="steer='brittle'"):
        make_sleeper(steer="strong")


def test_a_state_that_version_0_1_0_wrote_in_the_middle_of_a_night_goes_on() -> None:
    kept = load_state(Path(__file__).parent / "state-0.1.0")
    model = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 3))
    optimiser = torch.optim.SGD(model.parameters(), lr=0.1)
    generator = torch.Generator()
    sleep = Sleep(
        model,
        ReplayBuffer(9, policy="balanced", generator=generator),
        optimiser,
        nrem=NREM(centre=False),
        rem=REM(share=0.5, centre=False),
        homeostasis=Homeostasis(prune=0.1),
        protection=Protection(step_size=0.3),
        generator=generator,
    )
    model.load_state_dict(kept["model"])
    optimiser.load_state_dict(kept["optimiser"])
    sleep.load_state_dict(kept["sleep"])
    assert sleep.is_asleep
    report = sleep.night()
    np.testing.assert_allclose(report.losses, LOSSES_OF_0_1_0, atol=1e-5)
    assert report.homeostasis["pruned"] == 2
    assert sleep.hypnogram.stages[-6:].tolist() == [1, 1, 1, 2, 2, 2]


def test_names_of_version_0_1_0_still_work() -> None:
    sleep = make_sleeper()
    with pytest.warns(DeprecationWarning, match=r"Sleep\.body is now Sleep\.learner"):
        assert sleep.body is sleep.learner
    with pytest.warns(DeprecationWarning, match=r"ReplayBuffer\.settle is now ReplayBuffer\.take_new"):
        assert len(sleep.learner.buffer.settle()) == 0
    with pytest.warns(DeprecationWarning, match="measure_strain is now"):
        assert learner.measure_strain is present.measure_drift_and_forgetting


def test_a_state_of_another_kind_is_named() -> None:
    points, labels = make_points(8, seed=1)

    def live(*, n_hidden: int = 6, **options) -> Sleep:
        model = nn.Sequential(nn.Linear(8, n_hidden), nn.Linear(n_hidden, 6))
        sleep = Sleep(model, ReplayBuffer(20), options.pop("make", torch.optim.SGD)(model.parameters(), 0.1), **options)
        sleep.wake({"x": points, "y": labels}).backward()
        return sleep

    asleep = live(rem=REM(share=0.5))
    asleep.fall_asleep(4)
    state = asleep.state_dict()
    for other, words in (
        (live(n_hidden=5, rem=REM()), r"0.weight: \(6, 8\), here \(5, 8\)"),
        (live(), "steps of stage 2"),
        (live(rem=REM(), make=torch.optim.Adam), "moments of another optimiser"),
    ):
        with pytest.raises(SharpwaveError, match=words):
            other.load_state_dict(state)
        assert not other.is_asleep
        other.night(1)
    for wrong in ({}, [], None, "state", {"runs": []}, asleep.learner.module.state_dict()):
        with pytest.raises(SharpwaveError, match="what Sleep"):
            asleep.load_state_dict(wrong)
    for buffer, words in (
        (ReplayBuffer(20, policy="balanced"), "got one of policy 'reservoir'"),
        (ReplayBuffer(20, storage={"x": "uint8"}), "storage= of the one that was saved"),
    ):
        with pytest.raises(SharpwaveError, match=words):
            buffer.load_state_dict(state["buffer"])
        assert len(buffer) == 0
        with pytest.raises(SharpwaveError, match="none of a buffer"):
            buffer.load_state_dict({})
