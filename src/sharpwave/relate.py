"""`sharpwave causality`: whether reactivation moves sleep, night by night."""
