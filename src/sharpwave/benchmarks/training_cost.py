"""`sharpwave benchmark training-cost`: what training a preset takes: operations, speed here, hours on other cards.

Operations are counted on a real pass over a simulated polysomnogram, not estimated from the number of parameters; a
training step is taken as three forward passes. Speed is that of whole updates on this machine: a graphics card in bf16
if there is one, else one thread in single precision. Hours on other cards follow from the operations, the peak in their
data sheets, and an assumed share of that peak (model FLOPs utilisation, MFU); on a card here the share is measured.
Pieces have to be drawn as fast: how many hours of recording a process draws per second from disk is measured too, and
the hours that drawing alone would take stand beside the others.
"""

from __future__ import annotations

import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from sharpwave.benchmarks.rows import Row
from sharpwave.brainmu import BrainMu, collate, configure, epoch_recording
from sharpwave.brainmu.epochs import EpochedRecording
from sharpwave.brainmu.presets import PRESETS
from sharpwave.brainmu.training.crops import RandomCrops, store_epochs
from sharpwave.brainmu.training.devices import make_fabric
from sharpwave.brainmu.training.objective import TrainingOptions, compute_losses
from sharpwave.brainmu.training.training import Learner, draw_batches, make_optimiser
from sharpwave.recordings import Recording
from sharpwave.simulation import simulate_night

PEAKS = {"A100": 312e12, "H100": 989e12, "H200": 989e12}
"""Dense bf16 operations per second in the maker's data sheets (A100 SXM, H100 SXM, H200 SXM)."""
ASSUMED = (0.4, 0.2)
"""Share of the peak that training reaches."""
CARDS = ("A100", "H100")
HOURS = (1_000, 10_000)
PASSES = 100
"""How often each hour is learned from."""
MODALITIES = ("stages", "eeg", "eog", "emg")
BACKWARD = 3
"""A training step in forward passes: one forward, two backward."""
PIECE = 120
REPEATS = 2
DATA = "simulated polysomnogram"
INSIDE, BETWEEN = 450e9, 50e9
"""Assumed bytes per second of a card to others inside a machine (NVLink), and between machines."""
STATE_BYTES = 20
"""Bytes of a parameter: weight, gradient, two moments and the average, in 32 bits."""
KEPT_BYTES = 34
"""Bytes kept for each number of a token in a block in 16 bits, scores not kept (Korthikanti et al. 2022)."""
INPUT_BYTES = 4
"""Bytes of each number at a block's input, which is in 32 bits."""


def run(data: Path | None, *, seeds: int, train: bool = False) -> tuple[dict[str, Any], list[Row]]:
    """Cost of each preset.

    Args:
        data: Not used; the night is simulated.
        seeds: Not used; nothing is drawn that matters.
        train: Not used; weights play no part.
    """
    recording, _ = simulate_night("human", PIECE * 30 / 3600 + 0.1, rng=np.random.default_rng(0))
    night = epoch_recording(recording, modalities=MODALITIES, every_channel=True)
    cuda = torch.cuda.is_available()
    drawing = measure_drawing(recording)
    rows: list[Row] = [Row(DATA, "this machine", "drawing", "hours_per_second", drawing)]
    for hours in HOURS:
        rows.append(Row(DATA, _name(hours), "drawing", "hours_in_one_process", hours * PASSES / drawing / 3600))
    for preset in PRESETS:
        model = BrainMu(configure(preset, modalities=MODALITIES))
        operations = count_operations(model, night.restrict(0, PIECE))
        speed = measure_speed(model, night, batch=16 if cuda else 1)
        rows += describe_machine_rows(preset, model, operations=operations, speed=speed)
        rows += project_hours(preset, operations)
    config = {
        "modalities": list(MODALITIES),
        "channels": {name: len(part.channels) for name, part in night.epochs.items()},
        "piece_steps": PIECE,
        "passes": PASSES,
        "peaks": PEAKS,
        "assumed_mfu": list(ASSUMED),
        "device": torch.cuda.get_device_name() if cuda else "processor, one thread",
        "precision": "bf16-mixed" if cuda else "32-true",
        "notes": [
            "Hours on A100 and H100 are projected: operations counted, share of the peak assumed."
            + ("" if cuda else " No graphics card was at hand.")
        ],
    }
    return config, rows


@torch.no_grad()
def count_operations(model: BrainMu, piece: EpochedRecording) -> float:
    """Floating-point operations of training on an hour of recording; attention unfused, so that it is counted."""
    batch = collate([piece])
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        output = model.eval()(batch)
        model.predict_next(output.latents, batch)
    return BACKWARD * counter.get_total_flops() / (len(piece) * piece.grid.step / 3600)


def measure_drawing(recording: Recording, *, n_batches: int = 20) -> float:
    """Hours of recording per second that one process draws from windows on disk (in the system's cache) and stacks."""
    options = TrainingOptions(steps=n_batches, batch=16, piece=PIECE)
    with tempfile.TemporaryDirectory() as folder:
        source = RandomCrops([store_epochs(recording, Path(folder) / "night", modalities=MODALITIES)])
        begun = time.perf_counter()
        for _ in draw_batches(source, options, done=0):
            pass
        spent = time.perf_counter() - begun
    return n_batches * options.batch * PIECE * 30 / 3600 / spent


