"""Protocols of resilience: the dynamics of nights by state, and networks that are damaged and come back."""

from sharpwave.benchmarks.resilience.network import NetworkSubject

__all__ = ["NetworkSubject"]
