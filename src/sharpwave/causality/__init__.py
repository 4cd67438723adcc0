"""Whether reactivation moves sleep: estimands, estimates with their controls, and rules in words."""
