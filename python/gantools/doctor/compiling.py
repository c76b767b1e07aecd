"""Whether torch.compile and CUDA graphs work, tried in processes of their own: a crash of one is a finding."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator

from gantools.doctor.lines import Line

#: Seconds that a check in a process of its own may take.
LIMIT = 180.0


def compile_and_graph() -> Iterator[Line]:
    """torch.compile, and CUDA graphs where there is a GPU, each in a process of its own."""
    import torch

    device = "cuda" if torch.cuda.is_available() else "cpu"
    why = in_child(f"import gantools.doctor.compiling as d; d.check_compiled({device!r})")
    facts = {"works": why is None, "device": device, "why": why}
    if why is None:
        yield Line("compile", "ok", f"torch.compile works on {device}.", None, facts)
    else:
        compiler = os.environ.get("CXX", "g++")
        hint = "Training runs as it is written instead, which is slower."
        if shutil.which(compiler) is None:
            hint += f" There is no {compiler}: apt-get install -y g++, or name a compiler by CXX."
        yield Line("compile", "note", f"torch.compile does not work on {device} ({why}).", hint, facts)
    if device == "cuda":
        why = in_child("import gantools.doctor.compiling as d; d.check_graph()")
        facts = {"works": why is None, "why": why}
        if why is None:
            yield Line("graph", "ok", "CUDA graphs work.", None, facts)
        else:
            hint = "Training runs without them, which is slower for small networks."
            yield Line("graph", "note", f"CUDA graphs do not work ({why}).", hint, facts)


def check_compiled(device: str) -> None:
    """Compile a small function with a gradient in it, as training does. ArithmeticError: its result is another."""
    import torch
    import torch._inductor.config as inductor
    from torch import Tensor

    from gantools.training.compiled import compiled_function

    def function(x: Tensor) -> Tensor:
        y = torch.nn.functional.leaky_relu(x @ x, 0.2).tanh().square().mean()
        return torch.autograd.grad(y, x)[0]

    inductor.cpp_cache_precompile_headers = False  # for one function that costs more than it saves
    x = torch.linspace(-1, 1, 64, device=device).reshape(8, 8).requires_grad_()
    found = compiled_function(function)(x)  # type: ignore[arg-type,call-arg]
    if not torch.allclose(found, function(x), rtol=1e-4, atol=1e-6):  # type: ignore[arg-type]
        raise ArithmeticError("the compiled function gives another result")


def check_graph() -> None:
    """Capture a CUDA graph and replay it with another input. ArithmeticError: its result is another."""
    import torch

    x = torch.zeros(8, device="cuda")
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        y = x * 2 + 1
    x.fill_(3)
    graph.replay()
    if y.tolist() != [7.0] * 8:
        raise ArithmeticError("a replayed graph gives another result")


_CHILD = """
try:
    {code}
except Exception as e:
    print()
    print((str(e).strip().splitlines() or [type(e).__name__])[0])
    raise SystemExit(1)
"""


def in_child(code: str, limit: float = LIMIT) -> str | None:
    """Run a line of Python in a process of its own, with empty caches of compiled code.

    Returns:
        None where it went well; else why not: its error, what ended it, or that it was still at work after `limit` s.
    """
    with tempfile.TemporaryDirectory(prefix="gantools-doctor-") as folder:
        places = {name: f"{folder}/{name}" for name in ("TORCHINDUCTOR_CACHE_DIR", "TRITON_CACHE_DIR")}
        paths = os.pathsep.join(path for path in sys.path if path)
        process = subprocess.Popen(
            [sys.executable, "-P", "-c", _CHILD.format(code=code)],
            env={**os.environ, **places, "PYTHONPATH": paths, "TORCHINDUCTOR_COMPILE_THREADS": "1"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            start_new_session=True,  # so that the compilers it starts end with it
        )
        try:
            out, err = process.communicate(timeout=limit)
        except subprocess.TimeoutExpired:
            return f"not done after {limit:g} seconds"
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.communicate()
    if process.returncode == 0:
        return None
    if process.returncode < 0:
        return f"the process was ended by {signal.Signals(-process.returncode).name}"
    lines = out.strip().splitlines() or err.strip().splitlines() or [f"exit code {process.returncode}"]
    return lines[-1].strip()[:300].rstrip(".")
