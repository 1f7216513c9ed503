"""Checkpoints: read, written, resumed, loaded, exported, shared."""
