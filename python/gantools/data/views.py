"""A prepared set as other libraries want it: a torch `Dataset`, and rows as those of Hugging Face's datasets."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset

from gantools.data.image_set import ImageSet, NamedSet


class ImageDataset(Dataset[Any]):
    """A set for `torch.utils.data.DataLoader`; works with any number of workers, forked or spawned.

    Item i is `transform(image)`, followed by the class number where the set has labels. Without a transform the image
    is uint8 (c, h, w). `PreparedSet.loader` is many times faster where no transform is needed.

    Args:
        data: the images, for example a prepared set.
        transform: of a uint8 tensor (c, h, w), for example any of `torchvision.transforms.v2`.
    """

    def __init__(self, data: ImageSet, transform: Callable[[Tensor], Any] | None = None) -> None:
        self.data, self.transform = data, transform

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, index: int) -> Any:
        image: Any = torch.from_numpy(self.data[index]).permute(2, 0, 1)
        if self.transform is not None:
            image = self.transform(image)
        labels = self.data.labels
        return image if labels is None else (image, int(labels[index]))


class Rows:
    """Rows as dicts: `image` uint8 (h, w, c), `name`, `label` where there are classes, and the set's annotations."""

    def __init__(self, data: NamedSet) -> None:
        self.data = data

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, index: int) -> dict[str, Any]:
        row: dict[str, Any] = {"image": self.data[index], "name": self.data.names[index]}
        if self.data.labels is not None:
            row["label"] = int(self.data.labels[index])
        return row | {name: values[index] for name, values in self.data.annotations.items()}
