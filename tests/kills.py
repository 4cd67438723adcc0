"""Kill commands at random moments, again and again: nothing is lost, nothing is mixed, and the next run is whole.

`python -m tests.kills 50` tries 50 kills, in turn of decode, bids, convert, train, finetune, replay, append, days of a
long recording, BIDS's group page, a cohort, and saving a state, weights and a reactivation head. Each begins with whole
results of an older run (training with nothing), is killed with SIGKILL at a random moment, must leave the older results
or the new ones, and must end in the new ones and no other files when it is run again. `python -m tests.kills full 30`
fills the disk: no file may grow beyond a random size, and the run must end with a `SharpwaveError` that says so.
"""

from __future__ import annotations

import os
import resource
import shutil
import signal
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, replace
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from sharpwave.disk import hash_files, hash_path
from sharpwave.errors import SharpwaveError

if TYPE_CHECKING:
    from sharpwave.commands.batch import NightOutcome


@dataclass(frozen=True)
class Job:
    """Something that writes results.

    Attributes:
        name: What it is called.
        write: Writes the results of one of two inputs ("old", "new") into a folder.
        read: What the folder says, through the product's own readers; equal only for equal results.
        begins: Whether there are older results when it begins; a run of training begins with nothing.
        whole: Whether it leaves the old or the new as a whole; else each of several files, and the next run all.
    """

    name: str
    write: Callable[[str, Path], object]
    read: Callable[[Path], object]
    begins: bool = True
    whole: bool = True


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


def fill_job(job: Job, tries: int, home: Path, rng: np.random.Generator) -> list[str]:
    """What went wrong where no file may grow beyond a random size, up to that of the largest of the new results."""
    faults, wanted = [], {}
    for which in ("old", "new"):
        run_apart(lambda which=which: job.write(which, home / which / "out"), after=None)
        wanted[which] = job.read(home / which / "out")
    sizes = sorted(path.stat().st_size for path in (home / "new" / "out").rglob("*") if path.is_file())
    for number in range(tries):
        place = home / f"full-{number}"
        place.mkdir()
        if job.begins:
            shutil.copytree(home / "old" / "out", place / "out")
        limit, said = int(rng.integers(1, sizes[-1])), place / "said.txt"
        run_full(lambda place=place: job.write("new", place / "out"), limit=limit, said=said)
        words = said.read_text() if said.exists() else "nothing"
        if not words.startswith("SharpwaveError") or "room on the disk" not in words:
            faults.append(f"{job.name}: no file beyond {limit} bytes: {words[:300]}")
        if job.begins and job.read(place / "out") != wanted["old"]:
            faults.append(f"{job.name}: no file beyond {limit} bytes, and the old results are gone")
        run_apart(lambda place=place: job.write("new", place / "out"), after=None)
        if job.read(place / "out") != wanted["new"]:
            faults.append(f"{job.name}: no file beyond {limit} bytes and run again, not the new")
        shutil.rmtree(place)
    return faults


def run_full(act: Callable[[], object], *, limit: int, said: Path) -> None:
    """Run in a process of its own in which no file may grow beyond a size; its error goes to a file opened before."""
    process = os.fork()
    if process == 0:
        report = os.open(said, os.O_CREAT | os.O_WRONLY)
        with redirect_stdout(StringIO()), redirect_stderr(StringIO()):
            try:
                signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
                resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
                act()
                words = "it ended well"
            except BaseException as error:
                words = f"{type(error).__name__}: {error}"
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        os.write(report, words.encode())
        os._exit(0)
    os.waitpid(process, 0)


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
        if job.begins and job.whole and job.read(place / "out") not in wanted.values():
            faults.append(f"{job.name}: killed after {moment:.2f} s, neither the old nor the new")
        run_apart(lambda place=place: job.write("new", place / "out"), after=None)
        if job.read(place / "out") != wanted["new"]:
            faults.append(f"{job.name}: killed after {moment:.2f} s and run again, not the new")
        if left := list_names(place / "out") ^ list_names(home / "new" / "out"):
            faults.append(f"{job.name}: killed after {moment:.2f} s and run again, other files: {sorted(left)[:5]}")
        shutil.rmtree(place)
    return faults


def list_names(folder: Path) -> set[str]:
    """Files that lie in results; not those of temporary folders, which the next run after some seconds removes."""
    names = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    return {name for name in names if ".partial-" not in name}


def make_jobs(inputs: Path) -> list[Job]:
    """All jobs, with their inputs in a folder."""
    from tests.kills_grown import make_grown

    return [
        make_state(),
        make_weights(),
        make_head(),
        *make_nights(inputs),
        *make_training(inputs),
        make_replay(inputs),
        *make_grown(inputs),
    ]


def make_state() -> Job:
    import torch

    from sharpwave.consolidation.state_files import load_state, save_state

    def write(which: str, folder: Path) -> None:
        save_state({"step": which, "weights": torch.full((2_000_000,), float(which == "new"))}, folder)

    def read(folder: Path) -> object:
        state = load_state(folder)
        return state["step"], state["weights"].unique().tolist()

    return Job("state", write, read)


