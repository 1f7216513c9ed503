"""Training a generator against a discriminator."""

from srgan.training.module import AdversarialTraining, optimizer_steps

__all__ = ["AdversarialTraining", "optimizer_steps"]
