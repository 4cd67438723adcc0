"""Benchmarks of the live loop: is a cue ever given outside the gate, and does it come when it should?"""
