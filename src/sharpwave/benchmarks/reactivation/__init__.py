"""Reactivation events found against those planted: how hard the nights are, who searches, and how it is scored."""
