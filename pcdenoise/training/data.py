"""What a run trains on, and what it is judged by."""

from dataclasses import dataclass

from pcdenoise.datasets.pairs import Pair, with_pairs
from pcdenoise.datasets.surfaces import Progress, Surface
from pcdenoise.errors import InputError, UsageError
from pcdenoise.training.patches import CleanCloud, MeasuredCloud
from pcdenoise.training.recipe import Recipe


@dataclass(frozen=True)
class TrainingData:
    """Clouds, read.

    Attributes:
        clouds: to cut patches out of.
        shapes: names of what is in them.
        held_out: for validation.
    """

    clouds: list[CleanCloud]
    shapes: list[str]
    held_out: list[Surface] | list[Pair]


def read_data(recipe: Recipe, holdout: int, progress: Progress | None = None) -> TrainingData:
    """Read the data sets of a recipe.

    Args:
        recipe: says which, and whether the noise is drawn or that of measured pairs.
        holdout: so many last shapes, with all their pairs, are held out where there is no validation data set.
        progress: told of each shape.

    Raises:
        UsageError: nothing is left to train on, or to hold out.
        InputError: a data set cannot be read, or has no clouds of the size to validate on.
    """
    if recipe.pairs:
        return _pairs(recipe, holdout, progress)
    training = recipe.dataset.surfaces(progress)
    if recipe.validation_dataset:
        held_out = recipe.validation_dataset.surfaces(progress)
    else:
        _check_holdout(holdout, len(training))
        training, held_out = training[:-holdout], training[-holdout:]
    without = [s.name for s in held_out if recipe.validation.resolution not in s.clouds]
    if without:
        raise InputError(
            f"{without[0]} has no cloud of {recipe.validation.resolution} points to validate on; "
            f"give validation.resolution one of {list(held_out[0].clouds)}"
        )
    clouds = [
        CleanCloud(*cloud, f"{surface.name} ({count} points)")
        for surface in training
        for count, cloud in surface.clouds.items()
    ]
    if not clouds:
        raise InputError("the data set has no clouds; check dataset.resolutions")
    return TrainingData(clouds, [surface.name for surface in training], held_out)


def _pairs(recipe: Recipe, holdout: int, progress: Progress | None) -> TrainingData:
    training = with_pairs(recipe.dataset).pairs(progress)
    if recipe.validation_dataset:
        held_out = with_pairs(recipe.validation_dataset).pairs(progress)
    else:
        shapes = list(dict.fromkeys(pair.shape for pair in training))
        _check_holdout(holdout, len(shapes))
        held_out = [pair for pair in training if pair.shape in shapes[-holdout:]]
        training = [pair for pair in training if pair.shape in shapes[:-holdout]]
    return TrainingData([MeasuredCloud(pair) for pair in training], [pair.name for pair in training], held_out)


def _check_holdout(holdout: int, shapes: int) -> None:
    if not 0 < holdout < shapes:
        raise UsageError(f"holdout={holdout} of {shapes} shapes; hold out at least one and train on at least one")
