"""Versions, the native extension, torch, processor, memory and GPU."""

from __future__ import annotations

import os
import platform
import re
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from gantools import __version__, _native
from gantools.cache import size_words
from gantools.doctor.lines import Line, first_line

#: Less free memory than this ends in trouble with the smallest recipes already.
LITTLE_MEMORY = 2 << 30
#: Sets of instructions that the native extension chooses by when it runs, as Linux calls them.
INSTRUCTIONS = ("ssse3", "avx2", "bmi1", "bmi2", "avx512bw", "avx512vbmi", "avx512_vnni")
#: What Linux calls products of bfloat16 that a processor computes itself.
BFLOAT16 = ("amx_bf16", "avx512_bf16", "bf16")


def gantools() -> Iterator[Line]:
    """Versions and the system."""
    versions = {"gantools": __version__, "python": platform.python_version(), "numpy": np.__version__}
    words = ", ".join(f"{name} {version}" for name, version in versions.items())
    system = f"{platform.system()} {platform.machine()}"
    yield Line("versions", "ok", f"{words}, {system}.", None, {**versions, "system": system})


def extension() -> Iterator[Line]:
    """The native extension, and whether it reads what it wrote."""
    pixels = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
    whole = np.array_equal(_native.decode(_native.encode_png(pixels), alpha="drop"), pixels)
    has = [name for name in INSTRUCTIONS if name in _flags()]
    facts = {"formats": list(_native.IMAGE_FORMATS), "instructions": has}
    if not whole:
        again = "Install gantools again: pip install --force-reinstall --no-deps gantools"
        yield Line("extension", "problem", "a PNG that it wrote is read with other pixels.", again, facts)
        return
    chooses = f"chooses by what the processor has: {', '.join(has)}" if has else "uses plain instructions"
    yield Line("extension", "ok", f"reads {', '.join(_native.IMAGE_FORMATS)}; {chooses}.", None, facts)


def torch_itself() -> Iterator[Line]:
    """torch, and whether it computes a gradient."""
    try:
        import torch

        with torch.enable_grad():
            x = torch.from_numpy(np.ones((2, 2), np.float32)).requires_grad_()
            (gradient,) = torch.autograd.grad((x @ x).sum(), x)
        right = gradient.numpy().tolist() == [[4.0, 4.0], [4.0, 4.0]]
    except Exception as e:  # a broken library raises OSError, a missing one ImportError, another numpy RuntimeError
        again = "Install it again: pip install --force-reinstall torch numpy"
        yield Line("torch", "problem", f"cannot be used ({first_line(e)}).", again)
        return
    if not right:
        yield Line("torch", "problem", f"{torch.__version__} computes a wrong gradient.", "pip install -U torch")
        return
    capability = torch.backends.cpu.get_cpu_capability()
    facts = {"torch": torch.__version__, "cpu_capability": capability}
    yield Line("torch", "ok", f"{torch.__version__}, on the processor by {capability}.", None, facts)


def cores() -> Iterator[Line]:
    """The processor, and how much of it is used."""
    import torch

    cores, threads = len(os.sched_getaffinity(0)), torch.get_num_threads()
    facts = {"cores": os.cpu_count(), "usable": cores, "torch_threads": threads, "processor": _processor()}
    text = f"{_processor()}: {cores} cores to use of {os.cpu_count()}, torch takes {threads}"
    if threads < cores and (named := os.environ.get("OMP_NUM_THREADS")):
        yield Line("cores", "note", f"{text} (OMP_NUM_THREADS={named}).", "To use all: unset OMP_NUM_THREADS", facts)
    else:
        yield Line("cores", "ok", f"{text}.", None, facts)


def memory() -> Iterator[Line]:
    """What is free of the memory."""
    import torch

    from gantools.device import free_memory

    free = free_memory(torch.device("cpu"))
    if free is None:
        yield Line("memory", "note", "the system does not say how much is free.")
    elif free < LITTLE_MEMORY:
        hint = "End other programs, or take a smaller batch: gantools train RECIPE --batch 16"
        yield Line("memory", "note", f"only {size_words(free)} free.", hint, {"free": free})
    else:
        yield Line("memory", "ok", f"{size_words(free)} free.", None, {"free": free})


