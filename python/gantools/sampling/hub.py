"""A trained generator as a folder to give away: what makes images, and nothing else.

model/
  model.safetensors   the networks that make images, averaged where the run has averages
  config.json         what `Generator.load` needs beside it: recipe, data, images shown, checksum
  README.md           a model card
  grid.png            the samples that the run drew at that checkpoint

Nothing in it names a path of the machine that it was made on.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from gantools.errors import DataError
from gantools.files import check_replaceable, whole_folder, write_whole
from gantools.grid import write_grid
from gantools.recipes.recipe import Recipe
from gantools.runs.checkpoint import versions, write_model
from gantools.runs.layout import CONFIG, EXPORTED, MODEL
from gantools.runs.stats import STATS, read_lines
from gantools.sampling.generator import Generator

CARD = "README.md"
GRID = "grid.png"
OTHER_PLACE = "with --hub FOLDER"


def export_hub(
    run: str | Path | None, folder: str | Path, *, checkpoint: str | float = "last", overwrite: bool = False
) -> Path:
    """Write the generator of a run as a folder with weights, config and model card, which `Generator.load` reads.

    Args:
        run: as in `Generator.load`.
        folder: to make; it appears when it is whole.
        checkpoint: of the run: "last", "best", or the thousands of images shown.
        overwrite: replace `folder` where it holds an export of gantools and nothing else.

    Returns:
        `folder`.

    Raises:
        CheckpointError: no such run, or its checkpoint is damaged.
        DataError: `folder` exists.
    """
    target = Path(folder)
    _check(target, overwrite)
    generator = Generator.load(run, checkpoint, device="cpu")
    config = {"nimg": generator.nimg, "recipe": generator.recipe.to_dict(), "data": _public(generator.data)}
    with whole_folder(target, overwrite=target.exists()) as made:
        write_model(made, generator.networks, config)
        grid = _write_grid(generator, made / GRID)
        card = model_card(generator, target.absolute().name, scores_of(generator), grid)
        write_whole(made / CARD, card.encode())
    return target


def _check(target: Path, overwrite: bool) -> None:
    check_replaceable(target, CONFIG, EXPORTED, "an exported model", overwrite, OTHER_PLACE)
    if target.is_dir():
        other = sorted({p.name for p in target.iterdir()} - {f"{MODEL}.safetensors", CONFIG, CARD, GRID})
        if other:
            # A clone of a repository, for example: its .git would be lost.
            raise DataError(
                f"{target}: holds {other[0]} beside an exported model; not replacing it.",
                f"Choose another place {OTHER_PLACE}, and move the files.",
            )


def _public(data: Mapping[str, Any]) -> dict[str, Any]:
    """What is recorded of the data, without the place where they lie."""
    return {**data, "path": ""}


def _write_grid(generator: Generator, file: Path) -> bool:
    """The run's grid at that checkpoint, or one of new samples; whether there is one."""
    drawn = [
        generator.run / "grids" / f"{generator.checkpoint.name}.png",
        generator.checkpoint / GRID,  # of an exported model
    ]
    for path in drawn:
        if path.is_file():
            write_whole(file, path.read_bytes())
            return True
    if generator.system.takes != "latents":
        return False
    write_grid(file, generator.sample(generator.recipe.grid, generator.recipe.seed))
    return True


def scores_of(generator: Generator) -> dict[str, tuple[float, str]]:
    """(value, how it was measured) of each score that the run has of this checkpoint, by name."""
    lines = [line for line in read_lines(generator.run / STATS) if line.get("nimg") == generator.nimg]
    if not lines:
        return {}
    protocols = lines[-1].get("protocols", {})
    names = [name for name in generator.recipe.eval.metrics if name in lines[-1]]
    return {name: (float(lines[-1][name]), str(protocols.get(name, "protocol not recorded"))) for name in names}


