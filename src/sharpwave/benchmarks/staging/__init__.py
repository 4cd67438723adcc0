"""Stagers and baselines against experts, by subject."""
