"""`make gpu-check`: what an iteration, SR and a decomposition cost on a GPU, whole runs, what compiling brings."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor

from bench.gpu_setup import Setup, Timing, convolutions_in, random_images, train
from bench.harness import Row, Tables, medians
from bench.spectral import DISCRIMINATORS, prepare
from bench.worker import REPOSITORY
from srgan.constraints import METHODS, spectra
from srgan.networks import ResNetDiscriminator, ResNetPair

BF16: dict[str, Any] = {"precision": "bf16-mixed"}
BENCHMARK: dict[str, Any] = {"benchmark": True}


def timed(setup: Setup, networks: ResNetPair | None = None, callbacks: Any = (), **settings: Any) -> dict[str, Any]:
    """Iterations a second, and the peak of the GPU's memory."""
    timing = Timing(setup)
    train(setup, networks or setup.pair(setup.wide), timing.iterations, callbacks=[timing, *callbacks], **settings)
    return {"it/s": 1 / timing.seconds, "peak GB": timing.peak / 1e9, "first iteration, s": timing.first}


def speed(setup: Setup) -> Tables:
    """A_64-128: iterations a second, after a warm-up. Then the same with so many processes on one GPU at once."""
    contenders: dict[str, dict[str, Any]] = {
        "SN": {},
        "SN, bf16": {"trainer": BF16},
        "SN, benchmark": {"trainer": BENCHMARK},
        "SN, bf16, benchmark": {"trainer": BF16 | BENCHMARK},
        "none": {"constraint": METHODS["none"]()},
        "none, bf16": {"constraint": METHODS["none"](), "trainer": BF16},
        "SN, contiguous": {"channels_last": False},
    }
    if not setup.on_gpu:
        contenders = {name: contenders[name] for name in ("SN", "SN, bf16")}
    rows: list[Row] = [{"": name} | timed(setup, **settings) for name, settings in contenders.items()]
    with convolutions_in("ieee"):
        rows.append({"": "SN, IEEE"} | timed(setup))
    return {
        "": rows,
        "Several processes at once, it/s of all": [
            _several(setup, count) for count in ((2, 3) if setup.on_gpu else (2,))
        ],
    }


def _several(setup: Setup, count: int) -> dict[str, Any]:
    command = [sys.executable, "-m", "bench.gpu_check", "--device", setup.device.type, "--iterations-only"]
    tiny = ["--tiny"] * (setup.image_size < 32)
    processes = [
        subprocess.Popen([*command, *tiny], cwd=REPOSITORY, stdout=subprocess.PIPE, text=True) for _ in range(count)
    ]
    return {"processes": count, "it/s": sum(float(one.communicate()[0].split()[-1]) for one in processes)}


class Profiled(pl.Callback):
    """Kernels of the iterations after the warm-up."""

    def __init__(self, setup: Setup) -> None:
        self.sizes, self.done = setup, 0
        self.profile = torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA])
        self.started = self.seconds = 0.0

    def on_train_batch_end(self, *_: Any) -> None:
        self.done += 1
        if self.done == self.sizes.warm_up:
            self.sizes.wait()
            self.profile.start()
            self.started = time.perf_counter()
        elif self.done == self.sizes.warm_up + self.sizes.timed:
            self.sizes.wait()
            self.seconds = time.perf_counter() - self.started
            self.profile.stop()

    def row(self) -> dict[str, Any]:
        kernels = [event for event in self.profile.events() or [] if event.device_type.name == "CUDA"]
        busy = sum(event.time_range.elapsed_us() for event in kernels) / 1e6
        return {
            "GPU busy": busy / self.seconds, "kernels an iteration": len(kernels) / self.sizes.timed,
            "ms an iteration": 1e3 * self.seconds / self.sizes.timed,
        }  # fmt: skip


def busy(setup: Setup) -> Tables:
    """The share of time in which a kernel runs (1: bound by arithmetic; far below: by launches), and their number."""
    if not setup.on_gpu:
        return {"": []}
    rows: list[Row] = []
    for name, trainer in {"SN": {}, "SN, bf16": BF16}.items():
        profiled = Profiled(setup)
        train(setup, setup.pair(setup.wide), setup.warm_up + setup.timed, callbacks=[profiled], trainer=trainer)
        rows.append({"": name} | profiled.row())
    return {"": rows}


def seconds_on(setup: Setup, act: Callable[[], object], repetitions: int = 3) -> float:
    """The median, after one to warm up."""

    def once() -> float:
        setup.wait()
        started = time.perf_counter()
        act()
        setup.wait()
        return time.perf_counter() - started

    once()
    return medians({"": [once() for _ in range(repetitions)]})[""]


