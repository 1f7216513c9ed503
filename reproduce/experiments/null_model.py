"""`make null-model`: what SR's projections make of a matrix that Adam moves by noise alone: no data, no loss, no net.

A convolution's weight begins as the authors' do, by Glorot's rule. Its "gradient" is noise: white, or correlated from
one step to the next (an AR(1) process), which is what "persistence" means. Adam, its rate and the rate's decay, the
spectral maps and their schedule are the package's and the paper's; nothing is fitted. What such a matrix does, too,
says nothing of what a discriminator learns.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from rich.console import Console
from torch import Tensor, nn

from reproduce.evidence.null_curves import (
    KEPT_SR_S,
    METHODS,
    UNIT_SR_D,
    NullCurve,
    null_table,
    save_null_picture,
    write_curves,
)
from reproduce.evidence.records import Evidence, read_evidence, with_their_past
from reproduce.launcher.options import read
from reproduce.plan.run import EVIDENCE
from reproduce.plan.variants import BRANCH, SCALE_CONTROL, SR_S_AFTER_SN
from reproduce.results.generated import markdown_table
from srgan.collapse import tail_mean
from srgan.constraints import Dynamic, Schedule, SpectralMap, Static
from srgan.networks.blocks import RESIDUAL_GAIN
from srgan.spectral import matricize, project, spectrum
from srgan.training.optimizers import OptimizerSettings
from srgan.utils.files import write_text
from srgan.utils.randomness import counter_seed

ITERATIONS, N_DIS, RECORD_EVERY = 10_000, 5, 100  # of configs/small.yaml and cifar10.yaml
SHAPE = (8, 8, 3, 3)  # of D's 3x3 convolutions in C_64-32 at scale small
PERSISTENCES = (0.0, 0.5, 0.9, 0.95)
SEEDS = (1, 2, 3, 4)


@dataclass(frozen=True)
class Projection:
    """What is written into a raw matrix, and when."""

    spectral_map: SpectralMap  # the map of singular values, Eq. 9
    unit: bool  # whether sigma_1 is brought to 1; else it is kept
    schedule: Schedule  # the authors', from some iteration on

    def apply(self, W: Tensor, r: Tensor) -> None:
        """Overwrites a stack `[b, m, n]`, and its records r `[b, N]` of the largest sigma_k / sigma_1, in place."""
        former: list[Tensor] = []

        def sigma_map(sigma: Tensor) -> Tensor:
            former.append(sigma)
            return self.map(sigma, r)

        W.copy_(project(W, sigma_map))
        r.copy_(self.spectral_map.remember((former[0] / former[0][:, :1]).to(r), r))

    def map(self, sigma: Tensor, r: Tensor) -> Tensor:
        """`[b, N]` singular values -> those of what is written."""
        compensated = self.spectral_map(sigma, r)
        return compensated / sigma[:, :1] if self.unit else compensated


def projections(rank: int) -> dict[str, Projection]:
    """Method -> projection, for matrices of so many singular values; SN has none."""
    from_start, from_branch = Schedule(), Schedule(start_iteration=BRANCH)
    return {
        "SR-s": Projection(Static(), True, from_start),
        SCALE_CONTROL.label: Projection(Static(1 / rank), True, from_start),
        "SR-d": Projection(Dynamic(), False, from_branch),
        SR_S_AFTER_SN.label: Projection(Static(), True, from_branch),
        UNIT_SR_D: Projection(Dynamic(), True, from_branch),
        KEPT_SR_S: Projection(Static(), False, from_branch),
    }


def simulate(
    shape: Sequence[int] = SHAPE,
    persistences: Sequence[float] = PERSISTENCES,
    seeds: Sequence[int] = SEEDS,
    methods: Sequence[str] = METHODS,
    until: int = ITERATIONS,
    learning_rate: float = OptimizerSettings().learning_rate,
    scale: float = 1.0,
) -> list[NullCurve]:
    """All matrices side by side, all methods from the same start under the same noise.

    Args:
        shape: of the weight, `[out, in, k, k]`.
        persistences: of the noise, in [0, 1).
        seeds: one matrix for each, at each persistence.
        methods: of METHODS.
        until: the iteration at which it stops; the rate falls as if it went on to `ITERATIONS`.
        learning_rate: at iteration 0.
        scale: of the start: W -> scale W.

    Raises:
        ValueError: a persistence outside of [0, 1), or a weight without a spectrum.
    """
    if not all(0 <= rho < 1 for rho in persistences):
        raise ValueError(f"Expected persistences in [0, 1), found {list(persistences)}.")
    if len(shape) < 2 or min(shape) < 1:
        raise ValueError(f"Expected the shape of a weight [out, in, k, k], found {list(shape)}.")
    start = scale * torch.stack([_start(shape, seed) for seed in seeds])  # [s, m, n]
    W = start.repeat(len(persistences), 1, 1).repeat(len(methods), 1, 1, 1)  # [methods, persistences * s, m, n]
    rho = torch.tensor(persistences).repeat_interleave(len(seeds)).view(-1, 1, 1)
    generator = torch.Generator().manual_seed(counter_seed(seeds[0], "noise of the null model"))
    noise = torch.randn(W.shape[1:], generator=generator)
    player = nn.Module()
    player.W = nn.Parameter(W)
    settings = OptimizerSettings(learning_rate)
    optimizer = settings.build(player)
    rank = min(W.shape[-2:])
    chosen = [projections(rank).get(method) for method in methods]
    r = torch.zeros(*W.shape[:2], rank)
    records: dict[int, Tensor] = {}
    W = player.W.detach()
    for iteration in range(until):
        optimizer.param_groups[0]["lr"] = learning_rate * (1 - iteration / ITERATIONS)
        for update in range(N_DIS):
            noise = rho * noise + (1 - rho.square()).sqrt() * torch.randn(noise.shape, generator=generator)
            player.W.grad = noise.expand_as(W).contiguous()
            optimizer.step()
            for k, projection in enumerate(chosen):
                if projection and projection.schedule.is_due(iteration, update, N_DIS):
                    projection.apply(W[k], r[k])
        if (iteration + 1) % RECORD_EVERY == 0:
            records[iteration + 1] = torch.stack([spectrum(matrix) for matrix in W.flatten(0, 1)]).view_as(r)
    return _curves(records, shape, persistences, methods)


def _start(shape: Sequence[int], seed: int) -> Tensor:
    """Of a residual 3x3 convolution."""
    generator = torch.Generator().manual_seed(counter_seed(seed, "start of the null model"))
    weight = torch.empty(*shape)
    nn.init.xavier_uniform_(weight, RESIDUAL_GAIN, generator)
    return matricize(weight)


def _curves(
    records: dict[int, Tensor], shape: Sequence[int], persistences: Sequence[float], methods: Sequence[str]
) -> list[NullCurve]:
    """Means over the matrices of each method and persistence."""
    sigma = torch.stack(list(records.values()))  # [T, methods, persistences * s, N]
    matrices = sigma.shape[2] // len(persistences)
    sigma = sigma.unflatten(2, (len(persistences), matrices))
    ratios = (sigma / sigma[..., :1]).numpy()
    measures = {
        "sigma_1": sigma[..., 0].numpy(),
        "first_half": ratios[..., : ratios.shape[-1] // 2].mean(-1),
        "tail": tail_mean(ratios),
    }
    return [
        NullCurve(
            method, rho, list(shape), matrices, list(records),
            **{name: [float(f"{value:.4g}") for value in found[:, k, p].mean(-1)] for name, found in measures.items()},
        )
        for k, method in enumerate(methods)
        for p, rho in enumerate(persistences)
    ]  # fmt: skip


def write_null_model(root: Path, curves: Sequence[NullCurve], runs: Sequence[Evidence]) -> None:
    """Writes null_model.json, .md and .png into a folder."""
    write_curves(root / "null_model.json", curves)
    write_text(root / "null_model.md", markdown_table(null_table(curves, runs)))
    save_null_picture(curves, runs, root / "null_model.png")


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; writes null_model.json, .md and .png. Returns the exit status."""
    options = read(arguments, __doc__, "shape persistence seeds runs")
    root, console = options.runs / "null-model", Console(soft_wrap=True)
    try:
        curves = simulate(options.shape or SHAPE, options.persistence or PERSISTENCES, options.seeds or SEEDS)
    except ValueError as error:
        print(f"null-model: {error}", file=sys.stderr)
        return 2
    runs = [run for run in read_evidence(EVIDENCE / "evidence.json") if run.setting == "C_64-32"]
    write_null_model(root, curves, with_their_past(runs))
    console.print((root / "null_model.md").read_text(), highlight=False)
    return 0


if __name__ == "__main__":
    sys.exit(main())
