"""The `gantools` command: one file a sub-command, imported only when it is called.

Results go to stdout, everything else (progress, notes, errors) to stderr, so that output can be piped.
"""

from __future__ import annotations

import errno
import importlib
import logging
import os
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

import click
from click.shell_completion import CompletionItem

from gantools import __version__
from gantools.errors import GantoolsError, nearest

# name, which is that of its module here -> one-line help, so that `gantools --help` imports no torch.
COMMANDS = {
    "prep": "Prepare a set of images: decode, crop, resize, pack.",
    "info": "Show what a prepared set holds.",
    "show": "Write a grid of images of a prepared set to a PNG file.",
    "verify": "Compare every file of a prepared set with its manifest.",
    "merge": "Put together a set from the shares that prep --shards made.",
    "export": "Write a prepared set, or a trained generator, for other tools.",
    "recipes": "List, show and compare recipes.",
    "train": "Train a GAN by a recipe on a prepared set.",
    "report": "Write what came of trainings as one HTML page: curves, grids, recipe.",
    "studio": "Look at runs, trainings, sets and scores on a page of this machine.",
    "sample": "Generate images from a trained run.",
    "walk": "Walk from image to image of a trained run, as frames and as a film.",
    "project": "Find the latent of an image in a trained run.",
    "directions": "Find directions of a trained run's latents that change something one can see.",
    "translate": "Translate or enlarge images by a trained run.",
    "detect": "Tell generated images from real ones, and unusual ones from normal ones.",
    "import": "Put weights of another program into networks of gantools.",
    "score": "Score images against a reference set.",
    "ref": "Make, show and convert files of reference statistics.",
    "cache": "List, prune and clear what gantools keeps.",
    "doctor": "Look whether this machine has what gantools needs.",
    "quickstart": "Prepare, train, sample and score on data that ships with gantools.",
}


class LazyGroup(click.Group):
    """A click group that imports a sub-command's module only when that sub-command is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All commands, in the order a user meets them."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The click command `cmd_name`, or None when there is none."""
        if cmd_name not in COMMANDS:
            return None
        command = importlib.import_module(f"{__name__}.{cmd_name}").command
        assert isinstance(command, click.Command)
        return command

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """What the shell offers after `gantools`, without importing a command."""
        names = [CompletionItem(name, help=text) for name, text in COMMANDS.items() if name.startswith(incomplete)]
        return [*names, *click.Command.shell_complete(self, ctx, incomplete)]

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does, but a misspelt command names the nearest one."""
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            close = nearest(args[0], COMMANDS)
            meant = f" Did you mean {close!r}?" if close else ""
            ctx.fail(f"no such command {args[0]!r}.{meant} Commands: {', '.join(COMMANDS)}.")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list of commands in `--help`, without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120})
@click.version_option(__version__, prog_name="gantools")
def cli() -> None:
    """Prepare image sets, train GANs, sample from them and score the result.

    \b
    gantools prep celeba --size 64     files        -> data/celeba-64/
    gantools train dcgan               prepared set -> runs/00000-dcgan-celeba-64/
    gantools sample                    run          -> samples/
    gantools score --fid samples/      images       -> a number and how it was made

    `gantools quickstart` does all four on data that ships with gantools.
    """


def _die(message: str, hint: str | None, code: int) -> NoReturn:
    label = "Stopped" if code == 130 else "Error"
    click.echo(f"{click.style(label, fg='red', bold=True)}: {message}", err=True)
    if hint:
        click.echo(hint, err=True)
    # A second thread (a progress bar, a pool) must not keep a failed command alive.
    sys.stdout.flush()
    sys.stderr.flush()
    sys.exit(code)


class _Warnings(logging.Handler):
    """Prints what the library warns of, a line each, on the stderr of the moment."""

    def emit(self, record: logging.LogRecord) -> None:
        """`warning: ` and the message."""
        click.echo(f"warning: {record.getMessage()}", err=True)


def main(argv: Sequence[str] | None = None) -> Any:
    """Run the command line; a user's mistake ends in a message and an exit code, never in a traceback.

    Exit codes: 0 done, 1 the work failed, 2 the command was wrong, 130 stopped by Ctrl-C.
    `GANTOOLS_TRACEBACK=1` shows the traceback of an expected error as well.
    """
    debug = os.environ.get("GANTOOLS_TRACEBACK") == "1"
    warnings, log = _Warnings(logging.WARNING), logging.getLogger("gantools")
    log.addHandler(warnings)
    log.propagate = False
    try:
        cli.main(args=None if argv is None else list(argv), prog_name="gantools", standalone_mode=False)
    except click.exceptions.Exit as e:
        sys.exit(e.exit_code)
    except click.ClickException as e:
        e.show()
        sys.exit(e.exit_code)
    except GantoolsError as e:
        if debug:
            raise
        _die(e.message, e.hint, e.exit_code)
    except (KeyboardInterrupt, click.exceptions.Abort):
        _die("interrupted.", None, 130)
    except BrokenPipeError:
        # `gantools ... | head`: the reader went away, which is its right.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except OSError as e:
        if debug:
            raise
        where = f" ({e.filename})" if e.filename else ""
        hint = None
        if e.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            hint = "The disk is full (or a size limit was hit). Free some space and run the same command again."
        elif e.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            hint = "Check the permissions, or choose another place with --out."
        _die(f"{(e.strerror or str(e)).lower()}{where}", hint, 1)
    finally:
        log.removeHandler(warnings)
        log.propagate = True
    sys.exit(0)
