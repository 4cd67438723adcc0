"""Sharpwave within other people's training loops: one file for each library, which loads it when it is used."""
