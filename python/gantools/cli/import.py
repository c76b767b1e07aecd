"""`gantools import`."""

from __future__ import annotations

import click


@click.command("import")
@click.argument("file")
@click.option("--recipe", metavar="NAME", help="Recipe whose networks the weights go into.")
@click.option("--model", metavar="NAME", help="Or a system with its own defaults.")
@click.option("--network", metavar="NAME", help="Network that FILE is for.  [default: the one that makes images]")
@click.option("--part", metavar="NAME", help="Network to take, of several in FILE.  [default: by usual names]")
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Change the recipe: network.latent=100.")
@click.option("--out", metavar="DIR", help="Folder of the run to make.  [default: runs/import-FILE]")
def command(
    file: str,
    recipe: str | None,
    model: str | None,
    network: str | None,
    part: str | None,
    overrides: tuple[str, ...],
    out: str | None,
) -> None:
    """Put weights of another program into networks of gantools, as a run.

    FILE is a state dict saved by torch, or a safetensors file. Tensors are found by name, then by order and shape; what
    was taken and what was not is said, and listed in the run's import.json. The run is good for `gantools sample` and
    for `gantools train --init-from`.
    """
    # Here, so that --help does not wait for torch.
    from gantools.training.foreign import import_weights

    options = {"network": network, "part": part, "overrides": overrides, "out": out}
    run, lines = import_weights(file, recipe=recipe, model=model, **options)  # type: ignore[arg-type]
    for line in lines:
        click.echo(line, err=True)
    click.echo(run)
