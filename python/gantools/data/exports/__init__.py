"""`gantools export`: a prepared set in the forms that other tools read. One file a format."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from gantools.data.enlarged import generated_note
from gantools.data.exports import folder, hf_imagefolder, npz, parquet, stylegan, webdataset
from gantools.data.exports.base import Images
from gantools.data.plan import say
from gantools.data.prepared import PreparedSet
from gantools.errors import DataError, unknown_name
from gantools.progress import Progress

# name -> writes the images to a path that does not exist yet.
EXPORTS: dict[str, Callable[[Images, Path], None]] = {
    "stylegan-zip": stylegan.write,
    "folder": folder.write,
    "webdataset": webdataset.write,
    "hf-imagefolder": hf_imagefolder.write,
    "parquet": parquet.write,
    "npz": npz.write,
}

__all__ = ["EXPORTS", "export"]


def export(
    path: str | Path,
    *,
    to: str,
    out: str | Path,
    threads: int = 0,
    progress: bool = True,
) -> Path:
    """Write a prepared set in the form of another tool (docs/sources.md describes each).

    Args:
        path: the prepared set.
        to: `stylegan-zip`, `folder`, `webdataset`, `hf-imagefolder`, `parquet` or `npz`.
        out: the file (stylegan-zip, npz) or folder to make; it appears only when it is whole.
        threads: threads that encode PNGs, 0 for all cores. The bytes do not depend on it.
        progress: show a progress bar on stderr.

    Returns:
        `out`.

    Raises:
        ConfigError: unknown format.
        DataError: no prepared set, `out` exists, or the format cannot hold the set.
    """
    if to not in EXPORTS:
        raise unknown_name("export", to, EXPORTS)
    images = PreparedSet(path)
    target = Path(out)
    # Nothing is ever replaced: an export cannot be told from a folder of somebody's images.
    if target.exists():
        raise DataError(f"{target} exists.", "Choose another --out, or delete it.")
    if images.inputs is not None:
        say(
            f"{images.path} is a set of pairs: these are its targets. Its inputs are the set {images.inputs.path}.",
            progress,
        )
    if (note := generated_note(images)) is not None:
        say(f"{images.path}: {note}", progress)
    target.parent.mkdir(parents=True, exist_ok=True)
    with Progress(f"exporting {images.name}", len(images), show=progress) as bar:
        EXPORTS[to](Images(images, threads, bar.update), target)
    return target
