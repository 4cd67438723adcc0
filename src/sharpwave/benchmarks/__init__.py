"""Benchmarks by name: run one, print ours beside the baselines, and keep the numbers with where they came from.

>>> BENCHMARKS["spindles"]
'sharpwave.benchmarks.spindles'
"""

from __future__ import annotations

from sharpwave.benchmarks.runner import BENCHMARKS, BenchmarkResult, run_benchmark

__all__ = ["BENCHMARKS", "BenchmarkResult", "run_benchmark"]
