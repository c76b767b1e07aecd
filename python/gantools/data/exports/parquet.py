"""Parquet files as on the Hugging Face hub: `image` {bytes, path} and `label`, with the features HF datasets reads."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from gantools.data.exports.base import Images, image_name
from gantools.errors import DataError
from gantools.files import whole_folder

PER_FILE = 10_000
# A reader fetches a whole group for one image.
PER_GROUP = 100


def write(images: Images, target: Path) -> None:
    """Writes a folder of `data/train-00000-of-00001.parquet`, ...; needs pyarrow."""
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as e:
        raise DataError("writing parquet needs the package pyarrow.", "Type: pip install 'gantools[parquet]'") from e
    classes = images.set.classes
    features: dict[str, Any] = {"image": {"_type": "Image"}}
    fields = [("image", pa.struct([("bytes", pa.binary()), ("path", pa.string())]))]
    if classes is not None:
        features["label"] = {"names": classes, "_type": "ClassLabel"}
        fields.append(("label", pa.int64()))
    schema = pa.schema(fields, metadata={"huggingface": json.dumps({"info": {"features": features}})})
    count = -(-len(images.set) // PER_FILE)
    with whole_folder(target) as temporary:
        (temporary / "data").mkdir()
        writer = None
        rows: list[dict[str, Any]] = []
        try:
            for i, label, png in images.pngs():
                if i % PER_FILE == 0:
                    if writer is not None:
                        writer.close()
                    name = f"train-{i // PER_FILE:05d}-of-{count:05d}.parquet"
                    writer = pq.ParquetWriter(temporary / "data" / name, schema)
                row: dict[str, Any] = {"image": {"bytes": png, "path": image_name(i)}}
                rows.append(row if classes is None else {**row, "label": label})
                if len(rows) == PER_GROUP or (i + 1) % PER_FILE == 0 or i + 1 == len(images.set):
                    assert writer is not None
                    writer.write_table(pa.Table.from_pylist(rows, schema=schema))
                    rows = []
        finally:
            if writer is not None:
                writer.close()
