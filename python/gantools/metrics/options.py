"""The metrics' switches, where the field disagrees on how one is computed."""

from __future__ import annotations

from dataclasses import dataclass

from gantools.errors import ConfigError, unknown_name
from gantools.metrics.numbers import inception_score as logits
from gantools.metrics.numbers import kernels, memorisation, neighbours

#: KID's and the inception score's draws are torch-fidelity's, which are those of this seed.
FIDELITY_SEED = 2020
#: What pairs are compared by, and the networks of LPIPS.
CHANNELS = ("rgb", "y")
LPIPS_NETWORKS = ("alex", "vgg", "squeeze")


@dataclass(frozen=True)
class Options:
    """Switches of the metrics.

    Attributes:
        seed: of everything drawn at random; None: 2020 for KID and the inception score, 0 for the rest.
        interval: compute intervals of Frechet distances and of KID.
        level: their nominal coverage.
        kid_subsets: of KID.
        kid_subset_size: of KID; None for 1000, or all images where there are fewer.
        kid_kernel: `polynomial` or `gaussian`.
        k: neighbours of precision, recall, density and coverage; None for the convention's.
        prc_convention: `torch-fidelity`, `stylegan3`, `adm` or `prdc`.
        is_splits: of the inception score.
        is_convention: `torch-fidelity`, `original`, `adm`, `torchmetrics` or `dgm`.
        mifid_convention: `torchmetrics` or `paper`.
        class_least: images below which a class has no distance of its own.
        vendi_q: order of the Vendi score.
        channel: what PSNR, SSIM and MS-SSIM compare: `rgb`, or `y`, the luma of BT.601.
        crop: pixels cut off every border before pairs are compared, and for NIQE.
        lpips: network of LPIPS: `alex`, `vgg` or `squeeze`.
        niqe_model: file of NIQE's model of natural images; None: as `niqe.PristineModel.load` looks for it.
        pairs: of LPIPS diversity.
    """

    seed: int | None = None
    interval: bool = True
    level: float = 0.95
    kid_subsets: int = kernels.SUBSETS
    kid_subset_size: int | None = None
    kid_kernel: str = "polynomial"
    k: int | None = None
    prc_convention: str = "torch-fidelity"
    is_splits: int = 10
    is_convention: str = "torch-fidelity"
    mifid_convention: str = "torchmetrics"
    class_least: int = 2
    vendi_q: float = 1.0
    channel: str = "rgb"
    crop: int = 0
    lpips: str = "alex"
    niqe_model: str | None = None
    pairs: int = 2000

    def seed_or(self, usual: int) -> int:
        """The seed, or a metric's own."""
        return usual if self.seed is None else self.seed


def check_options(options: Options) -> None:
    """ConfigError: a switch has a value that it cannot have."""
    for name, value, known in (
        ("kid_kernel", options.kid_kernel, kernels.KERNELS),
        ("prc_convention", options.prc_convention, neighbours._RULES),
        ("is_convention", options.is_convention, logits._RULES),
        ("mifid_convention", options.mifid_convention, memorisation.MIFID_CONVENTIONS),
        ("channel", options.channel, CHANNELS),
        ("lpips", options.lpips, LPIPS_NETWORKS),
    ):
        if value not in known:
            raise unknown_name(name, str(value), known)
    for name, number in (
        ("kid_subsets", options.kid_subsets),
        ("kid_subset_size", options.kid_subset_size),
        ("k", options.k),
        ("is_splits", options.is_splits),
        ("class_least", options.class_least),
        ("pairs", options.pairs),
    ):
        if number is not None and number < 1:
            raise ConfigError(f"{name} is {number}; it has to be at least 1.")
    if options.crop < 0:
        raise ConfigError(f"crop is {options.crop}; it has to be at least 0.")
    if not 0 < options.level < 1:
        raise ConfigError(f"level is {options.level}.", "Give a coverage in (0, 1), such as 0.95.")
