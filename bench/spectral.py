"""Spectral regularization.

Seconds of one application to every convolution of a discriminator: numpy's SVD (the authors' route), PyTorch's, and
ours, in turns on the same weights, results written back; medians of five. *Collapsed* spectra are log-spaced down to
sigma_N / sigma_1 = 1e-6; *after steps* is SR-s, then five steps of 2e-4 per weight in random directions (the size of
Adam's steps). *Spectra* reads all of D's, as the log does. The difference is the largest of our SR-s to a float64 SVD.

How to read a "no" above: SR's share of an iteration is that of *collapsed*, the worst case, in which every layer needs
an SVD. Spectra under SR do not get there, and on *initial* ones SR takes half as long, which meets both goals. On an
AMD processor MKL, Intel's library from which PyTorch takes its decompositions, uses half of the vector width. When made
to take this AMD for an Intel, it needed half the time for float64 products, 0.7 of the time for SR on *collapsed*
spectra, and 0.55 to 1.0 on *initial* ones (two modes in five runs). numpy brings OpenBLAS, which has no such rule, so
`numpy / SR-s` is also lower on an AMD. On an Intel both shares met their goals, also because an iteration took longer
there.
"""

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import torch
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]
from torch import Tensor, nn

from bench.harness import Row, Tables, in_turns, medians, seconds_of
from srgan.constraints import METHODS, raw_matrix, spectra, spectral_layers
from srgan.constraints.layers import CONVOLUTIONS
from srgan.networks import ResNetDiscriminator
from srgan.spectral import Static, project
from srgan.utils.cpu import keep_freed_memory
from srgan.utils.provenance import usable_cores

REPETITIONS = 5
DISCRIMINATORS: dict[str, Callable[[], nn.Module]] = {
    **{f"CIFAR-{channels}": partial(ResNetDiscriminator, 32, channels) for channels in (32, 128, 256)},
    "ImageNet-64": partial(ResNetDiscriminator, 128, 64, 1000, "pyramid"),
}
SPECTRA = ("initial", "collapsed", "after steps")
Svd = Callable[[Tensor], Sequence[Tensor]]
torch_svd: Svd = partial(torch.linalg.svd, full_matrices=False)


def numpy_svd(W: Tensor) -> list[Tensor]:
    """What the authors call."""
    return [torch.from_numpy(part) for part in np.linalg.svd(W.numpy(), full_matrices=False)]


def lifted(svd: Svd, W: Tensor) -> Tensor:
    """SR-s: U diag(s) V^T with the first i of s = sigma / sigma_1 set to 1."""
    U, sigma, Vh = svd(W)
    s = sigma / sigma[0]
    s[: Static(0.5).num_judged(len(s))] = 1
    return (U * s) @ Vh


@torch.no_grad()
def project_by(svd: Svd, layers: Sequence[nn.Module]) -> None:
    """SR-s on every layer, one after the other, written back."""
    for layer in layers:
        raw_matrix(layer).copy_(lifted(svd, raw_matrix(layer)))


@torch.no_grad()
def prepare(module: nn.Module, kind: str) -> list[nn.Module]:
    """The convolutions of a discriminator under SR-d, with that kind of spectrum, and a record to hold up."""
    METHODS["sr-d"]().attach(module)
    layers: list[nn.Module] = [layer for _, layer in spectral_layers(module) if isinstance(layer, CONVOLUTIONS)]
    for W in map(raw_matrix, layers):
        if kind == "collapsed":
            decay = torch.logspace(0, -6, min(W.shape), dtype=torch.float64)
            W.copy_(project(W, lambda sigma, decay=decay: decay))  # type: ignore[misc]
        elif kind == "after steps":
            W.copy_(lifted(torch_svd, W))
            for _ in range(5):
                W.add_(torch.randn_like(W).sign_(), alpha=2e-4)
    for name, buffer in module.named_buffers():
        if name.endswith("recorded_ratios"):
            buffer.fill_(0.5)
    return layers


def row(name: str, kind: str, threads: int = 1) -> Row:
    """Of one discriminator."""
    torch.set_num_threads(threads)
    module = DISCRIMINATORS[name]()
    layers = prepare(module, kind)
    given = {key: value.clone() for key, value in module.state_dict().items()}
    acts: dict[str, Callable[[], object]] = {
        "numpy SVD": partial(project_by, numpy_svd, layers),
        "torch SVD": partial(project_by, torch_svd, layers),
        "SR-s": partial(METHODS["sr-s"]().after_update, module, 0, 0, 1),
        "SR-d": partial(METHODS["sr-d"]().after_update, module, 0, 0, 1),
        "spectra": partial(spectra, module),
    }

    def seconds(act: Callable[[], object]) -> float:
        module.load_state_dict(given)
        return seconds_of(act)

    with threadpool_limits(threads):  # numpy's BLAS, too
        found = medians(in_turns({key: partial(seconds, act) for key, act in acts.items()}, REPETITIONS))
    module.load_state_dict(given)
    expected = [lifted(torch_svd, raw_matrix(layer).double()) for layer in layers]
    acts["SR-s"]()
    errors = [float((raw_matrix(layer) - W).norm() / W.norm()) for layer, W in zip(layers, expected, strict=True)]
    found |= {"numpy / SR-s": found["numpy SVD"] / found["SR-s"], "difference": max(errors)}
    return {"D": name, "spectrum": kind, "threads": threads, **found}


def measure() -> Tables:
    """On one thread, and the two discriminators that goals are set for on all cores, too."""
    keep_freed_memory()  # as `srgan fit` does
    torch.manual_seed(0)
    one_thread = [row(name, kind) for name in DISCRIMINATORS for kind in SPECTRA if name[0] == "C" or kind == "initial"]
    return {"": one_thread + [row(name, "initial", usable_cores()) for name in ("CIFAR-128", "ImageNet-64")]}