def make_weights() -> Job:
    from tests.brainmu.training_nights import make_model

    from sharpwave.brainmu import load_brainmu, save_brainmu

    model = make_model(modalities=["stages", "heart_rate"])

    def write(which: str, folder: Path) -> None:
        weights = {name: value + 0.5 * (which == "new") for name, value in model.state_dict().items()}
        save_brainmu(model, folder, weights=weights, card={"which": which})

    def read(folder: Path) -> object:
        found, card = load_brainmu(folder)
        return [value.numpy().tobytes() for value in found.state_dict().values()], card

    return Job("weights", write, read)


def make_head() -> Job:
    import torch

    from sharpwave.brainmu.reactivation.reactivation_head import (
        ReactivationHead,
        ShippedHead,
        load_reactivation_head,
        save_reactivation_head,
    )

    def write(which: str, folder: Path) -> None:
        torch.manual_seed(int(which == "new"))
        save_reactivation_head(ShippedHead(ReactivationHead(32).eval(), {"lfp": 0.5}, {"which": which}), folder)

    def read(folder: Path) -> object:
        shipped = load_reactivation_head(folder)
        return shipped.card, [value.numpy().tobytes() for value in shipped.head.state_dict().values()]

    return Job("head", write, read)


def make_nights(inputs: Path) -> list[Job]:
    from tests.files import make_small_recording, write_small_bids
    from tests.nights import simulate_short_night

    from sharpwave.commands.batch import decode_nights, plan_nights
    from sharpwave.commands.bids import plan_bids_nights
    from sharpwave.commands.convert import convert_to_stores
    from sharpwave.night.options import DecodeOptions
    from sharpwave.recordings.store import open_store, write_store

    whole = simulate_short_night()[0]
    for seed, which in enumerate(("old", "new")):
        signals = {name: signal.restrict(0, 1500 + 300 * seed) for name, signal in whole.signals.items()}
        write_store(replace(whole, signals=signals, hypnogram=None), inputs / which / "night.zarr")
        write_small_bids(inputs / which / "set", seed=seed)
        write_store(make_small_recording(seed=seed), inputs / which / "small.zarr")

    def check(outcomes: Sequence[NightOutcome]) -> None:
        if outcomes[0].status == "failed":  # what the batch says of it in a line
            raise SharpwaveError("a night", got=outcomes[0].message, fix="see there")

    def decode(which: str, folder: Path) -> None:
        check(
            decode_nights(plan_nights([str(inputs / which / "night.zarr")], folder), DecodeOptions(), existing="skip")
        )

    def read_night(folder: Path) -> object:
        return hash_files(folder, ("hypnogram.tsv", "events.tsv", "forecast.parquet"))

    def plan(which: str, folder: Path) -> list:
        return plan_bids_nights(inputs / which / "set", folder, hypnogram=which == "old")

    def bids(which: str, folder: Path) -> None:
        check(decode_nights(plan(which, folder), DecodeOptions(), existing="skip"))

    def read_bids(folder: Path) -> object:
        (task,) = plan("new", folder)
        task.settle()
        tables = sorted(path for path in folder.rglob("*") if path.suffix in (".tsv", ".parquet"))
        return {path.name: hash_path(path) for path in tables}

    def convert(which: str, folder: Path) -> None:
        convert_to_stores([str(inputs / which / "small.zarr")], folder, overwrite=False, skip_existing=True)

    def read_store(folder: Path) -> object:
        recording = open_store(folder / "small.zarr")
        return [np.asarray(signal.read()).tobytes() for signal in recording.signals.values()]

    return [Job("decode", decode, read_night), Job("bids", bids, read_bids), Job("convert", convert, read_store)]


def make_training(inputs: Path) -> list[Job]:
    from tests.brainmu.training_nights import make_model, make_recording

    from sharpwave.brainmu import load_brainmu, save_brainmu
    from sharpwave.brainmu.training.finetuning import FINETUNING
    from sharpwave.brainmu.training.objective import TrainingOptions
    from sharpwave.commands.finetune import finetune_model
    from sharpwave.commands.train import train_model
    from sharpwave.commands.windows import Data
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

    return Job("replay", write, lambda folder: hash_files(folder, FILES[:3]))  # not NWB: it holds new identifiers


def main(tries: int, seed: int = 0, names: tuple[str, ...] = (), *, full: bool = False) -> list[str]:
    """Kill the jobs in turn, or fill their disk; returns what went wrong, and prints a line for each job."""
    warnings.simplefilter("ignore")
    rng, faults = np.random.default_rng(seed), []
    with tempfile.TemporaryDirectory(prefix="kills-") as folder:
        inputs = Path(folder, "inputs")
        inputs.mkdir()
        jobs = [job for job in make_jobs(inputs) if (not names or job.name in names) and (job.whole or not full)]
        for index, job in enumerate(jobs):
            share = len(range(index, tries, len(jobs)))
            started, act = time.monotonic(), fill_job if full else try_job
            found = act(job, share, Path(folder, job.name), rng)
            faults += found
            what = "full disks" if full else "kills"
            print(f"{job.name}: {share} {what}, {len(found)} faults  [{time.monotonic() - started:.0f} s]", flush=True)
    return faults


if __name__ == "__main__":
    words = sys.argv[1:]
    fills = words[:1] == ["full"]
    words = words[fills:]
    wrong = main(int(words[0]) if words else 50, names=tuple(words[1:]), full=fills)
    print("\n".join(wrong) or "nothing lost, nothing mixed")
    sys.exit(bool(wrong))
