"""Measured speed, side by side in one process."""
