"""What a process that trains on a CPU sets."""

import platform
import subprocess
import sys

import pytest
import torch

PROGRAM = """
import resource, torch
from srgan.utils.cpu import keep_freed_memory

def page_faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(8):
        torch.ones(100 << 18)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

before = page_faults()
assert keep_freed_memory()
for _ in range(4):  # some blocks more than are in use at once, before all fit
    page_faults()
print(before, page_faults())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library manages memory by rules of its own")
def test_freed_memory_is_used_again() -> None:
    """In a process of its own, which nobody has told yet: eight tensors of 100 MB, each freed before the next."""
    done = subprocess.run([sys.executable, "-c", PROGRAM], check=True, capture_output=True, text=True)
    by_default, kept = map(int, done.stdout.split())
    assert by_default > 0  # each is fetched anew: the problem is there
    assert kept < by_default / 10


LOOKING_FOR_GPUS = """
import pytorch_lightning, torch
from srgan.utils.cpu import settle_on_cpu

looked = []
look = torch.cuda._raw_device_count_nvml
torch.cuda._raw_device_count_nvml = lambda: looked.append(1) or look()
weight = torch.ones(1, requires_grad=True)
weight.grad = torch.ones(1)
optimizer = torch.optim.Adam([weight], fused=True)
optimizer.step()
before = len(looked)
settle_on_cpu()
optimizer.step()
print(before, len(looked) - before)
"""


@pytest.mark.skipif(torch.cuda.is_available(), reason="where there is a GPU, PyTorch remembers how many")
def test_an_optimizer_step_on_a_cpu_looks_for_no_gpu() -> None:
    """Importing Lightning makes each step look (the problem is there); a process that settled on the CPU does not."""
    done = subprocess.run([sys.executable, "-c", LOOKING_FOR_GPUS], check=True, capture_output=True, text=True)
    before, after = map(int, done.stdout.split())
    assert before > 0
    assert after == 0
