"""Why the model says what it says: attribution, attention, latent directions, doubts, and tests of all of them."""
