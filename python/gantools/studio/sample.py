"""The page Sample: pictures of a view, what is known of a run, things to keep."""

from __future__ import annotations

import io
from collections.abc import Hashable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from gantools import _native
from gantools.errors import ConfigError, GantoolsError
from gantools.runs.folders import RECORD
from gantools.runs.layout import best_checkpoint
from gantools.sampling.directions import FILE as DIRECTIONS
from gantools.studio.answers import PNG, Answer, Route, download, told
from gantools.studio.query import Query
from gantools.studio.shelf import MODEL, Shelf, config_of, stamp_of, takes_of, trained_on, weights_hash
from gantools.studio.stamp import read_stamp, stamped
from gantools.studio.view import View, read_view

if TYPE_CHECKING:
    from gantools.sampling.generator import Generator
    from gantools.sampling.options import Options

#: Of a stamp.
VERSION = 1
#: Pairs of an image and its nearest training image that are shown.
PAIRS = 8


def runs(shelf: Shelf, query: Query, body: bytes) -> Answer:
    """What is on the shelf, newest first, as far as it can be told without loading networks."""
    query.done()
    found = []
    for name, path in reversed(shelf.runs().items()):
        config = config_of(path)
        checkpoints = list(shelf.checkpoints(path))
        recipe, data = config["recipe"], config["data"]
        found.append(
            {
                "run": name,
                "recipe": str(recipe.get("name", "")),
                "model": str(recipe.get("model", "")),
                "takes": takes_of(recipe.get("model")),
                "data": str(data.get("name", "")),
                "checkpoints": len(checkpoints),
                "last": checkpoints[-1] if checkpoints else None,
                "trained": (path / RECORD).is_file(),
            }
        )
    return told(found)


def run(shelf: Shelf, query: Query, body: bytes) -> Answer:
    """What a run lets one turn: checkpoints, controls, classes, directions."""
    path = shelf.run(query.text("run"))
    name, _ = shelf.checkpoint(path, query.text("checkpoint", "last"))
    query.done()
    generator = shelf.generator(path, name)
    best = best_checkpoint(path)
    latents = generator.system.takes == "latents"
    shape = generator.styles_shape if latents else None
    directions: list[dict[str, Any]] = []
    notes = []
    if latents and (path / DIRECTIONS).is_file():
        try:
            directions = [{"name": about.name, "kind": about.kind} for about in generator.found_directions.about]
        except GantoolsError as e:
            notes.append(e.message)
    h, w, c = generator.image_shape
    return told(
        {
            "run": query.text("run"),
            "checkpoint": name,
            "checkpoints": list(shelf.checkpoints(path)),
            "best": None if best is None else f"{best.nimg / 1000:.10g}",
            "takes": generator.system.takes,
            "recipe": generator.recipe.name,
            "model": generator.recipe.model,
            "kimg": generator.nimg / 1000,
            "shape": [h, w, c],
            "classes": generator.classes,
            "controls": [vars(control) for control in generator.system.controls],
            "styles": None if shape is None else shape[0],
            "directions": directions,
            "data": str(generator.data.get("name", "")),
            "device": str(generator.device),
            "notes": notes,
        }
    )


