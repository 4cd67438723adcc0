"""Memory reactivations: place fields, decoding, candidate events, and what exceeds chance."""
