"""Command-line options of the commands about memory: parsing only."""
