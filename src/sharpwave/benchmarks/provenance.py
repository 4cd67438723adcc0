"""Where a result comes from, and what it may not overwrite.

A file of results says which command made it, from which revision, on which machine, with which libraries and threads.
Published results (`benchmarks/results/` of a clone) are written from a clean tree only, and no result takes the place
of a larger one: both can be overridden, and the file then says so.
"""

from __future__ import annotations

import json
import math
import os
import platform
import shlex
import subprocess
import sys
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from sharpwave.benchmarks.rows import Row
from sharpwave.errors import SharpwaveError

LIBRARIES = (
    "sharpwave",
    "numpy",
    "scipy",
    "scikit-learn",
    "lightgbm",
    "torch",
    "mne",
    "yasa",
    "numba",
    "hmmlearn",
    "statsmodels",
    "transformers",
    "peft",
    "replay_trajectory_classification",
    "non_local_detector",
)
"""Libraries whose versions a file of results names, where they are installed."""
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
"""Variables of the environment that say how many threads libraries may take."""


def describe_machine() -> dict[str, Any]:
    """Processor, cores, memory in GB and Python; nothing that names the machine."""
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        names = [line for line in cpuinfo.read_text().splitlines() if line.startswith("model name")]
        model = names[0].split(":", 1)[1].strip() if names else model
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9 if hasattr(os, "sysconf") else math.nan
    return {"cpu": model, "cores": os.cpu_count(), "ram_gb": round(memory, 1), "python": platform.python_version()}


def describe_versions() -> dict[str, str]:
    """Version of each library of `LIBRARIES` that is installed."""
    versions = {}
    for name in LIBRARIES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return versions


def describe_threads() -> dict[str, Any]:
    """What the environment allows, and what torch takes where it is loaded."""
    threads: dict[str, Any] = {name: os.environ[name] for name in THREADS if name in os.environ}
    torch = sys.modules.get("torch")
    return threads | ({"torch": torch.get_num_threads()} if torch is not None else {})


def describe_command(
    name: str,
    *,
    seeds: int,
    train: bool = False,
    own_data: bool = False,
    methods: Sequence[str] | None = None,
    stream: str | None = None,
    own_model: bool = False,
) -> str:
    """The command line that makes a result again.

    Args:
        name: Key of `BENCHMARKS`.
        seeds: Seeds of whatever is random.
        train: Whether the shipped weights were trained again first.
        own_data: Whether a folder of data sets was named; which one is nobody's business.
        methods: Methods that were run, where not all were.
        stream: Stream that was named.
        own_model: Whether a folder of a model was named.
    """
    parts = ["sharpwave", "benchmark", name, "--seeds", str(seeds)]
    parts += ["--stream", stream] if stream else []
    parts += ["--methods", (";" if any("," in each for each in methods) else ",").join(methods)] if methods else []
    named = (" --model FOLDER" if own_model else "") + (" --data FOLDER" if own_data else "")
    return shlex.join(parts) + named + (" --train" if train else "")


def describe_provenance(command: str, **more: Any) -> dict[str, Any]:
    """What a file of results says of its making: command, versions of libraries, threads, and whatever else.

    Args:
        command: Command line that makes the file again.
        more: Further entries, such as `seeds`.

    >>> describe_provenance("sharpwave benchmark staging --seeds 5", seeds=5)["seeds"]
    5
    """
    return {"command": command, **more, "versions": describe_versions(), "threads": describe_threads()}


def find_commit() -> str:
    """Revision of the code that runs, "+" where files differ from it; "unknown" outside a clone."""
    try:
        dirty = _ask_git("status", "--porcelain", "--", ":/src")
        return _ask_git("rev-parse", "--short=12", "HEAD") + ("+" if dirty else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def find_published() -> Path | None:
    """Folder of the published results; None outside a clone."""
    try:
        return Path(_ask_git("rev-parse", "--show-toplevel")) / "benchmarks" / "results"
    except (OSError, subprocess.CalledProcessError):
        return None


def refuse_dirty(output: Path, *, allowed: bool) -> list[str]:
    """Refuse to write a published result from code that no commit holds.

    Args:
        output: JSON file that is to be written.
        allowed: Write all the same.

    Returns:
        What was allowed, for the file.

    Raises:
        SharpwaveError: If the tree is dirty, the file would be a published one, and that is not allowed.
    """
    published, commit = find_published(), find_commit()
    if published is None or published not in output.resolve().parents or not commit.endswith("+"):
        return []
    if not allowed:
        raise SharpwaveError(
            "a clean tree: a published result names the commit that made it",
            got=f"files under src that differ from {commit[:-1]}",
            fix="commit first, write to another folder, or pass --allow-dirty, which the file then says",
        )
    return ["dirty tree"]


def refuse_smaller(output: Path, rows: Sequence[Row], *, seeds: int, allowed: bool) -> list[str]:
    """Refuse to put a smaller result in the place of a larger one.

    Args:
        output: JSON file that is to be written, perhaps one that is there.
        rows: New rows; none yet, before the run, when seeds alone are compared.
        seeds: Seeds of whatever is random.
        allowed: Write all the same.

    Returns:
        What was allowed, for the file.

    Raises:
        SharpwaveError: If the result there has more seeds, a larger n or rows that are missing now, and that is not
            allowed.
    """
    found = compare_sizes(output, rows, seeds=seeds)
    if found and not allowed:
        raise SharpwaveError(
            f"a result at least as large as the one in {output.name}",
            got="; ".join(found),
            fix="run it with as many seeds and data, write to another file, or pass --allow-smaller",
        )
    return [f"smaller: {text}" for text in found]


def compare_sizes(output: Path, rows: Sequence[Row], *, seeds: int) -> list[str]:
    """In what a new result is smaller than the one in a file; nothing where there is no such file.

    Args:
        output: JSON file that may be there.
        rows: New rows; none where only seeds are compared.
        seeds: New number of seeds.
    """
    if not output.is_file():
        return []
    try:
        content = json.loads(output.read_text(encoding="utf-8"))
        before = {(r["data"], r["setting"], r["method"], r["metric"]): r["n"] for r in content["rows"]}
        old_seeds = (content.get("provenance") or {}).get("seeds", 0)
    except (ValueError, KeyError, TypeError, AttributeError):
        return []
    found = [f"{seeds} seeds where it has {old_seeds}"] if isinstance(old_seeds, int) and seeds < old_seeds else []
    if not rows:
        return found
    now = {(row.data, row.setting, row.method, row.metric): row.n for row in rows}
    missing = [key for key in before if key not in now]
    fewer = [key for key in now if now[key] < before.get(key, 0)]
    if missing:
        found.append(f"{len(missing)} rows of it missing, such as {', '.join(missing[0])}")
    if fewer:
        found.append(
            f"a smaller n in {len(fewer)} rows, such as {', '.join(fewer[0])}: {now[fewer[0]]}, not {before[fewer[0]]}"
        )
    return found


def _ask_git(*arguments: str) -> str:
    here = Path(__file__).parent
    return subprocess.run(["git", *arguments], cwd=here, capture_output=True, text=True, check=True).stdout.strip()
