"""One application of SR to every convolution of a discriminator: numpy's SVD (the authors' route), torch's, and ours.

`python -m bench.spectral` prints two tables and writes bench/results/spectral.json. The contenders in turns on the
same weights, results written back; medians. All on one thread, the two discriminators that goals are set for on all
cores, too; with a pause between contenders, since idle threads of one library spin for a while and slow down the next.
"""

from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]
from torch import Tensor, nn

from bench.measure import all_cores, environment, in_turns, medians, timed, use_threads, write_result
from srgan.constraints import METHODS, raw_matrix, raw_weight, spectral_layers
from srgan.constraints.layers import CONVOLUTIONS
from srgan.networks import ResNetDiscriminator
from srgan.spectral import apply_spectral_map, compensated_rank

REPETITIONS, PAUSE = 5, 0.05
SHAPES = [(128, 27), (128, 128), (128, 1152), (256, 2304), (512, 4608)]
DISCRIMINATORS: dict[str, Callable[[], nn.Module]] = {
    **{f"CIFAR-{ch}": partial(ResNetDiscriminator, 32, ch) for ch in (32, 64, 128, 256)},
    "ImageNet-64": partial(ResNetDiscriminator, 128, 64, 1000, "pyramid"),
}
SPECTRA = ("initial", "collapsed", "after steps")

Svd = Callable[[Tensor], tuple[Tensor, Tensor, Tensor]]


def numpy_svd(W: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """What the authors call."""
    U, sigma, Vh = np.linalg.svd(W.numpy(), full_matrices=False)
    return torch.from_numpy(U), torch.from_numpy(sigma), torch.from_numpy(Vh)


def torch_svd(W: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The same by PyTorch's LAPACK."""
    U, sigma, Vh = torch.linalg.svd(W, full_matrices=False)
    return U, sigma, Vh


def lifted(svd: Svd, W: Tensor) -> Tensor:
    """SR-s: U diag(s) V^T with the first i of s = sigma / sigma_1 set to 1."""
    U, sigma, Vh = svd(W)
    s = sigma / sigma[0]
    s[: compensated_rank(len(s), 0.5)] = 1
    return (U * s) @ Vh


def convolutions(module: nn.Module) -> list[nn.Module]:
    """The layers that SR acts on."""
    return [layer for _, layer in spectral_layers(module) if isinstance(layer, CONVOLUTIONS)]


@torch.no_grad()
def project_by(svd: Svd, layers: list[nn.Module]) -> None:
    """SR-s on every layer, one after the other, written back."""
    for layer in layers:
        raw_weight(layer).copy_(lifted(svd, raw_matrix(layer)).view_as(raw_weight(layer)))


@torch.no_grad()
def give_spectrum(module: nn.Module, kind: str) -> None:
    """Gives the freshly initialized convolutions another spectrum.

    Args:
        module: it is changed.
        kind: "initial" (as they are), "collapsed" (log-spaced down to sigma_N / sigma_1 = 1e-6) or "after steps" (SR-s,
            and then five steps of 2e-4 per weight in random directions: the size of Adam's steps).
    """
    for layer in convolutions(module):
        W = raw_matrix(layer)
        if kind == "collapsed":
            decay = torch.logspace(0, -6, min(W.shape), dtype=torch.float64)
            W.copy_(apply_spectral_map(W, lambda sigma, decay=decay: decay))  # type: ignore[misc]
        elif kind == "after steps":
            METHODS["sr-s"]().after_update(layer, 0, 0, 1)
            for _ in range(5):
                W.add_(torch.randn_like(W).sign_(), alpha=2e-4)


def measure(module: nn.Module) -> tuple[dict[str, float], float]:
    """Median seconds of each contender, and the largest relative difference of our SR-s to float64 SVDs."""
    layers = convolutions(module)
    given = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    contenders: dict[str, Callable[[], None]] = {
        "numpy SVD": partial(project_by, numpy_svd, layers),
        "torch SVD": partial(project_by, torch_svd, layers),
        "ours SR-s": partial(METHODS["sr-s"]().after_update, module, 0, 0, 1),
        "ours SR-d": partial(METHODS["sr-d"]().after_update, module, 0, 0, 1),
    }

    def restored(act: Callable[[], None]) -> float:
        module.load_state_dict(given)
        return timed(act)()

    acts = {name: partial(restored, act) for name, act in contenders.items()}
    found = medians(in_turns(acts, REPETITIONS, pause=PAUSE))
    restored(contenders["ours SR-s"])
    results = [raw_matrix(layer).clone() for layer in layers]
    module.load_state_dict(given)
    difference = 0.0
    for layer, result in zip(layers, results, strict=True):
        exact = lifted(torch_svd, raw_matrix(layer).double())
        difference = max(difference, float((result - exact).norm() / exact.norm()))
    return found, difference


def constrained(module: nn.Module, kind: str) -> nn.Module:
    """Under spectral normalization, with that spectrum, and a recorded one for SR-d to hold up."""
    METHODS["sn"]().attach(module)
    give_spectrum(module, kind)
    for layer in convolutions(module):
        layer.get_buffer("parametrizations.weight.0.recorded_ratios").fill_(0.5)
    return module


def row(name: str, kind: str, module: nn.Module, threads: int = 1) -> dict[str, object]:
    """Measures, prints one line of the table, and returns it for the file."""
    use_threads(threads)
    with threadpool_limits(threads):  # numpy's BLAS, too
        found, difference = measure(constrained(module, kind))
    ratio = found["numpy SVD"] / found["ours SR-s"]
    times = "".join(f"{1e3 * seconds:>11.2f}" for seconds in found.values())
    print(f"{name:>12} {kind:>12} {threads:>8}{times} {ratio:>7.1f}x {difference:>10.1e}", flush=True)
    return {
        "name": name, "spectrum": kind, "threads": threads, "seconds": found, "numpy SVD / ours SR-s": ratio,
        "relative difference to float64": difference,
    }  # fmt: skip


def main() -> None:
    """Measures whole discriminators, then single matrices."""
    head = environment(all_cores())
    torch.manual_seed(0)
    columns = ("numpy SVD", "torch SVD", "ours SR-s", "ours SR-d", "ratio", "difference")
    print(f"{'ms':>12} {'spectrum':>12} {'threads':>8}" + "".join(f"{column:>11}" for column in columns))
    discriminators = [
        row(name, kind, make())
        for name, make in DISCRIMINATORS.items()
        for kind in SPECTRA
        if name != "ImageNet-64" or kind == "initial"  # ten seconds for each SVD
    ]
    matrices = [row(f"{m}x{n}", kind, nn.Conv2d(n, m, 1)) for m, n in SHAPES for kind in SPECTRA]
    discriminators += [
        row(name, "initial", DISCRIMINATORS[name](), all_cores()) for name in ("CIFAR-128", "ImageNet-64")
    ]
    write_result(
        "spectral", {**head, "repetitions": REPETITIONS, "discriminators": discriminators, "matrices": matrices}
    )


if __name__ == "__main__":
    main()
