"""Using the model: a whole night part by part, online step by step, as stages, or exported to other runtimes."""
