"""The head that finds memory reactivations in frames of 5 ms of LFP, spikes and decoded places."""
