"""Kill commands at random moments, again and again: nothing is lost, nothing is mixed, and the next run is whole.

`python -m tests.kills 50` tries 50 kills, in turn of decode, bids, convert, train, finetune, replay and saving a state.
Each begins with whole results of an older run (training with nothing), is killed with SIGKILL at a random moment, must
leave the older results or the new ones, and must end in the new ones when it is run again.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, replace
from io import StringIO
from pathlib import Path

import numpy as np

from sharpwave.disk import hash_files, hash_path


@dataclass(frozen=True)
class Job:
    """Something that writes results.

    Attributes:
        name: What it is called.
        write: Writes the results of one of two inputs ("old", "new") into a folder.
        read: What the folder says, through the product's own readers; equal only for equal results.
        begins: Whether there are older results when it begins; a run of training begins with nothing.
    """

    name: str
    write: Callable[[str, Path], object]
    read: Callable[[Path], object]
    begins: bool = True


def run_apart(act: Callable[[], object], *, after: float | None) -> float:
    """Run in a process of its own, killed after some seconds; seconds that it ran."""
    started, process = time.monotonic(), os.fork()
    if process == 0:
        with redirect_stdout(StringIO()), redirect_stderr(StringIO()):
            try:
                act()
            except BaseException as error:
                print(repr(error), file=sys.__stderr__)
                os._exit(1)
        os._exit(0)
    if after is not None:
        time.sleep(after)
        os.kill(process, signal.SIGKILL)
    _, status = os.waitpid(process, 0)
    if after is None and status:
        raise RuntimeError(f"the run ended with {status}")
    return time.monotonic() - started


def try_job(job: Job, kills: int, home: Path, rng: np.random.Generator) -> list[str]:
    """What went wrong in some kills of one job."""
    wanted = {}
    for which in ("old", "new"):
        seconds = run_apart(lambda which=which: job.write(which, home / which / "out"), after=None)
        wanted[which] = job.read(home / which / "out")
    faults = [] if wanted["old"] != wanted["new"] else [f"{job.name}: the old and the new are alike"]
    for kill in range(kills):
        place = home / f"kill-{kill}"
        place.mkdir()
        if job.begins:
            shutil.copytree(home / "old" / "out", place / "out")
        moment = float(rng.uniform(0, seconds) if kill % 2 else rng.uniform(0.7, 1.0) * seconds)  # writing comes last
        run_apart(lambda place=place: job.write("new", place / "out"), after=moment)
        if job.begins and job.read(place / "out") not in wanted.values():
            faults.append(f"{job.name}: killed after {moment:.2f} s, neither the old nor the new")
        run_apart(lambda place=place: job.write("new", place / "out"), after=None)
        if job.read(place / "out") != wanted["new"]:
            faults.append(f"{job.name}: killed after {moment:.2f} s and run again, not the new")
        shutil.rmtree(place)
    return faults


def make_jobs(inputs: Path) -> list[Job]:
    """All jobs, with their inputs in a folder."""
    return [make_state(), *make_nights(inputs), *make_training(inputs), make_replay(inputs)]


def make_state() -> Job:
    import torch

    from sharpwave.consolidation.state_files import load_state, save_state

    def write(which: str, folder: Path) -> None:
        save_state({"step": which, "weights": torch.full((2_000_000,), float(which == "new"))}, folder)

    def read(folder: Path) -> object:
        state = load_state(folder)
        return state["step"], state["weights"].unique().tolist()

    return Job("state", write, read)


def make_nights(inputs: Path) -> list[Job]:
    from tests.files import make_small_recording, write_small_bids
    from tests.nights import simulate_short_night

    from sharpwave.commands.batch import decode_nights, plan_nights
    from sharpwave.commands.bids import plan_bids_nights
    from sharpwave.night.options import DecodeOptions
    from sharpwave.recordings.store import open_store, write_store

    whole = simulate_short_night()[0]
    for seed, which in enumerate(("old", "new")):
        signals = {name: signal.restrict(0, 1500 + 300 * seed) for name, signal in whole.signals.items()}
        write_store(replace(whole, signals=signals, hypnogram=None), inputs / which / "night.zarr")
        write_small_bids(inputs / which / "set", seed=seed)

    def decode(which: str, folder: Path) -> None:
        (outcome,) = decode_nights(plan_nights([str(inputs / which / "night.zarr")], folder), DecodeOptions(),
                                   existing="skip")  # fmt: skip
        assert outcome.status in ("done", "refused", "skipped"), outcome.message

    def read_night(folder: Path) -> object:
        return hash_files(folder, ("hypnogram.tsv", "events.tsv", "forecast.parquet"))

    def plan(which: str, folder: Path) -> list:
        return plan_bids_nights(inputs / which / "set", folder, hypnogram=which == "old")

    def bids(which: str, folder: Path) -> None:
        (outcome,) = decode_nights(plan(which, folder), DecodeOptions(), existing="skip")
        assert outcome.status in ("done", "refused", "skipped"), outcome.message

    def read_bids(folder: Path) -> object:
        (task,) = plan("new", folder)
        task.settle()
        tables = sorted(path for path in folder.rglob("*") if path.suffix in (".tsv", ".parquet"))
        return {path.name: hash_path(path) for path in tables}

    def convert(which: str, folder: Path) -> None:
        recording = make_small_recording(seed=which == "new")
        write_store(recording, folder, overwrite=True, resume=True)

    def read_store(folder: Path) -> object:
        recording = open_store(folder)
        return [np.asarray(signal.read()).tobytes() for signal in recording.signals.values()]

    return [Job("decode", decode, read_night), Job("bids", bids, read_bids), Job("convert", convert, read_store)]


def make_training(inputs: Path) -> list[Job]:
    from tests.brainmu.training_nights import make_model, make_recording

    from sharpwave.brainmu import load_brainmu, save_brainmu
    from sharpwave.brainmu.training.finetuning import FINETUNING
    from sharpwave.brainmu.training.objective import TrainingOptions
    from sharpwave.commands.finetune import finetune_model
    from sharpwave.commands.train import Data, train_model
    from sharpwave.recordings.store import write_store

    for seed in range(4):
        write_store(make_recording(seed), inputs / "stores" / f"night{seed}.zarr")
    weights = save_brainmu(make_model(modalities=["stages", "heart_rate"]), inputs / "weights")
    data = Data([str(inputs / "stores")])

    def train(which: str, folder: Path) -> None:
        options = TrainingOptions(steps=24, batch=2, piece=10, checkpoint_every=3, seed=which == "new")
        train_model(data, folder, options=options, weights=weights)

    def finetune(which: str, folder: Path) -> None:
        options = replace(FINETUNING, steps=12, batch=2, piece=10, checkpoint_every=3, seed=int(which == "new"))
        finetune_model([str(inputs / "stores")], folder, options=options, weights=weights)

    def read(folder: Path) -> object:
        model, card = load_brainmu(folder)
        losses = (folder / "losses.csv").read_text()
        return [value.numpy().tobytes() for value in model.state_dict().values()], card, losses

    return [Job("train", train, read, begins=False), Job("finetune", finetune, read, begins=False)]


def make_replay(inputs: Path) -> Job:
    from sharpwave.commands.replay import FILES, ReplayOptions, replay_to_folder
    from sharpwave.recordings.store import write_store
    from sharpwave.simulation import simulate_night

    recording, truth = simulate_night(
        "rat", 0.9, rng=np.random.default_rng(4), modalities=("spikes", "position"), n_units=30, task_start=1000.0
    )
    truth.ripples[["onset", "duration"]].head(40).to_csv(inputs / "ripples.tsv", sep="\t", index=False)
    store = write_store(recording, inputs / "session.zarr")

    def write(which: str, folder: Path) -> None:
        options = ReplayOptions(events=inputs / "ripples.tsv", n_surrogates=50, seed=int(which == "new"))
        replay_to_folder(str(store), output=folder, options=options, overwrite=True)

    return Job("replay", write, lambda folder: hash_files(folder, FILES[:4]))


def main(kills: int, seed: int = 0, names: tuple[str, ...] = ()) -> list[str]:
    """Kill the jobs in turn; returns what went wrong, and prints a line for each job."""
    warnings.simplefilter("ignore")
    rng, faults = np.random.default_rng(seed), []
    with tempfile.TemporaryDirectory(prefix="kills-") as folder:
        inputs = Path(folder, "inputs")
        inputs.mkdir()
        jobs = [job for job in make_jobs(inputs) if not names or job.name in names]
        for index, job in enumerate(jobs):
            share = len(range(index, kills, len(jobs)))
            started, found = time.monotonic(), try_job(job, share, Path(folder, job.name), rng)
            faults += found
            print(f"{job.name}: {share} kills, {len(found)} faults  [{time.monotonic() - started:.0f} s]", flush=True)
    return faults


if __name__ == "__main__":
    wrong = main(int(sys.argv[1]) if len(sys.argv) > 1 else 50, names=tuple(sys.argv[2:]))
    print("\n".join(wrong) or "nothing lost, nothing mixed")
    sys.exit(bool(wrong))
