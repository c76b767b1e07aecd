"""All that changes while a training runs, and how it goes into a checkpoint and back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrize import ParametrizationList

from gantools.errors import CheckpointError, ConfigError
from gantools.models.system import Phase, Stage, build_networks
from gantools.recipes.recipe import Recipe
from gantools.runs.checkpoint import read_config, read_state, read_weights, write_checkpoint
from gantools.training.averaging import Average
from gantools.training.meter import Meter
from gantools.training.optimizers import Optimizer, lazy_share
from gantools.training.seeds import mixed

# Steps between two looks at how long the gradients are.
GRADIENT_STEPS = 16


class TrainingState:
    """Networks, their averages, optimizers, and where the training stands.

    Nothing random is in it: every phase draws from a generator that is seeded by where the training stands.

    Args:
        recipe: what to train.
        device: where.
        pretrained: read the files of networks that were trained elsewhere; False: their shapes alone, for a dry run.

    Raises:
        ConfigError: the system contradicts itself or the recipe, for example a penalty of gradients with BatchNorm.

    Attributes:
        networks: all of the system, those trained elsewhere included.
        files: of each network that was trained elsewhere, the sha256 of its file.
        stages: of the training, in order.
        nimg: real images shown.
        stage: index of the stage that was entered last, -1 before the first.
        steps: steps done in it.
        total_steps: steps done in all stages.
        retries: returns to a checkpoint, after numbers that were not finite.
        seconds: spent training.
    """

    def __init__(self, recipe: Recipe, device: torch.device, *, pretrained: bool = True) -> None:
        self.recipe, self.device = recipe, device
        system = recipe.system
        torch.manual_seed(recipe.seed)
        own = build_networks(system, recipe.network, recipe.game)
        frozen = system.frozen(recipe.network, recipe.game, pretrained)
        self.stages: tuple[Stage, ...] = recipe.stages()
        self.networks: dict[str, nn.Module] = {**own, **frozen}
        self.saved = tuple(own)
        for network in self.networks.values():
            network.to(device)
            if recipe.compute.channels_last:
                network.to(memory_format=torch.channels_last)
        self.files = {name: str(sha) for name, network in frozen.items() if (sha := getattr(network, "sha256", ""))}
        for network in frozen.values():
            network.eval().requires_grad_(False)
        if recipe.freeze_d:
            freeze_first(self.networks, recipe.freeze_d)
        check(self.stages, self.networks, own)
        updated = {name for stage in self.stages for phase in stage.phases for name in phase.updates}
        self.optimizers = {
            name: Optimizer(network, recipe.optim.of(name), lazy_share(self.stages, name), device)
            for name, network in own.items()
            if name in updated
        }
        self.averages: dict[str, Average] = {}
        if recipe.ema.half_life_kimg is not None:
            self.averages = {name: Average(own[name], recipe.ema) for name in system.averaged}
        self.meter = Meter()
        self.nimg, self.stage, self.steps = 0, -1, 0
        self.total_steps, self.retries = 0, 0
        self.seconds = 0.0

    @property
    def seed(self) -> int:
        """Of all that is drawn while training: another one after each return to a checkpoint, for other numbers."""
        return self.recipe.seed if self.retries == 0 else mixed(self.recipe.seed, self.retries)

    @property
    def stage_now(self) -> Stage:
        """The stage that was entered last."""
        return self.stages[self.stage]

    def begun(self) -> int:
        """Real images shown when the present stage began, as planned: a step too long moves no later stage."""
        return sum(stage.nimg or 0 for stage in self.stages[: max(0, self.stage)])

    def ended(self) -> bool:
        """Whether the next stage is to be entered."""
        if self.stage < 0:
            return True
        length = self.stage_now.nimg
        return length is not None and self.nimg >= self.begun() + length and self.stage + 1 < len(self.stages)

    def enter(self) -> Stage:
        """Begin the next stage: its copies of weights, its new optimizers."""
        self.stage, self.steps = self.stage + 1, 0
        for name, origin in self.stage_now.copies.items():
            self.networks[name].load_state_dict(self.networks[origin].state_dict())
        for name in self.stage_now.fresh:
            self.optimizers[name].renew()
        return self.stage_now

    def batch_size(self) -> int:
        """Images of a step of the present stage, of all processes together."""
        return self.stage_now.batch or self.recipe.batch

    def step(self, phase: Phase, gradients: Sequence[Tensor | None]) -> None:
        """Change the weights of the networks of `phase` by its gradients, one a trained parameter, in their order."""
        start = 0
        for name in phase.updates:
            optimizer = self.optimizers[name]
            count = len(optimizer.parameters)
            mine = gradients[start : start + count]
            if self.total_steps % GRADIENT_STEPS == 0 and (found := [g for g in mine if g is not None]):
                norm = torch.stack(torch._foreach_norm(found)).float().norm()
                self.meter.add(f"gradient/{phase.name}/{name}", {f"gradient_{name}": norm})
            optimizer.step(mine, self.nimg)
            start += count

    def count(self, batch: int) -> None:
        """A step of `batch` images is done: counters and averages."""
        self.nimg += batch
        self.steps += 1
        self.total_steps += 1
        for name, average in self.averages.items():
            average.update(self.networks[name], self.nimg, batch)

    def rates(self) -> dict[str, float]:
        """The learning rate of each network, as `lr_<network>`."""
        return {f"lr_{name}": optimizer.rate(self.nimg) for name, optimizer in self.optimizers.items()}

    def shown(self) -> dict[str, nn.Module]:
        """The networks that images are made by: the averages where there are some."""
        found = dict(self.networks)
        for name, average in self.averages.items():
            found[name] = average.network
        return {name: found[name] for name in self.recipe.system.shows}

    def save(self, run: Path, config: Mapping[str, Any]) -> Path:
        """Write a checkpoint into `run`; returns its folder."""
        networks = {name: self.networks[name] for name in self.saved}
        networks |= {f"{name}_ema": average.network for name, average in self.averages.items()}
        state: dict[str, Any] = {
            "nimg": self.nimg,
            "stage": self.stage,
            "steps": self.steps,
            "total_steps": self.total_steps,
            "retries": self.retries,
            "seconds": self.seconds,
            "optimizers": {name: optimizer.inner.state_dict() for name, optimizer in self.optimizers.items()},
            "meter": self.meter.state_dict(),
        }
        return write_checkpoint(run, self.nimg, networks, self.record(config), state, self.recipe.keep)

    def record(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """What is recorded of the training: `config`, and which files networks that were trained elsewhere are from."""
        return {**config, **({"pretrained": self.files} if self.files else {})}

    def load(self, checkpoint: Path) -> None:
        """Take over a checkpoint.

        Raises:
            CheckpointError: it is damaged or of another recipe, or was trained with another file of a network that
                was trained elsewhere.
        """
        before = read_config(checkpoint).get("pretrained", {})
        for name in before.keys() & self.files.keys():
            if before[name] != self.files[name]:
                raise CheckpointError(
                    f"{name}: its file is another than the run was trained with (sha256 {self.files[name][:12]}..., "
                    f"and then {before[name][:12]}...).",
                    "Give the file of then; --init-from starts a new run with this one.",
                )
        state = read_state(checkpoint)
        for name in self.saved:
            read_weights(checkpoint, name, self.networks[name])
        for name, average in self.averages.items():
            read_weights(checkpoint, f"{name}_ema", average.network)
        try:
            for name, optimizer in self.optimizers.items():
                optimizer.inner.load_state_dict(state["optimizers"][name])
            self.meter.load_state_dict(state["meter"], self.device)
            self.nimg, self.stage, self.steps = state["nimg"], state["stage"], state["steps"]
            self.total_steps, self.retries = state["total_steps"], state["retries"]
            self.seconds = state["seconds"]
        except (KeyError, ValueError, TypeError) as e:
            raise CheckpointError(
                f"{checkpoint}: its optimizers are not those of this recipe ({e}).",
                "Start a new run from its weights: --init-from",
            ) from e


def check(stages: Sequence[Stage], networks: Mapping[str, nn.Module], own: Mapping[str, nn.Module]) -> None:
    """Refuse stages that name what is not there, and penalties that mean nothing.

    Raises:
        ConfigError: a phase updates a network that does not exist or was trained elsewhere, or takes the gradient of
            each sample of a network whose batch normalisation couples the samples.
    """
    for stage in stages:
        for phase in stage.phases:
            for name in phase.updates:
                if name not in own:
                    raise ConfigError(f"phase {phase.name}: updates {name!r}, which is no network of the system.")
            for name in phase.uncoupled:
                for place, module in networks[name].named_modules():
                    normalises = isinstance(module, nn.modules.batchnorm._BatchNorm)
                    if normalises or getattr(module, "couples", False):
                        what = "batch normalisation" if normalises else "minibatch discrimination"
                        raise ConfigError(
                            f"phase {phase.name}: each sample is to be judged alone, and {what} couples "
                            f"the samples: {name} has {type(module).__name__} at {place!r}.",
                            "Use a network without it, or take out what asks for it: a penalty of gradients, "
                            "--set game.penalties.NAME=null, or a common batch of real and generated images, "
                            "--set game.together=false.",
                        )


def freeze_first(networks: Mapping[str, nn.Module], layers: int, name: str = "discriminator") -> None:
    """Freeze the first `layers` layers with weights of a network, with the normalisations that follow them.

    Source: Mo et al. 2020 (arXiv:2002.10964), FreezeD.

    Raises:
        ConfigError: there is no such network, or it has no more layers than that.
    """
    if name not in networks:
        raise ConfigError(f"freeze_d: the system has no {name}.", f"Its networks: {', '.join(networks)}.")
    found = 0

    def own(module: nn.Module) -> list[nn.Parameter]:
        # A weight under spectral norm lies a module deeper than its bias.
        deeper = getattr(module, "parametrizations", None)
        return [*module.parameters(recurse=False), *(deeper.parameters() if deeper is not None else ())]

    leaves = [m for m in networks[name].modules() if own(m) and not isinstance(m, ParametrizationList)]
    total = sum(any(p.dim() > 1 for p in own(m)) for m in leaves)
    if layers >= total:
        raise ConfigError(f"freeze_d: {layers} layers, and the {name} has {total}; one at least must be trained.")
    for module in leaves:
        found += any(p.dim() > 1 for p in own(module))
        if found > layers:
            break
        for parameter in own(module):
            parameter.requires_grad_(False)
