"""A second world: sessions that share no code with `sharpwave.simulation`: no claim is tested on its own kind alone."""
