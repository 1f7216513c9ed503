"""One application of SR-s to one weight matrix: numpy's SVD (the authors' route) against ours.

`make bench` prints a table and writes bench/results/spectral.json. Ratios, medians; both routes run in
one process on the same matrices.
"""

import json
import statistics
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from srgan.callbacks.record import processor, versions
from srgan.files import write_json
from srgan.spectral import apply_spectral_map, compensated_rank, static_map

SHAPES = [(128, 27), (128, 128), (128, 1152), (256, 2304), (512, 4608), (1024, 9216)]
REPETITIONS = 7
RESULTS = Path(__file__).parent / "results" / "spectral.json"


def authors_route(W: Tensor, i: int) -> Tensor:
    """SVD on the host, the first i singular values lifted, and the product written back."""
    U, sigma, Vh = np.linalg.svd(W.numpy(), full_matrices=False)
    s = sigma / sigma[0]
    s[:i] = 1
    return torch.from_numpy((U * s) @ Vh)


def ours(W: Tensor, i: int) -> Tensor:
    return apply_spectral_map(W, lambda sigma: static_map(sigma, i) / sigma[0])


def medians(routes: dict[str, Callable[[], Tensor]]) -> dict[str, float]:
    """Median seconds of each route, one route behind the other, each behind two warm-ups.

    Not in turns, and with a pause: the idle threads of one BLAS spin for a while and would slow down the other.
    """
    seconds: dict[str, list[float]] = {name: [] for name in routes}
    for name, route in routes.items():
        time.sleep(0.5)
        for repetition in range(REPETITIONS + 2):
            start = time.perf_counter()
            route()
            if repetition >= 2:
                seconds[name].append(time.perf_counter() - start)
    return {name: statistics.median(values) for name, values in seconds.items()}


def main() -> None:
    """Measures every shape with a random and a collapsed spectrum."""
    rows = []
    print(f"{'shape':>12} {'spectrum':>10} {'numpy SVD':>12} {'ours':>12} {'ratio':>7} {'difference':>11}")
    for m, n in SHAPES:
        for kind in ("random", "collapsed"):
            W = torch.randn(m, n, generator=torch.Generator().manual_seed(0))
            if kind == "collapsed":
                decay = torch.logspace(0, -6, min(m, n), dtype=torch.float64)
                W = apply_spectral_map(W, lambda sigma, decay=decay: decay)  # type: ignore[misc]
            i = compensated_rank(min(m, n), 0.5)
            found = medians({"numpy": partial(authors_route, W, i), "ours": partial(ours, W, i)})
            exact = authors_route(W.double(), i)
            difference = float((ours(W, i) - exact).norm() / exact.norm())
            row = {
                "shape": [m, n], "spectrum": kind, "numpy_seconds": found["numpy"], "ours_seconds": found["ours"],
                "ratio": found["numpy"] / found["ours"], "relative_difference_to_float64": difference,
            }  # fmt: skip
            rows.append(row)
            print(
                f"{m:>6}x{n:<5} {kind:>10} {1e3 * found['numpy']:>9.2f} ms {1e3 * found['ours']:>9.2f} ms "
                f"{row['ratio']:>6.1f}x {difference:>11.1e}"
            )
    hardware = {"device": processor(), "threads": torch.get_num_threads()}
    write_json(RESULTS, {"hardware": hardware, "versions": versions(), "repetitions": REPETITIONS, "rows": rows})
    print(json.dumps(hardware))


if __name__ == "__main__":
    main()
