"""The systems gantools can train: a file each, with its networks, its game, its stages and `SYSTEM`.

A system knows no training loop. What the loop needs of one is `System` (`system.py`); stages that many share are in
`games.py`. To add one, write its file and add its name to `NAMES`; a dotted name, as in `model: mypackage.mygan`, is a
system that lives in a module of somebody else's.
"""

from __future__ import annotations

import importlib

from gantools.errors import ConfigError, unknown_name
from gantools.models.system import System

# Name of a system -> its file here, imported when it is asked for.
NAMES = {
    "biggan": "biggan",
    "conv-mnist": "conv_mnist",
    "cyclegan": "cyclegan",
    "dcgan": "dcgan",
    "dcgan-faces": "dcgan_faces",
    "dcgan-fashion": "dcgan_fashion",
    "dcgan-keras": "dcgan_keras",
    "ebgan": "ebgan",
    "mlp": "mlp",
    "msggan": "msggan",
    "pix2pix": "pix2pix",
    "progan": "progan",
    "r3gan": "r3gan",
    "resnet": "resnet",
    "sfgan": "sfgan",
    "stylegan": "stylegan",
    "stylegan2": "stylegan2",
    "srgan": "srgan",
    "vsrgan": "vsrgan",
    "tpgan": "tpgan",
}


def find_system(name: str, place: str = "model") -> System:
    """The system called `name`: one of `NAMES`, or `SYSTEM` of an importable module with a dotted name.

    Args:
        name: of the system.
        place: what named it, for the error message.

    Raises:
        ConfigError: there is none of that name, or its module cannot be imported or has no `SYSTEM`.
    """
    if name in NAMES:
        module = importlib.import_module(f"gantools.models.{NAMES[name]}")
    elif "." in name:
        try:
            module = importlib.import_module(name)
        except ImportError as e:
            raise ConfigError(
                f"{place}: the module {name!r} cannot be imported: {e}.",
                "A dotted name is a Python module with SYSTEM in it; PYTHONPATH says where it is looked for.",
            ) from e
    else:
        raise unknown_name(place, name, NAMES)
    system = getattr(module, "SYSTEM", None)
    if not isinstance(system, System):
        raise ConfigError(f"{place}: the module {name!r} has no SYSTEM of gantools.models.system.System.")
    return system
