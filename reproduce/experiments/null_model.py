"""What SR's projections make of a matrix that Adam moves by noise alone: no data, no loss, no net.

A convolution's weight begins as the authors' do, by Glorot's rule. Its "gradient" is noise: white, or correlated from
one step to the next (an AR(1) process), which is what "persistence" means. Adam, its rate and the rate's decay, the
spectral maps and their schedule are the package's and the paper's; nothing is fitted. What such a matrix does, too,
says nothing of what a discriminator learns.
"""

from collections.abc import Sequence

import torch
from pandas import DataFrame
from rich.console import Console
from torch import Tensor, nn

from reproduce.evidence.null_curves import KEPT_SR_S, METHODS, UNIT_SR_D, null_table, save_null_picture
from reproduce.evidence.records import read_evidence, with_their_past, write_lines
from reproduce.launcher.options import Options
from reproduce.plan.run import EVIDENCE
from reproduce.plan.variants import BRANCH, SCALE_CONTROL, SR_S_AFTER_SN
from reproduce.results.generated import markdown_table
from srgan.collapse import tail_mean
from srgan.constraints import Dynamic, Schedule, SpectralRegularization, Static
from srgan.networks.blocks import RESIDUAL_GAIN
from srgan.spectral import matricize, project_stacks, scaled, spectrum
from srgan.training.optimizers import OptimizerSettings
from srgan.utils.cpu import settle_on_cpu
from srgan.utils.files import write_text
from srgan.utils.randomness import counter_seed

ITERATIONS, N_DIS, RECORD_EVERY = 10_000, 5, 100  # of configs/small.yaml and cifar10.yaml
SHAPE = (8, 8, 3, 3)  # of D's 3x3 convolutions in C_64-32 at scale small
PERSISTENCES = (0.0, 0.5, 0.9, 0.95)
SEEDS = (1, 2, 3, 4)


def projections(rank: int) -> dict[str, SpectralRegularization]:
    """Method -> SR, for matrices of so many singular values; SN projects nothing."""
    from_branch = Schedule(start_iteration=BRANCH)
    return {
        "SR-s": SpectralRegularization(Static(), "unit"),
        SCALE_CONTROL.label: SpectralRegularization(Static(1 / rank), "unit"),
        "SR-d": SpectralRegularization(Dynamic(), "keep", schedule=from_branch),
        SR_S_AFTER_SN.label: SpectralRegularization(Static(), "unit", schedule=from_branch),
        UNIT_SR_D: SpectralRegularization(Dynamic(), "unit", schedule=from_branch),
        KEPT_SR_S: SpectralRegularization(Static(), "keep", schedule=from_branch),
    }


def apply(sr: SpectralRegularization, W: Tensor, r: Tensor) -> None:
    """Overwrites a stack `[b, m, n]`, and its records r `[b, N]` of the largest sigma_k / sigma_1, in place."""
    ((projected, sigma),) = project_stacks([W], [lambda sigma: scaled(sr.spectral_map(sigma, r), sr.scale)])
    W.copy_(projected)
    r.copy_(sr.spectral_map.remember((sigma / sigma[:, :1]).to(r), r))


