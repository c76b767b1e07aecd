"""A trained generator as an ONNX file, which other programs run without gantools and without torch.

Inputs are `latents` float32 (n, latent), with `labels` int64 (n,) where the networks know classes, or `images` float32
(n, c, h, w) in [-1, 1]; the output is `output`, float32 (n, c, h, w), cut off to [-1, 1]. Numbers of a user's choice
(truncation and the like) are fixed in the file. Needs torch's exporter, which needs onnx and onnxscript.
"""

from __future__ import annotations

import contextlib
import copy
import io
import json
import logging
import re
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from gantools import __version__
from gantools.errors import ConfigError, DataError, GantoolsError
from gantools.files import atomic_write
from gantools.levels import to_uint8
from gantools.models.system import System, classes_of
from gantools.sampling.generator import Generator
from gantools.sampling.latents import latents

OUTPUT = "output"
# Batches that the file is compared at, and grey levels of 255 that it may be off by.
BATCHES, LEVELS = (1, 5, 64), 1
# What protocol buffers hold, with room for the graph.
MOST_BYTES = 2_000_000_000
# Of a library's words in a message.
SHOWN = 160

log = logging.getLogger(__name__)


def export_onnx(
    run: str | Path | None,
    file: str | Path,
    *,
    checkpoint: str | float = "last",
    controls: Mapping[str, float] | None = None,
    overwrite: bool = False,
) -> Path:
    """Write the generator of a run as an ONNX file, compared with torch before it appears.

    Args:
        run: as in `Generator.load`.
        file: to make.
        checkpoint: of the run: "last", "best", or the thousands of images shown.
        controls: the system's controls by name, fixed in the file; their defaults where not given.
        overwrite: replace `file` when gantools wrote it.

    Returns:
        `file`.

    Raises:
        CheckpointError: no such run, or its checkpoint is damaged.
        ConfigError: a library is missing, no such control, or a generator that cannot be exported.
        DataError: `file` exists.
        GantoolsError: the images of the file are not those of torch.
    """
    libraries = _libraries()
    target = Path(file)
    _check_place(target, libraries.onnx, overwrite)
    generator = Generator.load(run, checkpoint, device="cpu")
    return write_onnx(generator, target, controls=controls)


def write_onnx(generator: Generator, target: Path, *, controls: Mapping[str, float] | None = None) -> Path:
    """As `export_onnx`, of a generator on the CPU; what is at `target` is replaced."""
    libraries = _libraries()
    if (frames := getattr(generator.recipe.network, "frames", 1)) > 1:
        raise _refused(generator, _NotTraceable(f"it takes {frames} frames at once"))
    subject = _Subject(generator, generator.controls(controls))
    size = sum(v.nbytes for network in generator.networks.values() for v in network.state_dict().values())
    if size > MOST_BYTES:
        raise ConfigError(
            f"{generator.run}: {size / 2**30:.1f} GiB of weights, and one ONNX file holds 2 GiB at most.",
            "gantools export RUN --hub FOLDER has no such limit.",
        )
    if generator.system.guides:
        needed = " and ".join(generator.system.guides)
        raise ConfigError(
            f"{generator.run}: {generator.recipe.model} needs {needed} of each image, which an ONNX file is not given.",
            "gantools export RUN --hub FOLDER keeps all of it.",
        )
    # Before the export, which asks for what the system would refuse.
    subject.rendered(subject.start(1))
    free = ("height", "width") if subject.system.takes == "images" else ()
    try:
        program, fixed = _traced(subject, free), ""
    except _NotTraceable as e:
        if not free:
            raise _refused(generator, e) from e
        fixed = str(e)
        try:
            program = _traced(subject, ())
        except _NotTraceable as again:
            raise _refused(generator, again) from again
    if not fixed and free and not all(isinstance(dim, str) for dim in _input_sides(program)):
        fixed = "the graph holds them"
    if fixed:
        h, w = subject.shape[1:]
        log.warning("%s: images of %dx%d pixels alone: %s.", target, h, w, fixed)
    _describe(program, subject, libraries.onnx)
    target.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(target) as f:
        f.write(program.SerializeToString())
        f.flush()
        _compare(Path(f.name), subject, libraries.onnxruntime, sides_too=bool(free and not fixed))
    return target


@dataclass(frozen=True)
class _Libraries:
    onnx: ModuleType
    onnxruntime: ModuleType


