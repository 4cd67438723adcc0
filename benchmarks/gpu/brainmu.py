"""Training Brainµ on one card in bf16: fifteen minutes; no data, a simulated polysomnogram. Call it by `brainmu.sh`.

Whole updates (draw, forward, backward, clipping, AdamW, average of weights), with fused attention and its mask of token
by token ("dense") or with flex_attention ("flex"), compiled or not, with activations kept or computed again; and a
bound that is not the model: no mask at all, for the flash kernel. Rows: tokens per second and share of the card's
bf16 peak (MFU: operations of the model, attention whole, without those done again), memory at its peak; the same with
crops drawn from disk by one process; seconds to save and load a checkpoint, and how far the losses of the resumed run
are from those of the other. A batch that the card cannot hold is halved, and the row says so.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from card import Results, check_device, make_parser, time_step

from sharpwave.benchmarks.rows import Row
from sharpwave.benchmarks.training_cost import MODALITIES, count_operations, find_peak
from sharpwave.brainmu import BrainMu, configure, epoch_recording
from sharpwave.brainmu import model as brainmu_model
from sharpwave.brainmu.learning_pass import Sight
from sharpwave.brainmu.training.crops import RandomCrops, StoredEpochs, store_epochs
from sharpwave.brainmu.training.devices import Execution, make_fabric
from sharpwave.brainmu.training.objective import TrainingOptions, sum_losses
from sharpwave.brainmu.training.training import Run, draw_batches
from sharpwave.recordings import Recording
from sharpwave.simulation import simulate_night

DATA = "simulated polysomnogram"
BOUND = "no mask (a bound, not the model)"
METHODS = {
    "dense": Execution(),
    "flex": Execution(attention="flex"),
    "dense, compiled": Execution(compiled=True),
    "flex, compiled": Execution(attention="flex", compiled=True),
    "dense, recomputed": Execution(recompute=True),
    "flex, compiled, recomputed": Execution(attention="flex", compiled=True, recompute=True),
    BOUND: Execution(),
}
WARM = 3
"""Updates before the clock runs: kernels are chosen and compiled in them."""


def main() -> None:
    parser = make_parser(__doc__ or "", output="brainmu-card.json")
    parser.set_defaults(limit=840.0)
    parser.add_argument("--preset", default="base", help="size of the model (default: base)")
    parser.add_argument("--batch", type=int, default=64, help="crops per update (default: 64)")
    parser.add_argument("--piece", type=int, default=120, help="steps of 30 s in a crop (default: 120)")
    parser.add_argument("--steps", type=int, default=20, help="updates that are timed (default: 20)")
    parser.add_argument("--methods", nargs="*", choices=METHODS, default=list(METHODS), help="which to time (all)")
    options = parser.parse_args()
    device = check_device(options.device)
    config = {name: getattr(options, name) for name in ("preset", "batch", "piece", "steps")} | {"device": device.type}
    results = Results("brainmu-card", options.output, config, limit=options.limit)
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(options, device, Path(folder))
        for name in options.methods:
            if device.type == "cpu" and METHODS[name].attention == "flex":
                print(f"{name}: not on a processor, which cannot learn with flex attention")
            elif not results.has("speed", name) and results.may_begin():
                results.add(*bench.measure_speed(name))
        for setting, measure in (("loader", bench.measure_loader), ("checkpoint", bench.measure_checkpoint)):
            if not any(row.setting == setting for row in results.rows) and results.may_begin():
                results.add(*measure(find_fastest(results.rows)))


def find_fastest(rows: list[Row]) -> str:
    """The method with most tokens per second, among those that are the model."""
    timed = [
        row for row in rows if row.setting == "speed" and row.metric == "tokens_per_second" and row.method != BOUND
    ]
    return max(timed, key=lambda row: row.value).method if timed else "dense"


class Bench:
    """A model, a night on disk, and the clock.

    Args:
        options: Options of the command line.
        device: Where to train.
        folder: For the night and checkpoints.
    """

    def __init__(self, options: Any, device: torch.device, folder: Path) -> None:
        self.options, self.device, self.folder = options, device, folder
        hours = options.piece * 30 / 3600 + 0.2
        self.recording: Recording = simulate_night("human", hours, rng=np.random.default_rng(0))[0]
        self.night: StoredEpochs = store_epochs(self.recording, folder / "night", modalities=MODALITIES)
        self.source = RandomCrops([self.night])
        self.batch = options.batch

    def make_run(self) -> Run:
        """A new model that is ready to learn."""
        torch.manual_seed(0)
        model = BrainMu(configure(self.options.preset, modalities=MODALITIES)).train()
        settings = self.make_options()
        fabric = make_fabric(devices=1, precision=settings.precision, accelerator=self.device.type)
        return Run(model, sum_losses, settings, fabric)

    def make_options(self) -> TrainingOptions:
        return TrainingOptions(
            steps=10**6, batch=self.batch, piece=self.options.piece, precision="bf16-mixed", learning_rate=1e-4
        )

    @contextlib.contextmanager
    def applied(self, run: Run, name: str) -> Iterator[None]:
        """Within the block a run computes as a method says."""
        backend = "inductor" if self.device.type == "cuda" else "aot_eager"
        made = brainmu_model.make_sight
        if name == BOUND:
            brainmu_model.make_sight = lambda numbers, *, n_queries, attention: Sight(n_queries)
        try:
            with METHODS[name].applied(run.model, backend=backend):
                yield
        finally:
            brainmu_model.make_sight = made

    def measure_speed(self, name: str) -> list[Row]:
        """Rows of one method, learning from one batch that lies ready; a batch that does not fit is halved."""
        while True:
            try:
                return self._measure_speed(name)
            except torch.OutOfMemoryError:
                if self.batch == 1:
                    raise
                self.batch //= 2
                torch.cuda.empty_cache()

    def _measure_speed(self, name: str) -> list[Row]:
        run = self.make_run()
        drawn = next(draw_batches(self.source, run.options, done=0))
        if self.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats()
        with self.applied(run, name):
            times = self.time_updates(lambda step: run.update(step, drawn, rate=1e-4))
        rows = self.make_rows("speed", name, times)
        rows.append(Row(DATA, "speed", name, "crops", float(self.batch), n=1))
        if self.device.type == "cuda":
            rows.append(Row(DATA, "speed", name, "peak_gb", torch.cuda.max_memory_allocated() / 1e9, n=1))
        self.batch = self.options.batch
        return rows

    def measure_loader(self, name: str) -> list[Row]:
        """Drawing off and on: one batch again and again, and new crops from disk while the last are learned from."""
        rows = []
        for setting in ("off", "on"):
            run = self.make_run()
            batches = draw_batches(self.source, run.options, done=0)
            ready = next(batches)
            with self.applied(run, name):
                times = self.time_updates(
                    lambda step, run=run, setting=setting, batches=batches, ready=ready: run.update(
                        step, next(batches) if setting == "on" else ready, rate=1e-4
                    )
                )
            rows += self.make_rows("loader", f"{setting} ({name})", times)
        return rows

    def measure_checkpoint(self, name: str) -> list[Row]:
        """Save, load into another model, and go on with both."""
        run, other = self.make_run(), self.make_run()
        batches = draw_batches(self.source, run.options, done=0)
        drawn = [next(batches) for _ in range(4)]
        folder = self.folder / "run"
        with self.applied(run, name), self.applied(other, name):
            for step in range(2):
                run.update(step, drawn[step], rate=1e-4)
            saving = time_step(lambda: run.save(folder, step=2), device=self.device)
            loading = time_step(lambda: other.state.load(folder), device=self.device)
            pairs = [[each.update(step, drawn[step], rate=1e-4)["loss"] for each in (run, other)] for step in (2, 3)]
        size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        away = max(abs(one - two) for one, two in pairs)
        values = {"save_seconds": saving, "load_seconds": loading, "gigabytes": size / 1e9, "loss_difference": away}
        return [Row(DATA, "checkpoint", name, metric, float(value), n=1) for metric, value in values.items()]

    def time_updates(self, update: Any) -> np.ndarray:
        """Seconds of each update after the first ones."""
        for step in range(WARM):
            update(step)
        return np.array(
            [
                time_step(lambda step=step: update(step), device=self.device)
                for step in range(WARM, WARM + self.options.steps)
            ]
        )

    def make_rows(self, setting: str, method: str, times: np.ndarray) -> list[Row]:
        """Tokens per second, and the share of the peak; median update, with the middle half as range."""
        night = epoch_recording(self.recording, modalities=MODALITIES, every_channel=True)
        crop = night.restrict(0, self.options.piece)
        tokens = self.batch * self.options.piece * (len(MODALITIES) + 1)
        speeds = tokens / np.quantile(times, [0.5, 0.75, 0.25])
        rows = [Row(DATA, setting, method, "tokens_per_second", *map(float, speeds), n=len(times))]
        peak = find_peak() if self.device.type == "cuda" else None
        if peak is not None:
            model = BrainMu(configure(self.options.preset, modalities=MODALITIES))
            hours = self.batch * self.options.piece * crop.grid.step / 3600
            shares = count_operations(model, crop) * hours / tokens * speeds / peak
            rows.append(Row(DATA, setting, method, "mfu", *map(float, shares), n=len(times)))
        return rows


if __name__ == "__main__":
    main()
