"""Measured speed: contenders side by side, in turns. `make bench` measures, and writes docs/speed.md."""
