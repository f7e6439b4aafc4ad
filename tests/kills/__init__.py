"""Commands that are killed at random moments, and what they leave: `python -m tests.kills 1000`, or `make kill`."""
