"""How images become a network's input: the part of a score that differs most between tools, and is said least.

An `Input` is the geometry (which resize, to which size, squeezed or cropped), the same for every network that wants it,
so that one decoded image serves them all. A `Rule` is an input of the Inception network with what becomes of the
values, under the name of the tool it reproduces. Five protocols give five different numbers for the same images.
"""

from __future__ import annotations

from dataclasses import dataclass

from gantools import _native
from gantools.errors import ConfigError, unknown_name

#: Side of the images the Inception network takes.
INCEPTION_SIZE = 299


@dataclass(frozen=True)
class Input:
    """How any image becomes a network's input pixels, values 0..255.

    Attributes:
        resize: the rule, a name in `_native.RESIZE_RULES`: `tf1-bilinear` (no half-pixel centres, no antialiasing),
            `torch-bilinear` (half-pixel centres), `torch-bilinear-antialias`, `pillow-bicubic-float` and
            `pillow-bilinear-float` (Pillow's antialiased filters on float32, clipped to 0..255), `pillow-bicubic`,
            `pillow-bilinear` and `pillow-lanczos` (the same on 8 bits, rounded to whole levels).
        size: side of the square result.
        crop: `none` (the whole image is squeezed to a square) or `center` (the largest centred square of it, cut
            before the resize).
    """

    resize: str
    size: int
    crop: str = "none"

    def __post_init__(self) -> None:
        if self.resize not in _native.RESIZE_RULES:
            raise unknown_name("resize", self.resize, _native.RESIZE_RULES)
        if self.crop not in _native.SQUARE_CROPS:
            raise unknown_name("crop", self.crop, _native.SQUARE_CROPS)
        if self.size < 1:
            raise ConfigError(f"size must be at least 1, not {self.size}.")

    def __str__(self) -> str:
        """For example `tf1-bilinear to 299x299`."""
        crop = "" if self.crop == "none" else "centre square, "
        return f"{crop}{self.resize} to {self.size}x{self.size}"


@dataclass(frozen=True)
class Rule:
    """How images become what the Inception network computes with.

    Attributes:
        name: what it is called here.
        input: the geometry.
        offset: the network gets (x - offset) / scale of values x in 0..255.
        scale: see there.
        words: what it is, in one line.
        source: who uses it, and where it is defined.
    """

    name: str
    input: Input
    offset: float
    scale: float
    words: str
    source: str


#: The protocol of a score that names none.
DEFAULT = "tf"

_ALL = (
    Rule(
        "tf",
        Input("tf1-bilinear", INCEPTION_SIZE),
        128.0,
        128.0,
        "TF1 bilinear to 299x299, (x - 128) / 128",
        "the original FID (Heusel et al., arXiv:1706.08500, code bioinf-jku/TTUR); torch-fidelity, clean-fid's "
        "legacy_tensorflow, torchmetrics with antialias=False",
    ),
    Rule(
        "pytorch-fid",
        Input("torch-bilinear", INCEPTION_SIZE),
        127.5,
        127.5,
        "PyTorch bilinear without antialiasing to 299x299, x / 127.5 - 1",
        "pytorch-fid (inception.py: resize_input, normalize_input); clean-fid's legacy_pytorch, StudioGAN's "
        "post_resizer legacy",
    ),
    Rule(
        "clean",
        Input("pillow-bicubic-float", INCEPTION_SIZE),
        128.0,
        128.0,
        "Pillow bicubic with antialiasing on float32 to 299x299, clipped to 0..255, (x - 128) / 128",
        "clean-fid's mode clean (Parmar et al., arXiv:2104.11222; resize.py)",
    ),
    Rule(
        "torchmetrics",
        Input("torch-bilinear-antialias", INCEPTION_SIZE),
        128.0,
        128.0,
        "PyTorch bilinear with antialiasing to 299x299, (x - 128) / 128",
        "torchmetrics from 1.8 by default (image/fid.py: NoTrainInceptionV3, antialias=True)",
    ),
    Rule(
        "studiogan",
        Input("pillow-bilinear-float", INCEPTION_SIZE),
        127.5,
        127.5,
        "Pillow bilinear with antialiasing on float32 to 299x299, x / 127.5 - 1",
        "StudioGAN's post_resizer friendly with its backbone InceptionV3_tf (src/utils/resize.py: build_resizer; "
        "src/metrics/preparation.py: mean and std 0.5)",
    ),
)

#: name -> protocol.
PROTOCOLS: dict[str, Rule] = {protocol.name: protocol for protocol in _ALL}
#: Protocols of extractors other than Inception, in words.
OTHER_WORDS = {
    "tf1-28-grey": "TF1 bilinear to 28x28, ITU-R 601 grey",
    "torch-fidelity": "TF1 bilinear to 224x224, then ImageNet's mean and deviation",
    "cmmd": "the largest centred square, Pillow bicubic to the network's size, then CLIP's mean and deviation",
    "dgm-eval": "Pillow bicubic to 224x224, then ImageNet's mean and deviation",
}
#: Resizes in words, by their names in `_native.RESIZE_RULES`.
RESIZE_WORDS = {
    "tf1-bilinear": "TF1 bilinear",
    "torch-bilinear": "PyTorch bilinear without antialiasing",
    "torch-bilinear-antialias": "PyTorch bilinear with antialiasing",
    "pillow-bicubic-float": "Pillow bicubic on float32",
    "pillow-bilinear-float": "Pillow bilinear on float32",
    "pillow-bicubic": "Pillow bicubic",
    "pillow-bilinear": "Pillow bilinear",
    "pillow-lanczos": "Pillow Lanczos",
}


def find(name: str) -> Rule:
    """The protocol `name`. ConfigError: there is none."""
    if name not in PROTOCOLS:
        raise unknown_name("protocol", name, PROTOCOLS)
    return PROTOCOLS[name]


def words(name: str) -> str:
    """The protocol `name` of any extractor in one line; the name itself where no more is known."""
    if name.startswith("own: "):
        # What `published.own_kind` writes: the geometry, then the numbers.
        resize = next((r for r in sorted(RESIZE_WORDS, key=len, reverse=True) if f"{r} to" in name), "")
        said = name.removeprefix("own: ").replace(resize, RESIZE_WORDS.get(resize, ""), 1) if resize else name
        return said.replace(" std ", ", deviation ").replace(",", ", ").replace(",  ", ", ")
    rule = PROTOCOLS.get(name)
    return OTHER_WORDS.get(name, name) if rule is None else rule.words
