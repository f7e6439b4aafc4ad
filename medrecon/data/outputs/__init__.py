"""Formats in which images are written."""
