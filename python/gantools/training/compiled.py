"""A phase as a pure function of loss and gradients: plain, compiled, or as a CUDA graph, checked against each other."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor, nn

from gantools.models.system import Batch, Networks, Phase, Scalars

# Gradients of a compiled phase must agree with the plain ones to this share of the largest.
TOLERANCE = 1e-3
# In bfloat16 the compiler keeps more bits between two products than the plain form: they agree to its precision only.
TOLERANCE_BFLOAT16 = 5e-2
# Plain steps before a CUDA graph is captured: libraries choose their kernels in the first.
WARM_UP = 3


class Computed(NamedTuple):
    """What a phase computes of some rows; `gradients` has one a trained parameter, None for those it does not use."""

    means: Mapping[str, Tensor]
    rows: Mapping[str, Tensor]
    gradients: tuple[Tensor | None, ...]


Function = Callable[[Networks, Batch, Scalars], Computed]


def trained_parameters(networks: Networks, phase: Phase) -> list[nn.Parameter]:
    """The parameters that `phase` changes, in the order of its networks."""
    return [p for name in phase.updates for p in networks[name].parameters() if p.requires_grad]


def plain(phase: Phase, device: torch.device, bfloat16: bool) -> Function:
    """Loss and gradients of `phase` as a function that changes no parameter and no `.grad`.

    Gradients are asked for the phase's own networks alone, which computes no foreign ones; a function without side
    effects compiles to one graph and can be captured.
    """
    gain = phase.every if phase.lazy else 1

    def compute(networks: Networks, batch: Batch, scalars: Scalars) -> Computed:
        with torch.autocast(device.type, torch.bfloat16, enabled=bfloat16):
            out = phase.loss(networks, batch, scalars)
        parameters = trained_parameters(networks, phase)
        value = out.value * gain if gain != 1 else out.value
        # A parameter may be unused, as the last bias in a penalty of gradients; it is then not moved.
        found = torch.autograd.grad(value, parameters, allow_unused=True)
        return Computed(out.means, out.rows, found)

    return compute


class Compiled:
    """A phase that is compiled at its first use, and used so where it agrees with the plain form.

    Args:
        phase: what to compute.
        device: where.
        bfloat16: whether under autocast.
        graph: capture a CUDA graph of it as well.
        say: called with a line that says what runs and why not.
    """

    def __init__(
        self, phase: Phase, device: torch.device, bfloat16: bool, graph: bool, say: Callable[[str], None]
    ) -> None:
        self.phase, self.device, self.say = phase, device, say
        self.tolerance = TOLERANCE_BFLOAT16 if bfloat16 else TOLERANCE
        self.graph = graph and device.type == "cuda"
        self.eager = plain(phase, device, bfloat16)
        self.run: Function | None = None
        self.uses = 0
        self.captured: _Graph | None = None

    def __call__(self, networks: Networks, batch: Batch, scalars: Scalars) -> Computed:
        """Loss and gradients of these rows."""
        if self.run is None:
            self.run = self._compile(networks, batch, scalars)
        if self.captured is not None and self.captured.fits(batch):
            return self.captured.replay(batch)
        self.uses += 1
        if self.graph and self.uses == WARM_UP:
            self._capture(networks, batch, scalars)
            if self.captured is not None:
                return self.captured.replay(batch)
        return self.run(networks, batch, scalars)

    def _compile(self, networks: Networks, batch: Batch, scalars: Scalars) -> Function:
        """The compiled form where it agrees with the plain one on this batch, else the plain one."""
        compiled = compiled_function(self.eager)
        try:
            with untouched(networks):
                expected = _again(self.device, lambda: self.eager(networks, batch, scalars))
            with untouched(networks):
                found = _again(self.device, lambda: compiled(networks, batch, scalars))
            apart, scale = difference(found, expected)
            if not apart <= self.tolerance * scale:
                raise ArithmeticError(f"its gradients are {apart:.1e} off, of {scale:.1e}")
        except Exception as e:  # whatever the compiler raises: the plain form is always there
            reason = (str(e).strip().splitlines() or [type(e).__name__])[0][:120]
            self.say(f"phase {self.phase.name}: not compiled ({type(e).__name__}: {reason})")
            return self.eager
        self.say(
            f"phase {self.phase.name}: compiled, gradients within {apart / max(scale, 1e-30):.0e} of the plain ones"
        )
        return compiled

    def _capture(self, networks: Networks, batch: Batch, scalars: Scalars) -> None:
        assert self.run is not None
        try:
            with untouched(networks):
                expected = _again(self.device, lambda: self.run(networks, batch, scalars))  # type: ignore[misc]
            with untouched(networks):
                captured = _Graph(self.run, networks, batch, scalars)
                found = _again(self.device, lambda: captured.replay(batch))
            apart, scale = difference(found, expected)
            if not apart <= self.tolerance * scale:
                raise ArithmeticError(f"its gradients are {apart:.1e} off, of {scale:.1e}")
            self.captured = captured
            self.say(f"phase {self.phase.name}: runs as a CUDA graph")
        except Exception as e:
            reason = (str(e).strip().splitlines() or [type(e).__name__])[0][:120]
            self.say(f"phase {self.phase.name}: no CUDA graph ({type(e).__name__}: {reason})")
            self.graph = False


def compiled_function(function: Function) -> Function:
    """`function` through torch.compile, as one graph a phase that draws the same random numbers."""
    import torch._dynamo as dynamo
    import torch._inductor.config as inductor

    if hasattr(dynamo.config, "trace_autograd_ops"):
        dynamo.config.trace_autograd_ops = True  # without it a gradient within the function is silently not compiled
    inductor.fallback_random = True  # the plain form's generator: on and off then draw alike
    # Phases share one code object, and the ninth would be over the limit of recompilations.
    dynamo.config.recompile_limit = max(256, dynamo.config.recompile_limit)
    return torch.compile(function, fullgraph=True, dynamic=False)


class untouched:
    """Within it buffers may change (batch normalisation's do); afterwards they are as before."""

    def __init__(self, networks: Networks) -> None:
        self.buffers = [b for network in networks.values() for b in network.buffers()]

    def __enter__(self) -> None:
        self.before = [b.clone() for b in self.buffers]

    def __exit__(self, *error: object) -> None:
        for buffer, before in zip(self.buffers, self.before, strict=True):
            buffer.data.copy_(before)


def _again(device: torch.device, compute: Callable[[], Computed]) -> Computed:
    """`compute()` under the present random state, which is left as it was; what it gives is copied."""
    cpu = torch.get_rng_state()
    cuda = torch.cuda.get_rng_state(device) if device.type == "cuda" else None
    found = compute()
    copied = Computed(
        {k: v.clone() for k, v in found.means.items()},
        {k: v.clone() for k, v in found.rows.items()},
        tuple(None if g is None else g.clone() for g in found.gradients),
    )
    torch.set_rng_state(cpu)
    if cuda is not None:
        torch.cuda.set_rng_state(cuda, device)
    return copied


def difference(found: Computed, expected: Computed) -> tuple[float, float]:
    """The largest difference of two phases' gradients, and the largest gradient."""
    apart, scale = 0.0, 0.0
    for ours, theirs in zip(found.gradients, expected.gradients, strict=True):
        if (ours is None) != (theirs is None):
            return float("inf"), 1.0
        if ours is not None and theirs is not None and theirs.numel():
            # Written so that a number that is not finite is never within the tolerance.
            worst = float((ours.float() - theirs.float()).abs().max())
            apart = worst if not worst <= apart else apart
            scale = max(scale, float(theirs.float().abs().max()))
    return apart, scale


class _Graph:
    """Loss and gradients of a phase as one CUDA graph over its own copies of batch and outputs.

    Re-seeding the default generator between replays changes the draws: the kernels hold pointers to its seed and
    offset, which a replay fills anew.
    """

    def __init__(self, run: Function, networks: Networks, batch: Batch, scalars: Scalars) -> None:
        self.static = _copied(batch)
        side = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(WARM_UP):
                run(networks, self.static, scalars)
        torch.cuda.current_stream().wait_stream(side)
        self.graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self.graph):
            self.out = run(networks, self.static, scalars)

    def fits(self, batch: Batch) -> bool:
        """Whether `batch` has the shapes that were captured."""
        mine, theirs = _tensors(self.static), _tensors(batch)
        return mine.keys() == theirs.keys() and all(mine[k].shape == theirs[k].shape for k in mine)

    def replay(self, batch: Batch) -> Computed:
        """The same work on `batch`. What it gives is overwritten by the next replay."""
        theirs = _tensors(batch)
        for name, tensor in _tensors(self.static).items():
            tensor.copy_(theirs[name], non_blocking=True)
        self.graph.replay()
        return self.out


def _tensors(batch: Batch) -> dict[str, Tensor]:
    named = {"images": batch.images, "labels": batch.labels, "inputs": batch.inputs, "rows": batch.rows}
    return {k: v for k, v in named.items() if v is not None} | {f"extras.{k}": v for k, v in batch.extras.items()}


def _copied(batch: Batch) -> Batch:
    def copy(tensor: Tensor | None) -> Tensor | None:
        return None if tensor is None else tensor.clone()

    return replace(
        batch,
        images=batch.images.clone(),
        labels=copy(batch.labels),
        inputs=copy(batch.inputs),
        rows=copy(batch.rows),
        extras={k: v.clone() for k, v in batch.extras.items()},
    )
