"""Dynamics of the brain by sleep state."""
