"""Plumbing that knows no GAN."""