def model_card(generator: Generator, name: str, scores: Mapping[str, tuple[float, str]], grid: bool) -> str:
    """A model card for the Hugging Face hub: front matter in YAML, then Markdown.

    Args:
        generator: what it is of.
        name: of the folder.
        scores: as `scores_of` gives them.
        grid: whether there is a picture.
    """
    recipe, data = generator.recipe, generator.data
    task = "image-to-image" if generator.system.takes == "images" else "unconditional-image-generation"
    front: dict[str, Any] = {
        "license": "unknown",
        "library_name": "gantools",
        "pipeline_tag": task,
        "tags": ["gan", recipe.model, "gantools"],
    }
    if scores:
        results = {
            "task": {"type": task},
            "dataset": {"name": str(data.get("name", "")), "type": str(data.get("name", ""))},
            "metrics": [
                {"type": key, "value": value, "name": f"{key} ({how})"} for key, (value, how) in scores.items()
            ],
        }
        front["model-index"] = [{"name": name, "results": [results]}]
    head = yaml.safe_dump(front, sort_keys=False, allow_unicode=True, width=1000)
    head = head.replace("license: unknown\n", "license: unknown  # choose one; that of the images may bind it\n", 1)
    parts = [f"---\n{head}---\n\n# {_plain(name)}\n", _what(recipe)]
    if grid:
        parts.append(f"![Images of this model]({GRID})\n")
    parts += [_facts(generator), _measured(scores, generator.nimg), _use(generator, name)]
    if "." in recipe.model:
        parts.append(f"Its networks are those of the Python module {_code(recipe.model)}, which must be importable.\n")
    return "\n".join(parts)


def _what(recipe: Recipe) -> str:
    says = f": {recipe.description}" if recipe.description else ""
    lines = [f"A generator of images, trained with gantools by the recipe {_code(recipe.name)}{_plain(says)}.", ""]
    if recipe.source:
        # Those it was trained with may be others: size follows the data, and a user changes what he likes.
        lines += [f"Where that recipe's own settings come from: {_plain(recipe.source)}", ""]
    if recipe.system.reference:
        lines += [f"Method: {_plain(recipe.system.reference)}.", ""]
    return "\n".join(lines)


def _facts(generator: Generator) -> str:
    recipe, data = generator.recipe, generator.data
    h, w, c = generator.image_shape
    count = sum(p.numel() for network in generator.networks.values() for p in network.parameters())
    rows = {
        "recipe": f"{_code(recipe.name)}, system {_code(recipe.model)}; its settings in this training: {_code(CONFIG)}",
        "images": f"{h}x{w}, {c} channel{'s' * (c > 1)}",
        "parameters": f"{count:,}",
        "trained on": f"{_code(data.get('name', ''))}, {int(data.get('count', 0)):,} images, fingerprint "
        f"{_code(data.get('fingerprint', ''))}",
        "images shown": f"{generator.nimg / 1000:g} thousand",
        **({"classes": ", ".join(map(_plain, generator.classes))} if generator.classes else {}),
        **{
            f"control {_code(c.name)}": f"{c.low:g} to {c.high:g}. {_plain(c.words)}" for c in generator.system.controls
        },
        "written by": ", ".join(f"{key} {value}" for key, value in versions().items()),
    }
    return "\n".join(["| | |", "|---|---|", *(f"| {key} | {value} |" for key, value in rows.items()), ""])


def _measured(scores: Mapping[str, tuple[float, str]], nimg: int) -> str:
    if not scores:
        return "## Scores\n\nNone was measured at this checkpoint.\n"
    rows = [f"| {_code(key)} | {value:.6g} | {_plain(how)} |" for key, (value, how) in scores.items()]
    return "\n".join(["## Scores", "", "| score | value | how |", "|---|---|---|", *rows, ""])


def _use(generator: Generator, name: str) -> str:
    shape = "x".join(map(str, generator.image_shape))
    if generator.system.takes == "images":
        python = "made = generator.translate(images)  # uint8 (n, h, w, c), or a list of (h, w, c)"
        shell = f"gantools translate {_code_word(name)} photos/ --out results"
    else:
        told = ', class_="NAME"' if generator.classes else ""
        python = f"images = generator.sample(16, seed=0{told})  # uint8, 16 of {shape}"
        shell = f"gantools sample {_code_word(name)} -n 64 --grid"
    return f"""## Use

```python
import gantools

generator = gantools.Generator.load("{_code_word(name)}")
{python}
```

```sh
{shell}
```
"""


def _plain(text: str) -> str:
    """Text that stays on its line, and in its cell."""
    return " ".join(str(text).replace("|", "\\|").replace("<", "&lt;").split())


def _code(text: Any) -> str:
    return f"`{_plain(str(text)).replace('`', chr(39))}`"


def _code_word(name: str) -> str:
    """A folder's name within code: one that needs quotes is left to the reader."""
    return name if all(ch.isalnum() or ch in "._-" for ch in name) else "FOLDER"