def regularization(setup: Setup) -> Tables:
    """Seconds of one application of SR to all layers of D, its decompositions by themselves, and training under it."""
    discriminators = DISCRIMINATORS if setup.on_gpu else {"tiny": partial(ResNetDiscriminator, 8, 4)}
    applications: list[Row] = [
        {"D": name, "spectrum": kind} | _application(setup, make, kind)
        for name, make in discriminators.items()
        for kind in ("initial", "collapsed")
    ]
    methods = {
        "SR-s": METHODS["sr-s"](), "SR-d": METHODS["sr-d"](),
        "reparametrization": METHODS["sr-s"](mode="reparametrization")
    }  # fmt: skip
    training: list[Row] = [{"A_64-128 under": name} | timed(setup, constraint=make) for name, make in methods.items()]
    return {
        "One application": applications,
        "Decompositions in float64": list(_decompositions(setup)),
        "In training (SR on the authors' schedule)": training,
    }


def _application(setup: Setup, make: Callable[[], Any], kind: str) -> dict[str, Any]:
    torch.manual_seed(0)
    module = make()
    with torch.no_grad():
        prepare(module, kind)
    module.to(setup.device)
    given = {name: value.clone() for name, value in module.state_dict().items()}

    def apply(method: str) -> None:
        module.load_state_dict(given)
        METHODS[method]().after_update(module, 0, 0, 1)

    return {
        **{method: seconds_on(setup, partial(apply, method)) for method in ("sr-s", "sr-d")},
        "reading spectra": seconds_on(setup, lambda: spectra(module)),
    }


def _decompositions(setup: Setup) -> Iterator[Row]:
    sizes = ((7, 128, 128), (1, 256, 256), (1, 512, 512), (3, 1024, 1024)) if setup.on_gpu else ((2, 8, 8),)
    for shape in sizes:
        W = torch.randn(shape, dtype=torch.float64, device=setup.device)
        A = W @ W.mT
        acts: dict[str, Callable[[], object]] = {
            "eigh": partial(torch.linalg.eigh, A),
            "eigh, one by one": lambda A=A: [torch.linalg.eigh(one) for one in A],  # type: ignore[misc]
            "eigh on the CPU, with copies": lambda A=A: [x.to(A.device) for x in torch.linalg.eigh(A.cpu())],  # type: ignore[misc]
        }
        for driver in (None, "gesvd", "gesvda") if setup.on_gpu else (None,):
            acts[f"SVD, {driver or 'default'}"] = partial(_svd, W, driver)
        yield {"matrices": "x".join(map(str, shape))} | {name: seconds_on(setup, act) for name, act in acts.items()}
    yield _error(setup)


def _svd(W: Tensor, driver: str | None) -> object:
    return torch.linalg.svd(W, full_matrices=False, driver=driver)


def _error(setup: Setup) -> dict[str, Any]:
    """Of sigma down to 1e-6 beside the CPU's SVD."""
    spectrum = torch.logspace(0, -6, 64, dtype=torch.float64)
    U, V = (torch.linalg.qr(torch.randn(64, 64, dtype=torch.float64))[0] for _ in range(2))
    W = ((U * spectrum) @ V.T).to(setup.device)
    error = (torch.linalg.svdvals(W).cpu() / spectrum - 1).abs().max()
    return {"matrices": "relative error of sigma down to 1e-6", "SVD, default": float(error)}


