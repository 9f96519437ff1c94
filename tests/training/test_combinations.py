"""Any loss, network and sampler that make sense together combine; the others are refused with the remedy."""

import numpy as np
import pytest
import torch

from pcdenoise.config import compose, config_dir, instantiate
from pcdenoise.denoisers.learned import LearnedDenoiser
from pcdenoise.errors import UsageError
from pcdenoise.score import check_fits
from pcdenoise.training.loop import Trainer
from pcdenoise.training.patches import CleanCloud, PatchSampler
from pcdenoise.training.state import TrainingState

SMALL = {"channels": 16, "neighbours": 12, "neighbourhoods": (4, 12)}
NETWORKS = {
    "edgeconv": {"blocks": (1, 1)},
    "edgeconv_film": {"blocks": (1,), "conditioning": "film"},
    "edgeconv_none": {"blocks": (1,), "conditioning": "none"},
    "energy": {"blocks": 1},
    "conditional": {"blocks": 1, "hidden": 16, "residual": 1},
    "conditional_none": {"blocks": 1, "hidden": 16, "residual": 1, "conditioned": False},
}
LOSSES = sorted(path.stem for path in (config_dir() / "loss").glob("*.yaml"))
SAMPLERS = sorted(path.stem for path in (config_dir() / "sampler").glob("*.yaml"))


def network(name):
    torch.manual_seed(0)
    config = compose("train", [f"network={name.partition('_')[0]}"])["network"]
    return instantiate(config | SMALL | NETWORKS[name])


def refused(part, built):
    try:
        check_fits("it", part.needs, "the network", built.offers)
    except UsageError:
        return True
    return False


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("loss", LOSSES)
def test_every_loss_trains_every_network_that_fits(sphere, loss, name):
    built, loss = network(name), instantiate(compose("train", [f"loss={loss}"])["loss"])
    if refused(loss, built):
        pytest.skip(f"refused: needs {', '.join(sorted(loss.needs - built.offers))}")
    state = TrainingState(built, 1e-3, 0.0)
    before = [value.clone() for value in built.parameters()]
    patches = PatchSampler(points=200, patches=2, levels=loss.levels)
    steps = list(Trainer(max_steps=2, warmup=1).run(state, loss, patches, [CleanCloud(sphere, sphere)]))
    assert np.isfinite([step.loss for step in steps]).all()
    assert any(not torch.equal(a, b) for a, b in zip(before, built.parameters(), strict=True))


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("sampler", SAMPLERS)
def test_every_sampler_follows_every_network_that_fits(noisy_sphere, sampler, name):
    built, sampler = network(name), instantiate(compose("denoise", [f"sampler={sampler}"])["sampler"])
    if refused(sampler, built):
        pytest.skip(f"refused: needs {', '.join(sorted(sampler.needs - built.offers))}")
    points, progress, iterates = noisy_sphere[:300] / 0.15, [], []
    denoiser = LearnedDenoiser(built.eval().requires_grad_(False), sampler=sampler)
    result = denoiser(points, np.full(300, 0.2), denoiser.passes, progress.append, 3, iterates.append)
    assert np.isfinite(result).all()
    np.testing.assert_array_equal(result, iterates[-1])
    assert progress == sorted(progress)
    assert progress[-1] == 1.0


def test_what_is_refused():
    """The table of what fits, so that a change of it is seen."""
    networks = {name: network(name) for name in NETWORKS}
    fits = {}
    for kind, names in (("loss", LOSSES), ("sampler", SAMPLERS)):
        for name in names:
            part = instantiate(compose("train", [f"{kind}={name}"])[kind])
            fits[name] = [key for key, built in networks.items() if not refused(part, built)]
    told, local = ["edgeconv", "edgeconv_film", "conditional"], ["conditional", "conditional_none"]
    wanted = {
        ("chamfer", "dsm", "explicit", "paired_dsm", "ascent", "langevin"): list(NETWORKS),
        ("sliced",): [name for name in NETWORKS if name != "energy"],
        ("ncsn", "annealed_langevin", "ode", "ddpm", "ddim"): told,
        ("implicit", "luo_hu", "luo_hu_selfsup"): local,
        ("sbd", "sbd_old_weight"): ["conditional"],
        ("mdsm", "tempered_langevin"): ["energy"],
    }
    assert fits == {name: networks for names, networks in wanted.items() for name in names}
