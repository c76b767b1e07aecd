"""Networks of one's own: a torch module, a TorchScript file, or an ONNX file.

All take normalised float32 (n, 3, size, size) and give one tensor (n, d) for it. A fingerprint stands for the weights
in every number made with them: the sha256 of the file, or of the module's state dict and class.
"""

from __future__ import annotations

import contextlib
import hashlib
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from gantools.device import full_precision
from gantools.errors import ConfigError, MetricError, WeightsError
from gantools.pretrained import weights as files
from gantools.pretrained.weights import kind_of_file, sha256_of

#: Suffixes of the files that can be opened.
TORCHSCRIPT, ONNX = frozenset({".pt", ".ts", ".torchscript"}), frozenset({".onnx"})


def is_file_of_a_network(name: str) -> bool:
    """Whether `name` is a path to a file, by its suffix or as it is there, rather than the name of an extractor."""
    return Path(name).suffix.lower() in TORCHSCRIPT | ONNX or Path(name).is_file()


def state_sha256(module: nn.Module) -> str:
    """The sha256 of a module's class name and state dict: names, dtypes, shapes and bytes, ordered by name."""
    h = hashlib.sha256(f"{type(module).__module__}.{type(module).__qualname__}\n".encode())
    for name, value in sorted(module.state_dict().items()):
        if not isinstance(value, Tensor):
            h.update(f"{name} {value!r}\n".encode())
            continue
        h.update(f"{name} {value.dtype} {tuple(value.shape)}\n".encode())
        h.update(value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)
    return h.hexdigest()


class TorchNetwork:
    """A torch module or TorchScript, run as it is for inference.

    The module is the caller's and is left as it was found: in eval mode only while it computes, whoever calls `train()`
    in between, and back in the mode each of its parts had afterwards.

    Args:
        module: takes float32 (n, 3, size, size).
        device: where it is computed; the module is moved there.
        sha256: of its file; None for that of its state.
        label: what to call it in messages.
    """

    def __init__(self, module: nn.Module, device: torch.device, sha256: str | None = None, label: str = "") -> None:
        self.label = label or type(module).__name__
        self.sha256 = sha256 or state_sha256(module)
        self.device = device
        self._module = module.to(device)

    @torch.no_grad()
    def __call__(self, x: Tensor) -> Tensor:
        """Normalised float32 (n, 3, size, size) -> float32 (n, d). MetricError: it gives something else."""
        try:
            with _evaluating(self._module), full_precision():
                out = self._module(x.to(self.device))
        except torch.OutOfMemoryError:
            raise
        except RuntimeError as e:
            # The errors of a module are its program's; those of a file would be forty lines of its interpreter.
            if not isinstance(self._module, torch.jit.ScriptModule):
                raise
            raise MetricError(
                f"{self.label}: cannot be run on {len(x)} images of {x.shape[3]}x{x.shape[2]} ({last_line(e)}).",
                "Check --extractor-size (in Python size=), and that the network takes any number of images.",
            ) from e
        return _checked(out, len(x), self.label).float()


