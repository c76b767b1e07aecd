"""How photographs are made worse for networks that enlarge them: the settings, checked. `data/degrade.py` does it.

Two rounds of blur, resize, noise and JPEG, then a low-pass that rings: the degradation of Real-ESRGAN (Wang et al.
2021, arXiv:2107.10833), whose code's settings are the defaults.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from gantools.errors import ConfigError, unknown_name

#: Degradations that have a name.
NAMES = ("real-esrgan",)


@dataclass(frozen=True)
class Round:
    """One round: blur, resize, noise, JPEG. Each range is drawn from evenly; each chance is a probability.

    Attributes:
        blur: chance that it blurs at all.
        sinc: chance that its kernel is a low-pass of a random cut-off, which rings, instead of one of `kernels`.
        kernels: how often a Gaussian, a generalised one and a plateau come, each with one deviation and with two and an
            angle: six weights.
        sides: smallest and largest side of a kernel, odd.
        sigma: range of deviations in pixels.
        generalised: range of a generalised Gaussian's exponent, drawn as often below 1 as above it.
        plateau: that of a plateau's.
        resize: how often it enlarges, makes smaller and keeps the size.
        factor: range of the resize's factor, 1 within it.
        gaussian: chance of Gaussian noise; otherwise it is Poisson's.
        noise: range of the Gaussian's deviation, in levels of 255.
        poisson: range of the factor of Poisson's noise.
        grey: chance that the noise is the same in all channels.
        jpeg: range of the quality, whole numbers.
    """

    blur: float = 1.0
    sinc: float = 0.1
    kernels: tuple[float, float, float, float, float, float] = (0.45, 0.25, 0.12, 0.03, 0.12, 0.03)
    sides: tuple[int, int] = (7, 21)
    sigma: tuple[float, float] = (0.2, 3.0)
    generalised: tuple[float, float] = (0.5, 4.0)
    plateau: tuple[float, float] = (1.0, 2.0)
    resize: tuple[float, float, float] = (0.2, 0.7, 0.1)
    factor: tuple[float, float] = (0.15, 1.5)
    gaussian: float = 0.5
    noise: tuple[float, float] = (1.0, 30.0)
    poisson: tuple[float, float] = (0.05, 3.0)
    grey: float = 0.4
    jpeg: tuple[int, int] = (30, 95)

    def check(self, place: str) -> None:
        """ConfigError: a number is out of its range; `place` is the key of this section."""
        for name in ("blur", "sinc", "gaussian", "grey"):
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(f"{place}.{name}: is a chance, in [0, 1], not {getattr(self, name)}.")
        for name in ("kernels", "resize"):
            if min(getattr(self, name)) < 0 or not sum(getattr(self, name)) > 0:
                raise ConfigError(f"{place}.{name}: weights are at least 0, and one is above it.")
        for name, least, most in (
            ("sides", 1, 101),
            ("sigma", 0.01, 1000),
            ("generalised", 0.01, 100),
            ("plateau", 0.01, 100),
            ("factor", 0.01, 16),
            ("noise", 0, 255),
            ("poisson", 0, 255),
            ("jpeg", 1, 100),
        ):
            low, high = getattr(self, name)
            if not least <= low <= high <= most:
                raise ConfigError(f"{place}.{name}: is a range within {least} to {most}, not {low} to {high}.")
        if self.sides[0] % 2 == 0 or self.sides[1] % 2 == 0:
            raise ConfigError(f"{place}.sides: must be odd, not {self.sides[0]} and {self.sides[1]}.")
        for name in ("factor", "generalised", "plateau"):
            low, high = getattr(self, name)
            if not low <= 1 <= high:
                raise ConfigError(f"{place}.{name}: 1 must be within, not {low} to {high}.")


@dataclass(frozen=True)
class SecondRound(Round):
    """The second round, as `Round` with other defaults: its size is that of the finished image times the factor."""

    blur: float = 0.8
    sigma: tuple[float, float] = (0.2, 1.5)
    resize: tuple[float, float, float] = (0.3, 0.4, 0.3)
    factor: tuple[float, float] = (0.3, 1.2)
    noise: tuple[float, float] = (1.0, 25.0)
    poisson: tuple[float, float] = (0.05, 2.5)


@dataclass(frozen=True)
class Degradation:
    """The section `data.degrade`. What is left out is Real-ESRGAN's.

    Attributes:
        sharpen: begin with the image made sharper by unsharp masking, as the target of the losses then is too.
        around: pixels of the image beside a crop, in height and width together, that are degraded with it and cut off
            again, at a random place, so that neither borders nor the grid of JPEG's blocks always begin with the crop.
        first: the first round.
        second: the second round.
        sinc: chance of the low-pass at the end, which comes before or behind the second JPEG as often.
    """

    sharpen: bool = True
    around: int = 144
    first: Round = field(default_factory=Round)
    second: SecondRound = field(default_factory=SecondRound)
    sinc: float = 0.8

    def __post_init__(self) -> None:
        if self.around < 0:
            raise ConfigError(f"data.degrade.around: must be at least 0, not {self.around}.")
        if not 0 <= self.sinc <= 1:
            raise ConfigError(f"data.degrade.sinc: is a chance, in [0, 1], not {self.sinc}.")
        self.first.check("data.degrade.first")
        self.second.check("data.degrade.second")

    @classmethod
    def named(cls, name: str) -> Degradation:
        """That of a name; ConfigError: there is none."""
        if name not in NAMES:
            raise unknown_name("degradation (data.degrade)", name, NAMES)
        return cls()
