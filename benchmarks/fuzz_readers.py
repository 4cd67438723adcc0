"""Damage `--files` files of every format, read them, and write what came out: `python -m benchmarks.fuzz_readers`."""

from __future__ import annotations

import argparse
import json
import platform
import resource
import subprocess
import tempfile
import time
from pathlib import Path

from tests.contracts.test_fuzz_readers import FORMATS, MEMORY_GROWTH, SECONDS_PER_FILE, fuzz

import sharpwave
from sharpwave.benchmarks.provenance import describe_provenance

RESULTS = Path(__file__).parent / "results" / "fuzz_readers.json"


def main() -> None:
    """Run the fuzzer over all formats and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=5200)
    parser.add_argument("--seed", type=int, default=20)
    arguments = parser.parse_args()
    began = time.perf_counter()
    rows = {name: _fuzz_format(name, arguments) for name in FORMATS}
    total = {key: sum(row[key] for row in rows.values()) for key in ("read", "refused", "failed")}
    report = {
        "configuration": {
            "files": sum(total.values()),
            "seed": arguments.seed,
            "seconds_per_file": SECONDS_PER_FILE,
            "memory_growth_bytes": MEMORY_GROWTH,
        },
        "commit": subprocess.run(
            ["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=False
        ).stdout.strip(),
        "machine": {"system": platform.system(), "machine": platform.machine(), "python": platform.python_version()},
        "provenance": describe_provenance(f"python -m benchmarks.fuzz_readers --files {arguments.files}"),
        "version": sharpwave.__version__,
        "total": total,
        "slowest_s": max(row["slowest_s"] for row in rows.values()),
        "peak_memory_bytes": 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss,
        "seconds": round(time.perf_counter() - began, 1),
        "formats": rows,
    }
    RESULTS.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    print(json.dumps({key: report[key] for key in ("total", "slowest_s", "peak_memory_bytes", "seconds")}))


def _fuzz_format(name: str, arguments: argparse.Namespace) -> dict:
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "source"
        source.mkdir()
        valid = FORMATS[name][0](source)
        outcomes, slowest, failures = fuzz(
            name, valid, Path(folder), n_files=-(-arguments.files // len(FORMATS)), seed=arguments.seed
        )
    for failure in failures:
        print(failure)
    return {
        "read": outcomes["read"],
        "refused": outcomes["refused"],
        "failed": len(failures),
        "slowest_s": round(slowest, 3),
    }


if __name__ == "__main__":
    main()