def measure_speed(model: BrainMu, night: EpochedRecording, *, batch: int) -> float:
    """Hours of recording per second, whole updates, best of a few; on a graphics card if there is one."""
    cuda = torch.cuda.is_available()
    threads = torch.get_num_threads()
    options = TrainingOptions(batch=batch, piece=PIECE, precision="bf16-mixed" if cuda else "32-true")
    fabric = make_fabric(devices=1, precision=options.precision, accelerator="cuda" if cuda else "cpu")
    learner = Learner(model.train(), compute_losses, options.objective)
    module = fabric.setup_module(learner)
    optimiser = make_optimiser(learner, options)
    prepared: Any = fabric.setup_optimizers(optimiser)
    drawn = next(draw_batches(RandomCrops([night]), options, done=0)).to(fabric.device)
    times = []
    torch.set_num_threads(1)
    try:
        for _ in range(1 + (10 if cuda else REPEATS)):
            begun = time.perf_counter()
            fabric.backward(module(drawn)["loss"])
            fabric.clip_gradients(module, prepared, max_norm=options.clip)
            prepared.step()
            prepared.zero_grad()
            if cuda:
                torch.cuda.synchronize()
            times.append(time.perf_counter() - begun)
    finally:
        torch.set_num_threads(threads)
    return batch * PIECE * night.grid.step / 3600 / min(times[1:])


def describe_machine_rows(preset: str, model: BrainMu, *, operations: float, speed: float) -> list[Row]:
    """Size, operations and throughput here; and MFU on a card whose peak is known."""
    size = sum(parameter.numel() for parameter in model.parameters()) / 1e6
    rows = [
        Row(DATA, "this machine", f"brainmu-{preset}", "million_parameters", size),
        Row(DATA, "this machine", f"brainmu-{preset}", "gflop_per_hour", operations / 1e9),
        Row(DATA, "this machine", f"brainmu-{preset}", "hours_per_second", speed),
        Row(DATA, "this machine", f"brainmu-{preset}", "gflop_per_second", operations * speed / 1e9),
    ]
    peak = find_peak()
    return (
        rows
        if peak is None
        else [*rows, Row(DATA, "this machine", f"brainmu-{preset}", "mfu", operations * speed / peak)]
    )


def find_peak() -> float | None:
    """Peak of the graphics card here; None where there is none, or an unknown one."""
    if not torch.cuda.is_available():
        return None
    name = torch.cuda.get_device_name()
    return next((peak for card, peak in PEAKS.items() if card in name), None)


def project_hours(preset: str, operations: float) -> list[Row]:
    """Hours on one card for `PASSES` passes over so many hours of recordings."""
    return [
        Row(
            DATA,
            _name(hours),
            f"brainmu-{preset}",
            f"{card}_hours_at_{round(100 * share)}%",
            operations * hours * PASSES / (PEAKS[card] * share) / 3600,
        )
        for hours in HOURS
        for card in CARDS
        for share in ASSUMED
    ]


@dataclass(frozen=True)
class Plan:
    """What training on so many cards takes, by arithmetic from counted operations and assumed speeds.

    Attributes:
        crops: Crops of an hour per update.
        tokens: Tokens per update, in millions.
        computing_ms: Computing per update in milliseconds.
        talk_ms: Sending per update in milliseconds, before it overlaps with computing.
        updates: Updates in all.
        hours: Hours of the clock, sending not overlapped.
        card_hours: Hours of cards.
        cost: Of these hours.
        state_gb: Weights, gradients, moments and average that a card holds, sharded, in GB.
        activations_gb: What is kept for the gradient on a card, in GB.
        recomputed_gb: The same with activation checkpointing.
        processes: Processes that draw crops as fast as all cards learn from them.
    """

    crops: int
    tokens: float
    computing_ms: float
    talk_ms: float
    updates: float
    hours: float
    card_hours: float
    cost: float
    state_gb: float
    activations_gb: float
    recomputed_gb: float
    processes: float


def plan_training(
    n_cards: int,
    *,
    hours: float = 1e8,
    crops_each: int = 64,
    parameters: float = 187e6,
    flop_per_hour: float = 770e9,
    tokens_per_hour: int = 600,
    width: int = 1024,
    n_layers: int = 16,
    mfu: float = 0.4,
    price: float = 2.5,
    drawn_per_second: float = 23.0,
) -> Plan:
    """The plan of `docs/several-gpus.md`; the defaults are those of `base` and an H100.

    Args:
        n_cards: Number of cards, eight in a machine.
        hours: Hours of recording to learn from, passes included.
        crops_each: Crops of an hour in a card's share of an update.
        parameters: Parameters of the model.
        flop_per_hour: Operations to learn from an hour of recording.
        tokens_per_hour: Tokens in an hour of recording.
        width: Size of a token.
        n_layers: Blocks of attention.
        mfu: Assumed share of the peak.
        price: Assumed price of a card for an hour.
        drawn_per_second: Hours of recording that one process draws in a second.

    Example:
        >>> plan = plan_training(8)
        >>> round(plan.hours, 1), round(plan.card_hours), round(plan.state_gb, 2)
        (6.9, 56, 0.47)
    """
    speed = PEAKS["H100"] * mfu / flop_per_hour
    computing = crops_each / speed
    talk = 2 * 4 * parameters / (INSIDE if n_cards <= 8 else BETWEEN)
    updates = hours / (crops_each * n_cards)
    clock = updates * (computing + talk) / 3600
    tokens = crops_each * tokens_per_hour
    return Plan(
        crops=crops_each * n_cards,
        tokens=tokens * n_cards / 1e6,
        computing_ms=1e3 * computing,
        talk_ms=1e3 * talk,
        updates=updates,
        hours=clock,
        card_hours=clock * n_cards,
        cost=clock * n_cards * price,
        state_gb=STATE_BYTES * parameters / n_cards / 1e9,
        activations_gb=KEPT_BYTES * tokens * width * n_layers / 1e9,
        recomputed_gb=(INPUT_BYTES * n_layers + KEPT_BYTES) * tokens * width / 1e9,
        processes=speed * n_cards / drawn_per_second,
    )


def _name(hours: int) -> str:
    return f"{hours} h of recordings, {PASSES} passes"
