"""What scoring costs: images per second through the feature networks, and FID's own algebra.

`python -m bench.scoring` prints and writes bench/results/scoring.json. Inception has random weights here, in the format
of the real ones: they take as long. The algebra is the trace of the root of C_r C_f at 2,048 features, by our symmetric
route and by the eigenvalues of the product, which most tools take.
"""

import argparse
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

from bench.measure import all_cores, environment, in_turns, medians, timed, use_threads, write_result
from srgan.metrics.features import InceptionFeatures
from srgan.metrics.formulas import frechet_distance

BATCH, IMAGE_SIZE, NUM_FEATURES, REPETITIONS = 50, 32, 2048, 7


class RandomInception(FeatureExtractorInceptionV3):
    """torch-fidelity's network, keeping the weights it starts with."""

    def load_state_dict(self, *_: Any, **__: Any) -> None:
        """Refuses weights, but spreads its own so that no signal vanishes: denormal numbers are slow."""
        for parameter in self.parameters():
            if parameter.ndim > 1:
                torch.nn.init.kaiming_normal_(parameter)


def random_inception(folder: Path) -> InceptionFeatures:
    """Our feature network with random weights, through files in a folder."""
    torch.save({}, folder / "empty.pth")
    network = RandomInception("inception-v3-compat", ["2048"], str(folder / "empty.pth"))
    torch.save(network.state_dict(), folder / "weights.pth")
    return InceptionFeatures(str(folder / "weights.pth"))


def by_eigenvalues_of_the_product(mean_real: Tensor, cov_real: Tensor, mean_fake: Tensor, cov_fake: Tensor) -> float:
    """FID as torchmetrics computes it."""
    trace_of_root = torch.linalg.eigvals(cov_real @ cov_fake).sqrt().real.sum()
    distance = (mean_real - mean_fake).square().sum() + cov_real.trace() + cov_fake.trace() - 2 * trace_of_root
    return float(distance)


def random_statistics(num_features: int, seed: int) -> tuple[Tensor, Tensor]:
    """Mean `[d]` and covariance `[d, d]` float64 of as many random features as there would be in a small test."""
    features = torch.randn(2 * num_features, num_features, generator=torch.Generator().manual_seed(seed)).double()
    features *= torch.linspace(0.1, 2, num_features)
    return features.mean(dim=0), features.T.cov()


def algebra(num_features: int, repetitions: int) -> dict[str, Any]:
    """Both routes in turns, and how far apart their results are."""
    statistics = (*random_statistics(num_features, 0), *random_statistics(num_features, 1))
    routes = {"symmetric": frechet_distance, "eigenvalues of the product": by_eigenvalues_of_the_product}
    acts = {name: timed(partial(route, *statistics)) for name, route in routes.items()}
    seconds = medians(in_turns(acts, repetitions))
    ours, theirs = (route(*statistics) for route in routes.values())
    return {
        "num_features": num_features,
        "seconds": seconds,
        "ratio": seconds["eigenvalues of the product"] / seconds["symmetric"],
        "relative_difference": abs(ours - theirs) / theirs,
    }


def features(batch: int, repetitions: int) -> dict[str, Any]:
    """Images per second through Inception."""
    images = torch.randint(0, 256, (batch, 3, IMAGE_SIZE, IMAGE_SIZE), dtype=torch.uint8)
    with tempfile.TemporaryDirectory() as folder:
        inception = random_inception(Path(folder)).eval()
    seconds = medians(in_turns({"inception": timed(partial(inception, images))}, repetitions))["inception"]
    return {"batch": batch, "image_size": IMAGE_SIZE, "images_per_second": batch / seconds}


def main() -> None:
    """Measures both."""
    parser = argparse.ArgumentParser(prog="python -m bench.scoring", description="What scoring costs.")
    parser.add_argument("--threads", type=int, default=all_cores())
    parser.add_argument("--repetitions", type=int, default=REPETITIONS)
    parser.add_argument("--features", type=int, default=NUM_FEATURES, help="of FID's algebra")
    options = parser.parse_args()
    use_threads(options.threads)
    result = environment(options.threads) | {"repetitions": options.repetitions}
    result["inception"] = features(BATCH, options.repetitions)
    print(f"Inception: {result['inception']['images_per_second']:.1f} images per second", flush=True)
    result["algebra"] = found = algebra(options.features, options.repetitions)
    for name, seconds in found["seconds"].items():
        print(f"FID's algebra, {name}: {seconds:.2f} s")
    print(f"ratio {found['ratio']:.1f}, results differ by {found['relative_difference']:.1e}")
    write_result("scoring", result)


if __name__ == "__main__":
    main()
