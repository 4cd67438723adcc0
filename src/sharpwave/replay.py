"""`sharpwave replay`: which events replay the run, against surrogates."""