def images_of(view: View, generator: Generator, fast: bool) -> tuple[NDArray[np.uint8], int | None]:
    """The images of a view, uint8 (n, h, w, c), and how many of them are in a row; None: as in any grid.

    Args:
        view: what is looked at.
        generator: of its checkpoint.
        fast: compute no more images than are seen, which may change a pixel by 1; else as `gantools sample` does.
    """
    from gantools.sampling.images import BATCH
    from gantools.sampling.latents import blend, mix_styles, way
    from gantools.sampling.write import rows_of_grid

    options: Options = {"class_": view.class_, "controls": view.controls, "directions": view.directions}
    classes = len(generator.classes or ()) if view.class_ is None else 0
    if view.kind == "grid":
        options["batch"] = view.n if fast else BATCH
        return rows_of_grid(generator.sample(view.n, view.seed, **options), classes)
    options["batch"] = 1 if fast else BATCH
    if view.kind == "one":
        return generator.numbered(view.index, 1, view.seed, **options), None
    if view.kind == "seeds":
        return generator.of_seeds(view.seeds, **options), None
    keys = generator.keys(seeds=view.seeds)
    if view.kind == "walk":
        options["class_"] = 0 if view.class_ is None and generator.classes else view.class_
        z = way(keys, view.frames, not view.once)
        start = view.frame // options["batch"] * options["batch"]
        made = generator.from_latents(z[start : start + options["batch"]], **options)
        return made[view.frame - start : view.frame - start + 1], None
    if view.kind == "pad":
        return generator.from_latents(blend(keys, view.x, view.y), **options), None
    options["batch"] = len(view.seeds) * len(view.others) if fast else BATCH
    rows, columns = generator.styles_of(keys), generator.styles_of(generator.keys(seeds=view.others))
    return generator.from_latents(mix_styles(rows, columns, (view.low, view.high)), **options), len(view.others)


def _looked_at(shelf: Shelf, query: Query) -> tuple[View, Path, Path]:
    """The view that is asked for, of a checkpoint by its own name; the run's folder and the checkpoint's."""
    asked = read_view(query)
    path = shelf.run(asked.run)
    name, checkpoint = shelf.checkpoint(path, asked.checkpoint)
    return View(**{**vars(asked), "checkpoint": name}), path, checkpoint


def _picture(shelf: Shelf, view: View, path: Path, checkpoint: Path, fast: bool) -> bytes:
    key: Hashable = (stamp_of(checkpoint), view.address(), fast)

    def make() -> bytes:
        from gantools.grid import make_grid

        images, columns = images_of(view, shelf.generator(path, view.checkpoint), fast)
        alone = view.kind in ("one", "walk", "pad")
        return _native.encode_png(images[0] if alone else make_grid(images, columns))

    return shelf.pictures.get(key, make)


def picture(shelf: Shelf, query: Query, body: bytes) -> Answer:
    """The picture of a view: the bytes of `gantools sample`, or with `fast`, quickly, nearly these."""
    view, path, checkpoint = _looked_at(shelf, query)
    fast = query.switch("fast")
    query.done()
    return Answer(_picture(shelf, view, path, checkpoint, fast), PNG)


def lines(shelf: Shelf, query: Query, body: bytes) -> Answer:
    """The address of a view, the command and the lines of Python that make the same."""
    view, path, _ = _looked_at(shelf, query)
    query.done()
    model = view.checkpoint == MODEL
    command, file = view.command(path, model)
    return told({"address": view.address(), "command": command, "file": file, "python": view.python(path, model)})


def save_picture(shelf: Shelf, query: Query, body: bytes) -> Answer:
    """The picture of a view as a file, which with `stamp` says what it is."""
    view, path, checkpoint = _looked_at(shelf, query)
    stamp = query.switch("stamp")
    query.done()
    png = _picture(shelf, view, path, checkpoint, False)
    if stamp:
        recipe = config_of(path)["recipe"].get("name", "")
        said = {"view": view.address(), "recipe": recipe, "weights": weights_hash(checkpoint)}
        png = stamped(png, {"version": VERSION, **said})
    return download(png, PNG, f"{view.run}-{view.kind}.png")


def save_latents(shelf: Shelf, query: Query, body: bytes) -> Answer:
    """The latents of a view's images as a file for `--latents`: (n, latent), of a mixture styles (n, count, style)."""
    from gantools.sampling.latents import blend, mix_styles, way

    view, path, _ = _looked_at(shelf, query)
    query.done()
    generator = shelf.generator(path, view.checkpoint)
    generator.check_samples()
    if view.kind == "grid":
        found = generator.latents_of(0, view.n, view.seed)
    elif view.kind == "one":
        found = generator.latents_of(view.index, 1, view.seed)
    else:
        found = generator.keys(seeds=view.seeds)
        if view.kind == "walk":
            found = way(found, view.frames, not view.once)
        elif view.kind == "pad":
            found = blend(found, view.x, view.y)
        elif view.kind == "mix":
            columns = generator.styles_of(generator.keys(seeds=view.others))
            found = mix_styles(generator.styles_of(found), columns, (view.low, view.high))
    file = io.BytesIO()
    np.save(file, found)
    return download(file.getvalue(), "application/octet-stream", "latents.npy")


