"""Train a small GAN under spectral regularization with your own training loop: the one line is `srgan.regularize`.

python examples/regularize.py                                 # about a minute on a CPU
python examples/regularize.py --method sn --iterations 800    # spectral normalization, for comparison
"""

import argparse

import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.nn.functional import interpolate
from torch.optim import Adam

import srgan

LATENT_DIM, BATCH, CHANNELS = 64, 32, 8


def generator() -> nn.Module:
    """z `[B, 64]` -> images `[B, 1, 16, 16]` in [-1, 1]."""
    return nn.Sequential(
        nn.Unflatten(1, (LATENT_DIM, 1, 1)),
        nn.ConvTranspose2d(LATENT_DIM, 64, 4), nn.BatchNorm2d(64), nn.ReLU(),
        nn.ConvTranspose2d(64, 32, 4, stride=2, padding=1), nn.BatchNorm2d(32), nn.ReLU(),
        nn.ConvTranspose2d(32, 1, 4, stride=2, padding=1), nn.Tanh(),
    )  # fmt: skip


def discriminator() -> nn.Module:
    """Images `[B, 1, 16, 16]` -> scores `[B, 1]`."""
    return nn.Sequential(
        nn.Conv2d(1, CHANNELS, 3, padding=1), nn.LeakyReLU(0.2),
        nn.Conv2d(CHANNELS, 2 * CHANNELS, 4, stride=2, padding=1), nn.LeakyReLU(0.2),
        nn.Conv2d(2 * CHANNELS, 4 * CHANNELS, 4, stride=2, padding=1), nn.LeakyReLU(0.2),
        nn.Conv2d(4 * CHANNELS, 4 * CHANNELS, 3, padding=1), nn.LeakyReLU(0.2),
        nn.Flatten(), nn.Linear(4 * CHANNELS * 4 * 4, 1),
    )  # fmt: skip


def main() -> None:
    """Trains, then prints the mean of each layer's spectrum over its first half and over the rest."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--method", default="sr-s", help="constraint on D: sn, sr-s, sr-d, ... (default: sr-s)")
    parser.add_argument("--iterations", type=int, default=800, help="updates of each network (default: 800)")
    options = parser.parse_args()

    torch.manual_seed(0)
    digits = torch.from_numpy(load_digits().images).float()[:, None] / 8 - 1  # [1797, 1, 8, 8] in [-1, 1]
    images = interpolate(digits, size=16, mode="bilinear")
    G, D = generator(), discriminator()
    optimizer_G = Adam(G.parameters(), lr=1e-3, betas=(0.0, 0.9))
    optimizer_D = Adam(D.parameters(), lr=1e-3, betas=(0.0, 0.9))

    handle = srgan.regularize(D, options.method, optimizer=optimizer_D)

    for iteration in range(1, options.iterations + 1):
        real, fake = images[torch.randint(len(images), (BATCH,))], G(torch.randn(BATCH, LATENT_DIM)).detach()
        loss_D = (1 - D(real)).relu().mean() + (1 + D(fake)).relu().mean() + handle.penalty(real, fake)
        optimizer_D.zero_grad()
        loss_D.backward()
        optimizer_D.step()

        loss_G = -D(G(torch.randn(BATCH, LATENT_DIM))).mean()
        optimizer_G.zero_grad()
        loss_G.backward()
        optimizer_G.step()

        if iteration % 200 == 0 or iteration == options.iterations:
            print(f"iteration {iteration:,}: loss of D {loss_D.item():.2f}, of G {loss_G.item():.2f}")

    print("mean of sigma_k / sigma_1 over   k <= N/2   k > N/2")
    for layer, sigma in srgan.spectra(D).items():
        if (N := len(sigma)) > 1:
            print(f"layer {layer:27}{sigma[: N // 2].mean():8.2f}{sigma[N // 2 :].mean():10.2f}")


if __name__ == "__main__":
    main()
