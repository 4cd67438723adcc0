"""What comes next: forecasts of real and simulated nights beside all baselines."""
