"""The networks of TP-GAN: a face from the side to one from the front, by a global path and four local ones.

Layers, kernels and channels are those of the authors' code (HRLTY/TP-GAN) at size 128 and width 64; Huang et al. 2017
(arXiv:1704.04086), tables 1 to 3. All convolutions have biases and pad as TensorFlow's SAME; all activations are leaky
ReLU 0.2 but those that are named. At other sizes every map has its share of the side, so 64 px end in a map of 4x4
where 128 end in 8x8, and the patches have the next multiple of 8.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gantools.layers.keras import Conv2dSame, ConvTranspose2dSame
from gantools.layers.norm import LoneBatchNorm2d

#: The side that the numbers of this file are for; times that it is halved to the smallest map; length of the noise.
SIDE, HALVINGS, NOISE = 128, 4, 100
#: Deviation of the noise.
SIGMA = 0.02


class Window(NamedTuple):
    """A place of a patch in the image, in pixels."""

    top: int
    left: int
    height: int
    width: int


#: The local paths: height and width of a patch, and the middle of its place in a frontal face of 128, row and column.
PARTS = {
    "left_eye": (40, 40, 40.0, 43.0),
    "right_eye": (40, 40, 40.0, 85.0),
    "nose": (32, 40, 64.0, 63.0),
    "mouth": (32, 48, 88.0, 64.0),
}
#: Rows below the point of the nose where its patch ends.
BELOW_NOSE = 11


def windows(size: int) -> dict[str, Window]:
    """Where each patch is in a frontal face: (20, 23), (20, 65), (48, 43) and (72, 40) at 128, as the authors have it.

    Both eyes mirror each other at every size.
    """
    found = {}
    for name, (height, width, y, x) in PARTS.items():
        h, w = (-(-side * size // SIDE // 8) * 8 for side in (height, width))
        found[name] = Window(int(y * size / SIDE - h / 2), int(x * size / SIDE - w / 2), h, w)
    left = found["left_eye"]
    found["right_eye"] = left._replace(left=size - left.width - left.left)
    return found


def corners(marks: Tensor, size: int) -> dict[str, Tensor]:
    """Row and column of the first pixel of each patch of a face with these landmarks, int64 (n, 2), inside it.

    Eyes and mouth are in the middle of theirs. The nose's ends `BELOW_NOSE` rows under it and has its middle half way
    to the middle of the eyes, so that it shows more of the side that is seen the more the face is turned.

    Args:
        marks: float (n, 5, 2), x and y of eyes, nose and corners of the mouth from the middle of the first pixel.
        size: side of the image.
    """
    left_eye, right_eye, nose = marks[:, 0], marks[:, 1], marks[:, 2]
    mouth = (marks[:, 3] + marks[:, 4]) / 2
    found = {}
    for name, at in (("left_eye", left_eye), ("right_eye", right_eye), ("nose", nose), ("mouth", mouth)):
        _, _, height, width = windows(size)[name]
        x, y = at[:, 0] + 0.5, at[:, 1] + 0.5
        if name == "nose":
            x = (x + (left_eye[:, 0] + right_eye[:, 0]) / 2 + 0.5) / 2
            y = y + BELOW_NOSE * size / SIDE - height / 2
        top, begin = (y - height / 2).round().clamp(0, size - height), (x - width / 2).round().clamp(0, size - width)
        found[name] = torch.stack((top, begin), 1).long()
    return found


def cut(images: Tensor, corner: Tensor, window: Window) -> Tensor:
    """Patches (n, c, height, width) of images (n, c, h, w) from their `corner` int64 (n, 2) on, which is inside."""
    n, device = len(images), images.device
    rows = corner[:, :1] + torch.arange(window.height, device=device)
    columns = corner[:, 1:] + torch.arange(window.width, device=device)
    first = torch.arange(n, device=device)[:, None, None]
    return images.permute(0, 2, 3, 1)[first, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)


def frontal_patch(images: Tensor, window: Window) -> Tensor:
    """The part of frontal faces (n, c, h, w) at a place."""
    top, left, height, width = window
    return images[:, :, top : top + height, left : left + width]


def composed(patches: Mapping[str, Tensor], size: int) -> Tensor:
    """Patches (n, c, height, width) put at their places: (n, c, size, size), the mean where they overlap, else 0.

    The authors take the maximum of all patches and 0, which loses what is negative in a patch.
    """
    placed, covered = [], []
    for name, patch in patches.items():
        top, left, height, width = windows(size)[name]
        around = (left, size - left - width, top, size - top - height)
        placed.append(F.pad(patch, around))
        covered.append(F.pad(torch.ones_like(patch[:1, :1]), around))
    return torch.stack(placed).sum(0) / torch.stack(covered).sum(0).clamp_min(1)


def mirrored(images: Tensor, marks: Tensor, where: Tensor) -> tuple[Tensor, Tensor]:
    """Images (n, c, h, w) and their landmarks (n, 5, 2), left and right changed where `where`, bool (n,), says so."""
    size = images.shape[3]
    swapped = marks[:, [1, 0, 2, 4, 3]]
    swapped = torch.stack((size - 1 - swapped[..., 0], swapped[..., 1]), 2)
    images = torch.where(where[:, None, None, None], images.flip(3), images)
    return images, torch.where(where[:, None, None], swapped, marks)


def faces_left(marks: Tensor) -> Tensor:
    """Bool (n,): whether the nose is left of the middle of the eyes, of landmarks float (n, 5, 2)."""
    return marks[:, 2, 0] < (marks[:, 0, 0] + marks[:, 1, 0]) / 2


def halved(images: Tensor) -> Tensor:
    """The mean of every 2x2 pixels."""
    return F.avg_pool2d(images, 2)


def with_mirror(images: Tensor) -> Tensor:
    """Images beside their mirror images: (n, c, h, w) -> (n, 2c, h, w)."""
    return torch.cat((images, images.flip(3)), 1)


def activated(before: int, after: int, kernel: int, stride: int, running: bool) -> nn.Sequential:
    """A convolution, batch normalisation and leaky ReLU."""
    return nn.Sequential(Conv2dSame(before, after, kernel, stride), LoneBatchNorm2d(after, running), nn.LeakyReLU(0.2))


def doubled(before: int, after: int, running: bool, slope: float = 0.0) -> nn.Sequential:
    """A transposed convolution of stride 2, batch normalisation and ReLU, leaky with a slope."""
    layers: list[nn.Module] = [ConvTranspose2dSame(before, after, 3, 2), LoneBatchNorm2d(after, running)]
    return nn.Sequential(*layers, nn.LeakyReLU(slope) if slope else nn.ReLU())


class Residual(nn.Module):
    """leaky(x + norm(conv(leaky(norm(conv(x)))))) of features float (n, c, h, w)."""

    def __init__(self, channels: int, kernel: int = 3, running: bool = False) -> None:
        super().__init__()
        self.first = activated(channels, channels, kernel, 1, running)
        self.second = nn.Sequential(Conv2dSame(channels, channels, kernel), LoneBatchNorm2d(channels, running))

    def forward(self, x: Tensor) -> Tensor:
        """The block of `x`."""
        return F.leaky_relu(x + self.second(self.first(x)), 0.2)


class Encoder(nn.Module):
    """Images beside their mirrors (n, 2c, s, s) -> features of sides s, s/2, s/4, s/8, s/16, and a vector (n, 4 width).

    Channels are `width` times 1, 1, 2, 4, 8; the vector is the larger half of two (maxout).
    """

    def __init__(self, channels: int, size: int, width: int, running: bool) -> None:
        super().__init__()
        w = width
        self.levels = nn.ModuleList(
            [
                nn.Sequential(Conv2dSame(2 * channels, w, 7), nn.LeakyReLU(0.2), Residual(w, 7, running)),
                nn.Sequential(activated(w, w, 5, 2, running), Residual(w, 5, running)),
                nn.Sequential(activated(w, 2 * w, 3, 2, running), Residual(2 * w, 3, running)),
                nn.Sequential(activated(2 * w, 4 * w, 3, 2, running), Residual(4 * w, 3, running)),
                nn.Sequential(activated(4 * w, 8 * w, 3, 2, running), *(Residual(8 * w, 3, running) for _ in range(4))),
            ]
        )
        self.vector = nn.Linear(8 * w * (size >> HALVINGS) ** 2, 8 * w)

    def forward(self, x: Tensor) -> tuple[list[Tensor], Tensor]:
        """(features from the largest to the smallest, vectors) of `x`."""
        found = []
        for level in self.levels:
            x = level(x)
            found.append(x)
        first, second = self.vector(x.flatten(1)).chunk(2, 1)
        return found, torch.maximum(first, second)


class Decoder(nn.Module):
    """What the encoder found, noise and the local paths' patches -> images of side s, s/2 and s/4 in [-1, 1]."""

    def __init__(self, channels: int, size: int, width: int, running: bool) -> None:
        super().__init__()
        w, c = width, channels
        self.base = size >> HALVINGS
        self.begin = nn.Linear(4 * w + NOISE, self.base**2 * w)
        self.sides = nn.ModuleList(
            [
                # TensorFlow's SAME of kernel 3 and stride 4: what no kernel covers is at the end.
                nn.Sequential(nn.ConvTranspose2d(w, w // 2, 3, 4, output_padding=1), nn.ReLU()),
                nn.Sequential(ConvTranspose2dSame(w // 2, w // 4, 3, 2), nn.ReLU()),
                nn.Sequential(ConvTranspose2dSame(w // 4, w // 8, 3, 2), nn.ReLU()),
            ]
        )
        self.deep = nn.Sequential(*(Residual(9 * w, 2, running) for _ in range(3)))
        ups = [(9 * w, 8 * w), (12 * w, 4 * w)]
        passed = [4 * w, 2 * w + 2 * c + w // 2, w + 2 * c + w // 4, w + 2 * c + w // 8]
        third = 4 * w + passed[1]
        fourth = 2 * w + passed[2] + c
        last = w + passed[3] + w + c + c
        ups += [(third, 2 * w), (fourth, w)]
        self.ups = nn.ModuleList([doubled(before, after, running) for before, after in ups])
        self.passed = nn.ModuleList([Residual(n, k, running) for n, k in zip(passed, (3, 3, 5, 7), strict=True)])
        self.mixed = nn.ModuleList(
            [nn.Sequential(Residual(n, 3, running), Residual(n, 3, running)) for n in (12 * w, third, fourth)]
        )
        self.to_quarter, self.to_half = Conv2dSame(third, c, 3), Conv2dSame(fourth, c, 3)
        self.last = nn.Sequential(
            Residual(last, 5, running),
            activated(last, w, 5, 1, running),
            Residual(w, 3, running),
            activated(w, w // 2, 3, 1, running),
            Conv2dSame(w // 2, c, 3),
        )

    def forward(
        self, features: list[Tensor], vector: Tensor, noise: Tensor, image: Tensor, patches: Tensor, colours: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Images of side s, s/2 and s/4.

        Args:
            features: of the encoder, as are `vector`.
            vector: float (n, 4 width).
            noise: float (n, NOISE).
            image: what the encoder saw, without its mirror.
            patches: features of the local paths at their places, float (n, width, s, s).
            colours: their images there, float (n, c, s, s).
        """
        begin = F.relu(self.begin(torch.cat((vector, noise), 1))).reshape(len(vector), -1, self.base, self.base)
        sides = []
        side = begin
        for layer in self.sides:
            side = layer(side)
            sides.append(side)
        half = halved(image)
        whole, two, four = with_mirror(image), with_mirror(half), with_mirror(halved(half))
        x = self.deep(torch.cat((begin, features[4]), 1))
        x = self.mixed[0](torch.cat((self.ups[0](x), self.passed[0](features[3])), 1))
        beside = self.passed[1](torch.cat((features[2], four, sides[0]), 1))
        x = self.mixed[1](torch.cat((self.ups[1](x), beside), 1))
        quarter_image = torch.tanh(self.to_quarter(x))
        beside = self.passed[2](torch.cat((features[1], two, sides[1]), 1))
        x = self.mixed[2](torch.cat((self.ups[2](x), beside, enlarged(quarter_image)), 1))
        half_image = torch.tanh(self.to_half(x))
        beside = self.passed[3](torch.cat((features[0], sides[2], whole), 1))
        x = torch.cat((self.ups[3](x), beside, patches, colours, enlarged(half_image)), 1)
        return torch.tanh(self.last(x)), half_image, quarter_image


def enlarged(images: Tensor) -> Tensor:
    """Images at twice their sides, bilinearly."""
    return F.interpolate(images, scale_factor=2.0, mode="bilinear", align_corners=False)


class LocalPath(nn.Module):
    """Patches (n, inputs, h, w), sides multiples of 8 -> features (n, width, h, w) and patches (n, c, h, w) in [-1, 1].

    A U-Net of three halvings.
    """

    def __init__(self, inputs: int, channels: int, width: int, running: bool) -> None:
        super().__init__()
        w = width
        self.down = nn.ModuleList(
            [
                nn.Sequential(Conv2dSame(inputs, w, 3), nn.LeakyReLU(0.2), Residual(w, 3, running)),
                nn.Sequential(activated(w, 2 * w, 3, 2, running), Residual(2 * w, 3, running)),
                nn.Sequential(activated(2 * w, 4 * w, 3, 2, running), Residual(4 * w, 3, running)),
                nn.Sequential(
                    activated(4 * w, 8 * w, 3, 2, running), Residual(8 * w, 3, running), Residual(8 * w, 3, running)
                ),
            ]
        )
        self.up, self.joined = nn.ModuleList(), nn.ModuleList()
        for after in (4 * w, 2 * w, w):
            self.up.append(doubled(2 * after, after, running, 0.2))
            self.joined.append(nn.Sequential(activated(2 * after, after, 3, 1, running), Residual(after, 3, running)))
        self.image = Conv2dSame(w, channels, 3)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(features, patches) of patches `x`."""
        passed = []
        for layer in self.down:
            x = layer(x)
            passed.append(x)
        for up, joined, beside in zip(self.up, self.joined, passed[-2::-1], strict=True):
            x = joined(torch.cat((up(x), beside), 1))
        return x, torch.tanh(self.image(x))


class Frontal(NamedTuple):
    """What the generator makes: `image`, `half` and `quarter` of its side, `patches` by part, and the face's vector."""

    image: Tensor
    half: Tensor
    quarter: Tensor
    patches: dict[str, Tensor]
    vector: Tensor


class FrontalGenerator(nn.Module):
    """Faces that look ahead or to the right, with their landmarks and noise -> `Frontal`.

    The path of the right eye, which such a face hides, sees the left one too.

    Attributes:
        size: side of the images.
    """

    def __init__(self, channels: int, size: int, width: int, running: bool = False) -> None:
        super().__init__()
        self.size = size
        self.encoder = Encoder(channels, size, width, running)
        self.decoder = Decoder(channels, size, width, running)
        both = {"right_eye": 2 * channels}
        self.parts = nn.ModuleDict(
            {name: LocalPath(both.get(name, channels), channels, width, running) for name in PARTS}
        )

    def forward(self, images: Tensor, marks: Tensor, noise: Tensor) -> Frontal:
        """Of images float (n, c, size, size), landmarks float (n, 5, 2) in pixels and noise float (n, NOISE)."""
        at = corners(marks, self.size)
        given = {name: cut(images, at[name], window) for name, window in windows(self.size).items()}
        given["right_eye"] = torch.cat((given["right_eye"], given["left_eye"]), 1)
        features, patches = {}, {}
        for name, part in self.parts.items():
            features[name], patches[name] = part(given[name])
        found, vector = self.encoder(with_mirror(images))
        placed = composed(features, self.size), composed(patches, self.size)
        image, half, quarter = self.decoder(found, vector, noise, images, *placed)
        return Frontal(image, half, quarter, patches, vector)


class LocalJudge(nn.Module):
    """Images float (n, c, s, s) -> outputs float (n, s/32, s/32), one a part of the image: 4x4 of 128 pixels."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        w = width
        layers: list[nn.Module] = [Conv2dSame(channels, w, 3, 2), nn.LeakyReLU(0.2)]
        for before, after in ((w, 2 * w), (2 * w, 4 * w), (4 * w, 8 * w)):
            layers += [activated(before, after, 3, 2, True)]
        layers += [Residual(8 * w, 3, True), activated(8 * w, 8 * w, 3, 2, True), Residual(8 * w, 3, True)]
        self.layers = nn.Sequential(*layers, nn.Conv2d(8 * w, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Outputs of images `x`."""
        return cast(Tensor, self.layers(x)[:, 0])


class Recogniser(nn.Module):
    """Vectors float (n, width) -> logits of people float (n, classes); `keep` is what the vectors are multiplied by."""

    def __init__(self, width: int, classes: int) -> None:
        super().__init__()
        self.layer = nn.Linear(width, classes)

    def forward(self, vector: Tensor, keep: Tensor) -> Tensor:
        """Logits of `vector`, whose features are dropped where `keep` is 0."""
        return cast(Tensor, self.layer(vector * keep))


def initialise(network: nn.Module) -> None:
    """In place: weights N(0, 0.02), of convolutions cut off at two deviations; biases 0, of linear layers 0.1.

    Source: the authors' code.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.trunc_normal_(module.weight, 0.0, 0.02, -0.04, 0.04)
        elif isinstance(module, nn.ConvTranspose2d | nn.Linear):
            nn.init.normal_(module.weight, 0.0, 0.02)
        else:
            continue
        if module.bias is not None:
            nn.init.constant_(module.bias, 0.1 if isinstance(module, nn.Linear) else 0.0)