def _libraries() -> _Libraries:
    try:
        import onnx
        import onnxruntime
        import onnxscript  # noqa: F401  (torch asks for it late)
    except ImportError as e:
        raise ConfigError(
            f"writing ONNX needs {e.name}, which is not installed.", "pip install 'gantools[onnx]'"
        ) from None
    return _Libraries(onnx, onnxruntime)


def _check_place(target: Path, onnx: ModuleType, overwrite: bool) -> None:
    if not target.exists():
        return
    if not overwrite:
        raise DataError(
            f"{target}: exists already.", "Replace it with --overwrite, or choose another file with --onnx FILE."
        )
    try:
        ours = target.is_file() and any(p.key == "gantools" for p in onnx.load(target).metadata_props)
    except Exception:  # whatever the parser of another kind of file raises
        ours = False
    if not ours:
        raise DataError(
            f"{target}: is no ONNX file of gantools; not replacing it.", "Choose another file with --onnx FILE."
        )


class _Subject:
    """What is exported, and how to call it."""

    def __init__(self, generator: Generator, controls: Mapping[str, float]) -> None:
        self.generator, self.controls = generator, dict(controls)
        self.system: System = generator.system
        self.classes = classes_of(generator.recipe.network)
        self.shape: tuple[int, ...]
        if self.system.takes == "images":
            h, w, c = generator.recipe.network.input_shape
            self.names, self.shape = ["images"], (c, h, w)
            # What the sides of an image must be multiples of.
            self.multiple = int(getattr(generator.recipe.network, "multiple", 1))
        else:
            self.names, self.shape = ["latents"], (int(generator.network.latent),)  # type: ignore[arg-type]
            if self.classes:
                self.names.append("labels")

    def start(self, n: int, larger: int = 0) -> tuple[Tensor, ...]:
        """Inputs of `n` images; of images whose sides are larger by `larger` and by twice as much."""
        if self.system.takes == "images":
            c, h, w = self.shape
            numbers = np.random.default_rng(n)
            levels = numbers.integers(0, 256, (n, c, h + larger, w + 2 * larger)).astype(np.float32)
            return (torch.from_numpy(levels / np.float32(127.5) - 1),)
        z = torch.from_numpy(latents(0, 0, n, self.shape[0]))
        return (z, torch.arange(n) % self.classes) if self.classes else (z,)

    @torch.no_grad()
    def rendered(self, inputs: tuple[Tensor, ...]) -> NDArray[np.uint8]:
        """Levels of torch's images, uint8 (n, c, h, w)."""
        labels = inputs[1] if len(inputs) > 1 else None
        made = self.system.render(self.generator.networks, inputs[0], labels, self.controls)
        levels: NDArray[np.uint8] = to_uint8(made).numpy()
        return levels


class _Rendering(nn.Module):
    """A system's `render` as a module, with its networks, and controls that are fixed."""

    def __init__(self, subject: _Subject) -> None:
        super().__init__()
        # A copy in the plain layout, because it is changed.
        networks = {name: copy.deepcopy(network) for name, network in subject.generator.networks.items()}
        self.networks = nn.ModuleDict(networks).to(memory_format=torch.contiguous_format)
        self.system, self.controls = subject.system, subject.controls
        for module in self.networks.modules():
            _settle(module)

    def forward(self, start: Tensor, labels: Tensor | None = None) -> Tensor:
        """Images in [-1, 1]."""
        return self.system.render(dict(self.networks.items()), start, labels, self.controls).clamp(-1.0, 1.0)


class _Number(int):
    """A whole number that a network remembers, as a number of Python's: a graph is traced for this one."""

    def item(self) -> int:
        """As of a tensor."""
        return int(self)


def _settle(module: nn.Module) -> None:
    """Make numbers of the buffers that hold a single whole one, such as a level of growth: they decide the graph."""
    for name, value in list(module._buffers.items()):
        if value is not None and value.dim() == 0 and not value.is_floating_point():
            del module._buffers[name]
            module.__dict__[name] = _Number(int(value))


class _NotTraceable(Exception):
    """No graph can be made of a network; the message says why, in one line."""


def _refused(generator: Generator, reason: _NotTraceable) -> ConfigError:
    return ConfigError(
        f"{generator.run}: the generator of {generator.recipe.model} cannot be exported as ONNX: {reason}.",
        "gantools export RUN --hub FOLDER writes it for gantools.",
    )


