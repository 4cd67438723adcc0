"""Nights for the estimators of `causality`: hidden courses with planted effects, as a laboratory would see them."""
