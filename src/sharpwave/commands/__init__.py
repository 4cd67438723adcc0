"""The commands of `sharpwave`, one file each; `cli.py` assembles them."""