def _traced(subject: _Subject, free: tuple[str, ...]) -> Any:
    """The ONNX program of a subject, any number of images at once, with sides `free` or as in training."""
    inputs = subject.start(2)
    axes: list[dict[int, str]] = [{0: "batch"} for _ in inputs]
    axes[0] |= {2 + i: name for i, name in enumerate(free)}
    if free:
        # Two sides of one length would be taken for one.
        inputs = subject.start(2, subject.multiple)
    module = _Rendering(subject).eval().requires_grad_(False)
    try:
        with _quietly():
            found = torch.onnx.export(
                module,
                inputs,
                input_names=subject.names,
                output_names=[OUTPUT],
                dynamic_shapes=tuple(axes),
                dynamo=True,
                verbose=False,
            )
        assert found is not None
        return found.model_proto
    except Exception as e:  # the exporter and the code it traces raise what they like
        raise _NotTraceable(_reason(e)) from e


def _reason(error: BaseException) -> str:
    """The first line of what was raised first, without colours."""
    while error.__cause__ is not None:
        error = error.__cause__
    if type(error).__name__ == "GuardOnDataDependentSymNode":
        return "its code goes one way or another by the value of a tensor"
    text = re.sub(r"\x1b\[[0-9;]*m", "", str(error)).strip().split("\n", 1)[0].strip().rstrip(".")
    return (text[:SHOWN] + "…" if len(text) > SHOWN else text) or type(error).__name__


@contextlib.contextmanager
def _quietly() -> Iterator[None]:
    """Without the exporter's progress, warnings and dumps of graphs; an error says what is wrong."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with (
            warnings.catch_warnings(),
            contextlib.redirect_stdout(io.StringIO()),
            contextlib.redirect_stderr(io.StringIO()),
        ):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def _input_sides(program: Any) -> list[str | int]:
    """Height and width of the first input, a name where it is free."""
    return [d.dim_param or int(d.dim_value) for d in program.graph.input[0].type.tensor_type.shape.dim[2:]]


def _describe(program: Any, subject: _Subject, onnx: ModuleType) -> None:
    """Write into the program what it is."""
    generator = subject.generator
    program.producer_name, program.producer_version = "gantools", __version__
    said = {
        "gantools": __version__,
        "recipe": generator.recipe.name,
        "model": generator.recipe.model,
        "kimg": f"{generator.nimg / 1000:g}",
        "range": "[-1, 1]",
        "layout": "NCHW",
        "controls": json.dumps(subject.controls),
        **({"classes": json.dumps(generator.classes)} if generator.classes else {}),
        **({"multiple": str(subject.multiple)} if subject.system.takes == "images" else {}),
    }
    onnx.helper.set_model_props(program, said)


def _compare(file: Path, subject: _Subject, onnxruntime: ModuleType, *, sides_too: bool) -> None:
    """Run a file and compare its images with torch's.

    Raises:
        GantoolsError: they are not the same, or the file cannot be run.
    """
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    where = ""
    try:
        session = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
        trials = [(n, 0) for n in BATCHES] + ([(1, subject.multiple)] if sides_too else [])
        for n, larger in trials:
            where = f"at {n} image{'s' * (n > 1)} at once" + (" of another size" if larger else "")
            inputs = subject.start(n, larger)
            fed = {name: value.numpy() for name, value in zip(subject.names, inputs, strict=True)}
            (got,) = session.run(None, fed)
            wanted, levels = subject.rendered(inputs), to_uint8(torch.from_numpy(got)).numpy()
            if levels.shape != wanted.shape:
                raise GantoolsError(f"the ONNX file gives {levels.shape} {where}, torch {wanted.shape}; not written.")
            if not np.isfinite(got).all():
                raise GantoolsError(
                    f"the ONNX file's images have values that are not finite {where}; not written.",
                    "A generator that has hardly been trained may do that; try a later checkpoint.",
                )
            apart = int(np.abs(levels.astype(np.int16) - wanted).max())
            if apart > LEVELS:
                raise GantoolsError(
                    f"the ONNX file's images differ from torch's by {apart} of 255 levels {where}; not written.",
                    "gantools export RUN --hub FOLDER writes the generator for gantools.",
                )
    except GantoolsError:
        raise
    except Exception as e:  # onnxruntime has a class for each of its states, below none of its own
        raise GantoolsError(f"onnxruntime cannot run the file {where}: {_reason(e)}; not written.") from e
