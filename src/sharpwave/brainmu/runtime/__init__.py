"""Using the model: a whole night in pieces, online step by step, as stages, or exported to other runtimes."""
