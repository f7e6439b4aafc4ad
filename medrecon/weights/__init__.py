"""Trained weights: their files and cards, and the networks that they make; no torch is imported here."""