def simulate(
    shape: Sequence[int] = SHAPE,
    persistences: Sequence[float] = PERSISTENCES,
    seeds: Sequence[int] = SEEDS,
    methods: Sequence[str] = METHODS,
    until: int = ITERATIONS,
    learning_rate: float = OptimizerSettings().learning_rate,
    scale: float = 1.0,
) -> DataFrame:
    """All matrices side by side, all methods from the same start under the same noise.

    A weight of `shape` `[out, in, k, k]` starts at `scale` times its usual start, one for each seed and persistence of
    the noise, in [0, 1). The learning rate falls as if training went on to `ITERATIONS`. Returns a line for each method
    (of METHODS) and persistence, as `reproduce.evidence.null_curves` describes it.
    """
    if not all(0 <= rho < 1 for rho in persistences):
        raise ValueError(f"Expected persistences in [0, 1), found {list(persistences)}.")
    if len(shape) < 2 or min(shape) < 1:
        raise ValueError(f"Expected the shape of a weight [out, in, k, k], found {list(shape)}.")
    weights = torch.empty(len(seeds), *shape)
    for weight, seed in zip(weights, seeds, strict=True):  # of a residual 3x3 convolution
        own = torch.Generator().manual_seed(counter_seed(seed, "start of the null model"))
        nn.init.xavier_uniform_(weight, RESIDUAL_GAIN, own)
    start = scale * torch.stack([matricize(weight) for weight in weights])  # [s, m, n]
    player = nn.Module()
    player.W = nn.Parameter(start.repeat(len(methods), len(persistences), 1, 1))  # [methods, persistences * s, m, n]
    optimizer = OptimizerSettings(learning_rate).build(player)
    W = player.W.detach()
    rank = min(W.shape[-2:])
    r = torch.zeros(*W.shape[:2], rank)
    rho = torch.tensor(persistences).repeat_interleave(len(seeds)).view(-1, 1, 1)
    generator = torch.Generator().manual_seed(counter_seed(seeds[0], "noise of the null model"))
    noise = torch.randn(W.shape[1:], generator=generator)
    srs = [projections(rank).get(method) for method in methods]
    spectra: dict[int, Tensor] = {}
    for iteration in range(until):
        optimizer.param_groups[0]["lr"] = learning_rate * (1 - iteration / ITERATIONS)
        for update in range(N_DIS):
            noise = rho * noise + (1 - rho.square()).sqrt() * torch.randn(noise.shape, generator=generator)
            player.W.grad = noise.expand_as(W).contiguous()
            optimizer.step()
            for k, sr in enumerate(srs):
                if sr and sr.schedule.is_due(iteration, update, N_DIS):
                    apply(sr, W[k], r[k])
        if (iteration + 1) % RECORD_EVERY == 0:
            spectra[iteration + 1] = torch.stack([spectrum(matrix) for matrix in W.flatten(0, 1)])
    sigma = torch.stack(list(spectra.values()), dim=1).unflatten(0, (len(methods), len(persistences), len(seeds)))
    kept = {"shape": list(shape), "matrices": len(seeds), "iteration": list(spectra)}
    curves = [
        {"method": method, "persistence": rho, **kept, **_measures(sigma[k, p])}
        for k, method in enumerate(methods)
        for p, rho in enumerate(persistences)
    ]
    return DataFrame(curves)


def _measures(sigma: Tensor) -> dict[str, list[float]]:
    """Means over matrices of singular values `[matrices, T, N]`, at each of T records, in four digits."""
    ratios = (sigma / sigma[..., :1]).numpy()
    measures = {
        "sigma_1": sigma[..., 0].numpy(),
        "first_half": ratios[..., : ratios.shape[-1] // 2].mean(-1),
        "tail": tail_mean(ratios),
    }
    return {name: [float(f"{value:.4g}") for value in found.mean(0)] for name, found in measures.items()}


def null_model(options: Options) -> int:
    """`make null-model`: what SR's projections make of a matrix that Adam moves by noise alone."""
    root = options.runs / "null-model"
    settle_on_cpu()
    torch.set_num_threads(1)  # matrices are so small that more threads only wait for each other
    curves = simulate(options.shape or SHAPE, options.persistence or PERSISTENCES, options.seeds or SEEDS)
    runs = with_their_past([run for run in read_evidence(EVIDENCE / "evidence.json") if run.setting == "C_64-32"])
    table = markdown_table(null_table(curves, runs))
    write_lines(root / "null_model.json", curves.to_dict("records"))
    write_text(root / "null_model.md", table)
    save_null_picture(curves, runs, root / "null_model.png")
    Console(soft_wrap=True).print(table, highlight=False)
    return 0