def cuda() -> Iterator[Line]:
    """Every GPU, or why there is none to use."""
    import torch

    driver = _driver()
    facts: dict[str, Any] = {"built_for": torch.version.cuda, "driver": driver, "devices": []}
    with warnings.catch_warnings():  # torch warns of what is asked here
        warnings.simplefilter("ignore")
        available = torch.cuda.is_available()
    if not available:
        yield _no_cuda(torch.version.cuda, driver, facts)
        return
    for i in range(torch.cuda.device_count()):
        of = torch.cuda.get_device_properties(i)
        device = {"name": of.name, "capability": f"{of.major}.{of.minor}", "memory": of.total_memory}
        words = f"cuda:{i} {of.name}, capability {of.major}.{of.minor}, {size_words(of.total_memory)}"
        words += f"; torch for CUDA {torch.version.cuda}, driver {driver or 'unknown'}"
        try:
            x = torch.ones(1, 1, 8, 8, device=f"cuda:{i}")
            right = float((torch.nn.functional.conv2d(x, x) + x.flatten() @ x.flatten()).sum()) == 128.0
            why = "it computes wrong sums"
        except RuntimeError as e:
            right, why = False, first_line(e)
        if right:
            free = torch.cuda.mem_get_info(i)[0]
            yield Line("cuda", "ok", f"{words}.", None, {**facts, "devices": [{**device, "free": free}]})
        else:
            hint = "Use the processor (gantools train RECIPE --device cpu), or a torch for this GPU from pytorch.org."
            yield Line("cuda", "problem", f"{words}: cannot be used ({why}).", hint, {**facts, "devices": [device]})


def _no_cuda(built_for: str | None, driver: str | None, facts: dict[str, Any]) -> Line:
    import torch

    hint: str | None = None
    there = driver is not None or Path("/dev/nvidia0").exists()
    if built_for is None:
        if not there:
            return Line("cuda", "note", "no GPU, and a torch without CUDA; all runs on the processor.", None, facts)
        hint = "Install a torch with CUDA: https://pytorch.org/get-started says which command."
        return Line("cuda", "note", "there is an NVIDIA driver, but this torch was built without CUDA.", hint, facts)
    try:
        torch.zeros(1, device="cuda")
        why = "torch does not say why"
    except Exception as e:  # RuntimeError or AssertionError, and what torch may raise tomorrow
        why = first_line(e).rstrip(".")
    hidden = os.environ.get("CUDA_VISIBLE_DEVICES")
    if hidden is not None and there:
        hint = f"CUDA_VISIBLE_DEVICES={hidden} chooses the GPUs: unset CUDA_VISIBLE_DEVICES"
    elif there:
        hint = "Type nvidia-smi: where it fails too, the driver has to be installed."
    text = f"none to use, all runs on the processor; torch for CUDA {built_for} says: {why}."
    return Line("cuda", "note", text, hint, {**facts, "why": why})


def bfloat16() -> Iterator[Line]:
    """Whether products of bfloat16 are computed as such."""
    import torch

    by = [name for name in BFLOAT16 if name in _flags()]
    gpu = torch.cuda.is_available()
    fast = torch.cuda.is_bf16_supported(including_emulation=False) if gpu else bool(by)
    facts = {"gpu": fast if gpu else None, "processor": by}
    where = "the GPU" if gpu else "the processor"
    if fast:
        how = "" if gpu else f" ({', '.join(by)})"
        yield Line("bfloat16", "ok", f"{where} computes it{how}.", None, facts)
    else:
        hint = "Stay with float32, or have it measured: gantools train RECIPE --precision auto"
        yield Line("bfloat16", "note", f"{where} does not compute it itself, which is slower.", hint, facts)


def _cpuinfo(*keys: str) -> str:
    """The value of the first of some keys in what Linux says of the processor; empty where it does not."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    found = re.search(rf"^(?:{'|'.join(keys)})\s*:\s*(.*)$", text, re.M)
    return found[1].strip() if found else ""


def _flags() -> set[str]:
    return set(_cpuinfo("flags", "Features").split())


def _processor() -> str:
    return _cpuinfo("model name") or platform.machine()


def _driver() -> str | None:
    """The version of NVIDIA's driver; None where none is loaded."""
    try:
        text = Path("/proc/driver/nvidia/version").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    found = re.search(r"\b\d{3}(?:\.\d+)+\b", text)
    return found[0] if found else "unknown"
