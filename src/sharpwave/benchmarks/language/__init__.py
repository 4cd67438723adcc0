"""Language models that learn one task after another, and sleep in between."""