def last_line(error: BaseException) -> str:
    """What an error says in the end: the interpreter of TorchScript and onnxruntime put their own traces before it."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[-1] if lines else type(error).__name__)[:200].rstrip(".")


@contextlib.contextmanager
def _evaluating(module: nn.Module) -> Iterator[None]:
    modes = [(m, m.training) for m in module.modules()]
    # Part by part and not by module.eval(), which a module may have redefined.
    for part, _ in modes:
        part.training = False
    try:
        yield
    finally:
        for part, mode in modes:
            part.training = mode


class OnnxNetwork:
    """An ONNX file with one image input and one output of features, run by onnxruntime on the CPU or CUDA.

    Args:
        file: the `.onnx` file. Its first output is taken.
        device: cuda only where onnxruntime was installed with it.

    Raises:
        ConfigError: onnxruntime is not installed, or knows no CUDA. WeightsError: no readable file.
    """

    def __init__(self, file: Path, device: torch.device) -> None:
        try:
            import onnxruntime
        except ImportError:
            raise ConfigError(
                f"{file}: reading ONNX needs onnxruntime, which is not installed.", "pip install 'gantools[onnx]'"
            ) from None
        provider = "CUDAExecutionProvider" if device.type == "cuda" else "CPUExecutionProvider"
        if provider not in onnxruntime.get_available_providers():
            raise ConfigError(
                f"{file}: this onnxruntime cannot use CUDA.",
                "Use --device cpu (in Python device='cpu'), or: pip install onnxruntime-gpu",
            )
        options: dict[str, Any] = {}
        if device.type == "cuda":
            # As for torch: TF32 would move features by about 1e-3.
            options = {"use_tf32": "0", "device_id": str(device.index or 0)}
        try:
            self._session = onnxruntime.InferenceSession(str(file), providers=[(provider, options)])
        except Exception as e:  # onnxruntime has an exception class for each of its status codes
            raise WeightsError(f"{file}: not a readable ONNX file ({str(e).splitlines()[0]}).") from e
        inputs = self._session.get_inputs()
        if len(inputs) != 1 or len(inputs[0].shape) != 4:
            shapes = ", ".join(f"{i.name} {i.shape}" for i in inputs)
            raise WeightsError(f"{file}: an extractor takes one input (n, 3, size, size), this takes {shapes}.")
        self.label = str(file)
        self.sha256 = sha256_of(file)
        self._input, self._output = inputs[0].name, self._session.get_outputs()[0].name
        count = inputs[0].shape[0]
        #: Images it takes at once where the file fixes that, else None.
        self.batch = count if isinstance(count, int) else None

    def __call__(self, x: Tensor) -> Tensor:
        """Normalised float32 (n, 3, size, size) -> float32 (n, d). MetricError: it gives something else."""
        images = np.ascontiguousarray(x.cpu().numpy())
        step = self.batch or len(images)
        parts = []
        for start in range(0, len(images), step):
            part = images[start : start + step]
            full = np.concatenate([part, np.repeat(part[-1:], step - len(part), 0)]) if len(part) < step else part
            try:
                out = self._session.run([self._output], {self._input: full})[0]
            except Exception as e:
                raise MetricError(
                    f"{self.label}: cannot be run on {len(full)} images of {x.shape[3]}x{x.shape[2]} ({last_line(e)}).",
                    "Check --extractor-size (in Python size=), and that the network takes any number of images.",
                ) from e
            parts.append(np.asarray(out)[: len(part)])
        return _checked(torch.from_numpy(np.concatenate(parts)), len(images), self.label).float()


_SAVE = (
    "Save a network with its code: torch.jit.trace(net.eval(), torch.zeros(2, 3, size, size)).save(path); "
    "a state dict alone has no code. In Python any torch.nn.Module will do."
)


def check_file(file: str | Path) -> Path:
    """The path of a file that may hold a network with its code, judged by suffix and first bytes, without opening it.

    Raises:
        WeightsError: there is none, or it is of another kind, which is named. ConfigError: another suffix.
    """
    path = Path(file).expanduser()
    if not path.is_file():
        raise WeightsError(f"{path}: no such file.", "Check the path of the extractor's file.")
    kind, suffix = kind_of_file(path), path.suffix.lower()
    if "weights" in kind:
        raise WeightsError(
            f"{path}: {kind}, not a TorchScript file: the code of the network is not in it.",
            f"Of a network that gantools knows, give it as --weights NAME={path} with --extractor NAME (in Python "
            f"weights=, extractor=). {_SAVE}",
        )
    if suffix not in TORCHSCRIPT | ONNX:
        known = ", ".join(sorted(TORCHSCRIPT | ONNX))
        raise ConfigError(f"{path}: {kind}; an extractor's file has one of the suffixes {known}.", _SAVE)
    if kind == files.TORCHSCRIPT and suffix in ONNX:
        raise WeightsError(f"{path}: a TorchScript file with the suffix of an ONNX file.", "Call it .pt.")
    if kind == files.ONNX and suffix in TORCHSCRIPT:
        raise WeightsError(f"{path}: an ONNX file with the suffix of a TorchScript file.", "Call it .onnx.")
    if kind not in (files.TORCHSCRIPT, files.ONNX, "a file of another kind"):
        raise WeightsError(f"{path}: {kind}, not a TorchScript or ONNX file.", _SAVE)
    return path


def open_network(file: str | Path, device: torch.device) -> TorchNetwork | OnnxNetwork:
    """The network in a TorchScript (`.pt`, `.ts`, `.torchscript`) or ONNX (`.onnx`) file.

    TorchScript is a program: open only files from people you trust, as with any program.

    Raises:
        WeightsError: missing or unreadable. ConfigError: another suffix, or onnxruntime is missing.
    """
    path = check_file(file)
    if path.suffix.lower() in ONNX:
        return OnnxNetwork(path, device)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # the format is older than its deprecation
            module = torch.jit.load(path, map_location=device)  # type: ignore[no-untyped-call]
    except (RuntimeError, ValueError) as e:
        raise WeightsError(f"{path}: not a TorchScript file ({last_line(e)}).", _SAVE) from e
    return TorchNetwork(module.eval(), device, sha256_of(path), str(path))


def _checked(out: Any, n: int, label: str) -> Tensor:
    if isinstance(out, (tuple, list)) and len(out) == 1:
        out = out[0]
    if isinstance(out, Tensor) and out.ndim == 4 and out.shape[2:] == (1, 1):
        out = out.flatten(1)  # what a network gives that ends in global pooling
    if not isinstance(out, Tensor) or out.ndim != 2 or out.shape[0] != n or not out.is_floating_point():
        got = f"{out.dtype} {tuple(out.shape)}" if isinstance(out, Tensor) else type(out).__name__
        raise MetricError(
            f"{label}: gives {got} for {n} images; features are one floating-point tensor (n, d).",
            "Wrap the network so that it returns that.",
        )
    if not bool(torch.isfinite(out).all()):
        raise MetricError(f"{label}: gives features that are not finite.", "Check size, mean and std of its input.")
    return out
