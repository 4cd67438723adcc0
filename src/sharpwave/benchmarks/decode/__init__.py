"""Decoding a night: speed beside YASA, and memory of long recordings."""