def save_film(shelf: Shelf, query: Query, body: bytes) -> Answer:
    """The whole walk as an animated PNG: the file of `gantools walk --film`."""
    from gantools.sampling.film import film_of

    view, path, _ = _looked_at(shelf, query)
    query.done()
    if view.kind != "walk":
        raise ConfigError("a film is of a walk.", "Choose the walk first.")
    generator = shelf.generator(path, view.checkpoint)
    label = 0 if view.class_ is None and generator.classes else view.class_
    keys = generator.keys(seeds=view.seeds)
    options: Options = {"class_": label, "controls": view.controls, "directions": view.directions}
    batches = generator.walk_batches(view.frames, keys, closed=not view.once, **options)
    frames = (_native.encode_png(image) for images in batches for image in images)
    return download(film_of(frames, view.frames, view.fps), PNG, f"{view.run}-walk.png")


def nearest(shelf: Shelf, query: Query, body: bytes) -> Answer:
    """The training images that a view's images are nearest to by their pixels, the nearest pairs first."""
    from gantools.metrics.pixels.nearest import nearest_images

    view, path, _ = _looked_at(shelf, query)
    query.done()
    generator = shelf.generator(path, view.checkpoint)
    images, _ = images_of(view, generator, True)
    data = trained_on(path)
    near = nearest_images(images, data, mirror=generator.recipe.data.flip)
    pairs = [
        {
            "image": int(i),
            "place": int(near.index[i]),
            "name": data.names[near.index[i]],
            "apart": round(float(near.distance[i]), 2),
            "mirrored": bool(near.mirrored[i]),
        }
        for i in np.argsort(near.distance, kind="stable")[:PAIRS]
    ]
    return told({"pairs": pairs, "searched": near.searched, "set": data.name, "images": len(images)})


def pair(shelf: Shelf, query: Query, body: bytes) -> Answer:
    """Image `image` of a view and training image `place` below each other."""
    from gantools.grid import make_grid

    view, path, _ = _looked_at(shelf, query)
    generator, data = shelf.generator(path, view.checkpoint), trained_on(path)
    images, _ = images_of(view, generator, True)
    image = images[query.integer("image", 0, len(images) - 1, 0)]
    real = data[query.integer("place", 0, len(data) - 1, 0)]
    real = real[:, ::-1] if query.switch("mirrored") else real
    query.done()
    if image.shape != real.shape:
        image = _native.resize(image, real.shape[0], real.shape[1], "box").reshape(real.shape)
    return Answer(_native.encode_png(make_grid(np.stack([image, real]), 1)), PNG)


def restore(shelf: Shelf, query: Query, body: bytes) -> Answer:
    """The address of what a picture shows that was saved here, and a word where its weights are others now."""
    query.done()
    said = read_stamp(body)
    asked = Query(str(said.get("view", "")))
    view = read_view(asked)
    asked.done()
    note = None
    path = shelf.run(view.run)
    _, checkpoint = shelf.checkpoint(path, view.checkpoint)
    if weights_hash(checkpoint) != said.get("weights"):
        note = f"{view.run} has other weights at {view.checkpoint} than this picture was made with."
    return told({"address": view.address(), "note": note})


ROUTES: dict[str, Route] = {
    "/api/runs": Route(runs),
    "/api/run": Route(run, "networks"),
    "/api/lines": Route(lines),
    "/picture.png": Route(picture, "networks"),
    "/save/picture.png": Route(save_picture, "networks"),
    "/save/latents.npy": Route(save_latents, "networks"),
    "/save/film.png": Route(save_film, "networks"),
    "/api/nearest": Route(nearest, "networks"),
    "/picture/pair.png": Route(pair, "networks"),
    "/restore": Route(restore, "files", "PUT"),
}
