"""What Brainµ makes of several modalities: simulated nights with a planted precursor, subsets, labels, transfer."""
