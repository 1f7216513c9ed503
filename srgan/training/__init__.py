"""Training a generator against a discriminator."""

from srgan.training.module import AdversarialTraining as AdversarialTraining
from srgan.training.module import optimizer_steps as optimizer_steps
