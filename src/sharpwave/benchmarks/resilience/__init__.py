"""Networks that are damaged, with sleep and without: what they keep, stand, and how they come back."""
