"""The parts of a training run, made from its configuration."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch

from pcdenoise.config import instantiate
from pcdenoise.datasets.pairs import with_pairs
from pcdenoise.datasets.surfaces import SurfaceSource
from pcdenoise.errors import UsageError
from pcdenoise.networks.score_network import ScoreNetwork
from pcdenoise.score import Sampler, check_fits, named
from pcdenoise.training.loop import Loss, Trainer
from pcdenoise.training.patches import PatchSampler
from pcdenoise.training.validation import Validation


@dataclass(frozen=True)
class Recipe:
    """Parts that go together.

    Attributes:
        network: with fresh weights, on its device.
        loss, patches, trainer: what it is trained by.
        sampler, validation: what it is judged by.
        dataset: what it is trained on.
        validation_dataset: what it is judged on; None for the last shapes of `dataset`.
        pairs: whether both are taken for the noisy clouds that they have.
    """

    network: ScoreNetwork
    loss: Loss
    patches: PatchSampler
    trainer: Trainer
    sampler: Sampler
    validation: Validation
    dataset: SurfaceSource
    validation_dataset: SurfaceSource | None
    pairs: bool

    @classmethod
    def of(cls, config: Mapping[str, Any], device: torch.device, processes: int) -> "Recipe":
        """Make the parts that `conf/train.yaml` names and refuse those that do not go together. No data is read.

        Args:
            config: `conf/train.yaml`, composed.
            device: where to train.
            processes: how many train together.

        Raises:
            UsageError: a value outside its range, or parts that do not go together; says what would.
        """
        for name in ("log_every", "checkpoint_every"):
            if int(config[name]) < 1:
                raise UsageError(f"{name} is {config[name]}; give at least 1 step")
        network = instantiate(config["network"]).to(device)
        loss, sampler, trainer = (instantiate(config[name]) for name in ("loss", "sampler", "trainer"))
        for name, part in (("loss", loss), ("sampler", sampler)):
            check_fits(named(config[name]), part.needs, named(config["network"]), network.offers)
        trainer.check_fits(network, device)
        patches = replace(instantiate(config["patches"]), levels=loss.levels)
        if patches.patches % processes:
            raise UsageError(
                f"patches.patches={patches.patches} cannot be shared by {processes} processes; "
                f"give a multiple of {processes}"
            )
        widest = max(getattr(module, "neighbours", 0) for module in network.modules())
        if patches.points <= widest:
            raise UsageError(
                f"patches.points={patches.points} are too few for {widest} neighbours; give more, or fewer "
                "network.neighbours"
            )
        validation = instantiate(config["validation"])
        held_out, pairs = config.get("validation_dataset") or None, bool(config["pairs"])
        offered = (held_out or config["dataset"]).get("resolutions")
        if offered is not None and validation.resolution not in offered and not pairs:
            raise UsageError(
                f"validation.resolution={validation.resolution} is none of the resolutions of the data set, {offered}; "
                "give one of them"
            )
        if pairs and loss.levels is not None:
            raise UsageError(
                f"loss={named(config['loss'])} draws noise of its own levels, and with pairs=true it is as measured; "
                "use loss=paired_dsm, or pairs=false"
            )
        sources = [instantiate(source) for source in (config["dataset"], held_out) if source]
        for source in sources if pairs else []:
            with_pairs(source)
        return cls(
            network=network,
            loss=loss,
            patches=patches,
            trainer=trainer,
            sampler=sampler,
            validation=validation,
            dataset=sources[0],
            validation_dataset=sources[1] if held_out else None,
            pairs=pairs,
        )