def whole_runs(setup: Setup) -> Tables:
    """`srgan fit` as a process with every recorder; SIGTERM on the way, then the same command again."""
    with tempfile.TemporaryDirectory() as temporary:
        folder, run = random_images(Path(temporary) / "images", 300, setup.image_size), Path(temporary) / "run"
        length = 300  # long enough to be stopped on the way
        command = [
            "fit", "-c", "folder", "-c", "sr-s", "--data.init_args.path", str(folder), "--run", str(run),
            "--data.init_args.image_size", str(setup.image_size), "--model.iterations", str(length),
            "--data.init_args.batch_size", str(setup.batch_size), "--model.compile", "false",
            "--model.networks.init_args.discriminator_channels", str(setup.narrow[0]),
            "--model.networks.init_args.generator_channels", str(setup.narrow[1]),
            "--scores.every", str(length // 2), "--scores.features", "classifier",
            "--scores.protocol.num_fake_images", "100", "--scores.protocol.num_real_images", "100",
            "--scores.final.num_fake_images", "100", "--spectra.every", "50", "--outputs.every", str(length // 2),
            "--samples.every", str(length // 2), "--checkpoints.every", "50",
            "--trainer.accelerator", "gpu" if setup.on_gpu else "cpu",
        ]  # fmt: skip
        env = os.environ | {"SRGAN_CACHE": temporary, "PYTHONWARNINGS": "ignore"}
        start = partial(subprocess.Popen, [sys.executable, "-m", "srgan", *command], cwd=REPOSITORY, env=env, text=True)
        first = start(stdout=subprocess.DEVNULL)
        _when_under_way(run, length // 30, first)
        first.send_signal(signal.SIGTERM)
        rows: list[Row] = [{"": "with SIGTERM", "exit status": first.wait(), "expected": 128 + signal.SIGTERM}]
        rows.append({"": "again", "exit status": start(stdout=subprocess.DEVNULL).wait(), "expected": 0})
        record = json.loads((run / "run.json").read_text())
    kept = ("status", "resumed_at", "seconds", "peak_memory", "hardware")
    return {"": rows, "run.json": [{"": key, "found": str(record.get(key))} for key in kept]}


def _when_under_way(run: Path, iteration: int, process: "subprocess.Popen[str]") -> None:
    """Waits until a run has come so far, or has ended."""
    while process.poll() is None:
        progress = run / "progress.json"
        if progress.exists() and json.loads(progress.read_text())["iteration"] >= iteration:
            return
        time.sleep(0.05)


def data(setup: Setup) -> Tables:
    """Whether images come fast enough: the loader by itself beside an iteration, and copies to the GPU."""
    from srgan.data import DigitsData

    loader = DigitsData(setup.image_size, setup.batch_size, 5)
    seconds = seconds_on(setup, lambda: [loader.batch(iteration) for iteration in range(10)]) / 10
    row: dict[str, Any] = {"batches of an iteration, a second": 1 / seconds}
    if setup.on_gpu:
        block = torch.empty(2**28, dtype=torch.uint8).pin_memory()
        row["copies, GB/s"] = block.numel() / 1e9 / seconds_on(setup, lambda: block.to(setup.device))
    return {"": [row]}


def imagenet(setup: Setup) -> Tables:
    """The 128 x 128 nets, one micro-batch of 32: seconds of an iteration with two updates of D, and memory."""
    size, channels = setup.pyramid
    networks = ResNetPair(size, channels, channels, widths="pyramid")
    batch = 32 if setup.on_gpu else 2
    rows: list[Row] = [
        {"precision": precision}
        | timed(setup, networks, n_dis=2, batch_size=batch, trainer={"precision": precision}, normalize_generator=True)
        for precision in ("32-true", "bf16-mixed")
    ]
    return {"": rows}


def compiled(setup: Setup) -> Tables:
    """`--model.compile` on A_64-128: seconds to the first iteration, then iterations a second, and recompilations."""
    if not setup.on_gpu:
        return {"": []}
    rows: list[Row] = []
    for name in ("sn", "sr-s"):
        for trainer in ({}, BF16):
            torch._dynamo.reset()
            row = timed(setup, constraint=METHODS[name](), compile=True, trainer=trainer)
            recompiled = sum(torch._dynamo.utils.counters["recompiles"].values())
            rows.append({"": f"{name}, {trainer.get('precision', 'float32')}"} | row | {"recompiled": recompiled})
    return {"": rows}


def several_gpus(setup: Setup) -> Tables:
    """`srgan fit` over all GPUs under DDP and SR-s: whether it ends well, and its seconds, start-up included."""
    count = torch.cuda.device_count() if setup.on_gpu else 1
    if count < 2:
        return {"": []}
    with tempfile.TemporaryDirectory() as temporary:
        command = [
            "fit", "-c", "digits", "-c", "sr-s", "--run", f"{temporary}/run", "--model.iterations", "60",
            "--data.init_args.batch_size", str(16 * count), "--model.micro_batch_size", "16", "--scores.every", "0",
            "--trainer.accelerator", "gpu", "--trainer.devices", str(count), "--trainer.strategy", "ddp",
        ]  # fmt: skip
        status = subprocess.run([sys.executable, "-m", "srgan", *command], cwd=REPOSITORY, check=False).returncode
        record = json.loads((Path(temporary) / "run" / "run.json").read_text())
    return {"": [{"GPUs": count, "exit status": status, "status": record["status"], "seconds": record.get("seconds")}]}
