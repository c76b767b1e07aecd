"""WebDataset shards: tar archives with `KEY.png` and, where there are classes, `KEY.cls`."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

from gantools.data.exports.base import Images
from gantools.data.sources.tar import CLASSES
from gantools.files import whole_folder, write_json

PER_SHARD = 10_000


def write(images: Images, target: Path) -> None:
    """Writes a folder of `shard-000000.tar`, ... of up to 10,000 images, and `classes.json` with the class names."""
    with whole_folder(target) as temporary:
        archive: tarfile.TarFile | None = None
        try:
            for i, label, png in images.pngs():
                if i % PER_SHARD == 0:
                    if archive is not None:
                        archive.close()
                    name = temporary / f"shard-{i // PER_SHARD:06d}.tar"
                    archive = tarfile.open(name, "w", format=tarfile.USTAR_FORMAT)  # noqa: SIM115
                assert archive is not None
                _add(archive, f"{i:08d}.png", png)
                if label is not None:
                    _add(archive, f"{i:08d}.cls", str(label).encode())
        finally:
            if archive is not None:
                archive.close()
        if images.set.classes is not None:
            write_json(temporary / CLASSES, images.set.classes)


def _add(archive: tarfile.TarFile, name: str, data: bytes) -> None:
    # TarInfo has no time and no owner unless it is given them: equal sets give equal files.
    info = tarfile.TarInfo(name)
    info.size = len(data)
    archive.addfile(info, io.BytesIO(data))
