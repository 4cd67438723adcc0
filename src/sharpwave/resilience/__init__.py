"""Stability, robustness and resilience as three numbers, of recordings and of networks."""
