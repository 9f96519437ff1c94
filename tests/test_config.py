from pathlib import Path

import pytest

from pcdenoise.config import compose, config_dir, instantiate
from pcdenoise.denoisers.models import WEIGHTS, read_weights
from pcdenoise.errors import UsageError
from pcdenoise.score import check_fits

CHOICES = [(path.parent.name, path.stem) for path in sorted(config_dir().glob("*/*.yaml"))]


@pytest.mark.parametrize(
    ("group", "name"), [c for c in CHOICES if c[0] not in ("experiment", "dataset", "noise", "method")]
)
def test_every_training_choice_composes_and_instantiates(group, name):
    config = compose("train", [f"{group}={name}"])
    assert instantiate(config[group]) is not None


@pytest.mark.parametrize("name", [name for group, name in CHOICES if group == "dataset"])
def test_every_dataset_composes_and_instantiates(name):
    words = {"shapes": [], "packed": ["dataset.path=nowhere"]}.get(name, ["dataset.root=nowhere"])
    config = compose("train", [f"dataset={name}", *words])
    assert hasattr(instantiate(config["dataset"]), "surfaces")


@pytest.mark.parametrize("name", [name for group, name in CHOICES if group == "sampler"])
def test_every_sampler_composes_and_instantiates(name):
    assert callable(instantiate(compose("denoise", [f"sampler={name}"])["sampler"]))


@pytest.mark.parametrize("name", [name for group, name in CHOICES if group == "experiment"])
def test_every_experiment_fits_together(name):
    config = compose("train", [f"experiment={name}"])
    network = instantiate(config["network"])
    for part in ("loss", "sampler"):
        check_fits(part, instantiate(config[part]).needs, name, network.offers)


@pytest.mark.parametrize(
    ("needs", "offers", "remedy"),
    [
        ({"energy"}, {"levels"}, "network=energy"),
        ({"levels"}, {"energy"}, "network=edgeconv"),
        ({"levels", "local"}, {"levels"}, "network=conditional"),
    ],
)
def test_impossible_combinations_are_refused_with_the_remedy(needs, offers, remedy):
    with pytest.raises(UsageError, match=remedy):
        check_fits("the loss", frozenset(needs), "the network", frozenset(offers))
    check_fits("the loss", frozenset(needs), "the network", frozenset(needs | offers))


def test_words_are_no_numbers():
    for word in ("step=much", "step=.inf", "step=true", "steps=1.5"):
        with pytest.raises(UsageError, match="give a"):
            instantiate(compose("denoise", [f"sampler.{word}"])["sampler"])


def test_mistakes_are_usage_errors():
    for words in (["dataset=nonsense"], ["trainer.nonsense=1"], ["dataset=pu_net"], ["a=b=["]):
        with pytest.raises(UsageError):
            compose("train", words)
    for target in ("os.system", "pcdenoise.nowhere.X", "pcdenoise.cloud.Nothing"):
        with pytest.raises(UsageError):
            instantiate({"_target_": target})
    with pytest.raises(UsageError, match="does not take"):
        instantiate({"_target_": "pcdenoise.samplers.ascent.Ascent", "nonsense": 1})


def test_nothing_but_pcdenoise_is_instantiated(tmp_path: Path):
    victim = tmp_path / "victim"
    victim.touch()
    with pytest.raises(UsageError, match="outside pcdenoise"):
        instantiate({"_target_": "os.remove", "path": str(victim)})
    assert victim.exists()


def test_network_flagship_is_that_of_the_weights_that_ship():
    assert (
        compose("train", ["network=flagship"])["network"]
        == read_weights(WEIGHTS / "flagship.safetensors")[1]["network"]
    )
