"""Replay decoding: speed beside other libraries, and runs and rest of recorded rats."""
