"""Noise models by name: the files of conf/noise/."""

from collections.abc import Sequence

from pcdenoise.config import compose, config_dir, instantiate
from pcdenoise.datasets.noise_models.model import NoiseModel
from pcdenoise.errors import UsageError


def noise_names() -> list[str]:
    """Names of the noise models, in alphabetical order."""
    return sorted(path.stem for path in (config_dir() / "noise").glob("*.yaml"))


def noise_model(name: str, level: float | None = None, overrides: Sequence[str] = ()) -> NoiseModel:
    """The noise model of `conf/noise/<name>.yaml`.

    Args:
        name: one of `noise_names()`.
        level: relative to the unit sphere; None takes that of `conf/noise.yaml`.
        overrides: further values, such as `noise.share=0.1`.

    Raises:
        UsageError: no such model, a level for a model that has none, or a value that does not fit.
    """
    if name not in noise_names():
        raise UsageError(f"there is no noise model {name!r}; choose from {', '.join(noise_names())}")
    words = [f"noise={name}", *overrides]
    if level is not None:
        if "${level}" not in (config_dir() / "noise" / f"{name}.yaml").read_text():
            raise UsageError(f"the noise model {name!r} has no level; set its own values, such as noise.share=0.1")
        words.append(f"level={level}")
    model = instantiate(compose("noise", words)["noise"])
    assert isinstance(model, NoiseModel)
    return model
