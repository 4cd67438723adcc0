"""Brainµ on the real cohorts: nights as it sees them, the recipe of the shipped weights, forecasts and calibration."""
