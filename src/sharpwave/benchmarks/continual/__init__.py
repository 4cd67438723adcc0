"""Learning one task after another: streams, learners behind one contract, and the harness that runs both."""
