"""Sleep for networks: wake takes in experience, NREM replays it, REM recombines it."""
