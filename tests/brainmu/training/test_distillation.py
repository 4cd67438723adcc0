from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from tests.brainmu.training_nights import make_model, make_night

from sharpwave.brainmu import BrainMu, collate
from sharpwave.brainmu.training.crops import RandomCrops
from sharpwave.brainmu.training.distillation import compute_latent_loss, compute_soft_losses, distil
from sharpwave.brainmu.training.objective import Objective, TrainingOptions
from sharpwave.brainmu.training.training import train
from sharpwave.errors import SharpwaveError

TEACHING = TrainingOptions(steps=60, batch=4, piece=30, learning_rate=1e-2, objective=Objective(next_step=0))
OPTIONS = replace(TEACHING, objective=Objective(next_step=0, stage=0, change=0, depth=0))
"""The student sees no label."""
NIGHTS = [make_night(seed) for seed in range(3)]
HELD_OUT = [make_night(seed) for seed in (30, 31)]


def make_teacher(seed: int) -> BrainMu:
    teacher = make_model(seed, width=32)
    train(teacher, RandomCrops(NIGHTS), options=replace(TEACHING, seed=seed))
    return teacher


@pytest.fixture(scope="module")
def teachers() -> list[BrainMu]:
    return [make_teacher(0), make_teacher(1)]


@torch.no_grad()
def compute_distance(student: BrainMu, teachers: list[BrainMu]) -> tuple[float, float]:
    """From the teachers' answers and from their latents, on nights that nobody learned from."""
    batch = collate(HELD_OUT)
    output, answers = student(batch), [teacher(batch) for teacher in teachers]
    soft = sum(float(value) for value in compute_soft_losses(output, answers, batch).values())
    return soft, float(compute_latent_loss(output, answers, batch))


def test_a_student_half_as_wide_comes_near_its_teacher(teachers: list[BrainMu]) -> None:
    student = make_model(5).eval()
    before = compute_distance(student, teachers[:1])
    weights = {name: value.clone() for name, value in teachers[0].state_dict().items()}
    distil(student, teachers[:1], RandomCrops(NIGHTS), options=OPTIONS)
    after = compute_distance(student, teachers[:1])
    assert after[0] < 0.75 * before[0]
    assert after[1] < 0.8 * before[1]
    assert all(torch.equal(value, weights[name]) for name, value in teachers[0].state_dict().items())


def test_several_teachers_are_averaged_into_one(teachers: list[BrainMu]) -> None:
    student = make_model(5).eval()
    before = compute_distance(student, teachers)
    distil(student, teachers, RandomCrops(NIGHTS), options=OPTIONS)
    assert compute_distance(student, teachers)[0] < 0.75 * before[0]


def test_a_model_is_at_no_distance_from_itself(teachers: list[BrainMu]) -> None:
    assert compute_distance(teachers[0], teachers[:1]) == pytest.approx((0.0, 0.0), abs=1e-5)
    assert min(compute_distance(teachers[0], teachers[1:])) > 1e-3


def test_a_teacher_of_other_horizons_is_refused(teachers: list[BrainMu]) -> None:
    student = make_model(horizons=(30.0,))
    with pytest.raises(SharpwaveError, match=r"teachers with steps of 30 s and horizons \(30\.0,\)"):
        distil(student, teachers, RandomCrops(NIGHTS), options=OPTIONS)


def test_no_teacher_is_refused() -> None:
    with pytest.raises(SharpwaveError, match="got no teacher"):
        distil(make_model(), [], RandomCrops(NIGHTS), options=OPTIONS)
