"""The on-disk store: days to years of a recording, opened at once and read lazily."""

from sharpwave.recordings.store.append import append_store
from sharpwave.recordings.store.convert import convert
from sharpwave.recordings.store.open import open_store
from sharpwave.recordings.store.write import write_store

__all__ = ["append_store", "convert", "open_store", "write_store"]
