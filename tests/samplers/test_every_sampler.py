"""What holds for all samplers, as the command line builds them."""

import itertools

import pytest
import torch
from omegaconf import OmegaConf
from oracles import Mixture, Sphere

from pcdenoise.config import config_dir, instantiate
from pcdenoise.errors import UsageError
from pcdenoise.score import REMEDIES

SAMPLERS = {
    path.stem: instantiate(OmegaConf.to_container(OmegaConf.load(path)))
    for path in sorted((config_dir() / "sampler").glob("*.yaml"))
}
DRAWING = {"langevin", "annealed_langevin", "tempered_langevin"}
WITH_LEVELS = {"annealed_langevin", "ddim", "ddpm", "ode"}
MIXTURE = Mixture(
    torch.tensor([[1.0, 0.0, 0.0], [-1.0, 0.5, 0.0], [0.0, 0.0, 2.0]]).double(),
    torch.tensor([0.1, 0.5, 0.05]).double(),
    torch.tensor([0.3, 0.5, 0.2]).double(),
)


def cloud(n, seed=0):
    """Positions, and a noise level of each row between 0.03 and 3 spacings."""
    generator = torch.Generator().manual_seed(seed)
    x = 2 * torch.randn(n, 3, generator=generator, dtype=torch.float64)
    return x, 0.03 * 100 ** torch.rand(n, 1, generator=generator, dtype=torch.float64)


def run(name, field, x, sigma, seed=0):
    return list(SAMPLERS[name](field, x, sigma, torch.Generator().manual_seed(seed)))


def rational(x, sigma):
    """A field of correctly rounded operations only: its bits do not depend on how rows are grouped."""
    return (1 - x) / (sigma * sigma + x * x)


def test_all_are_here():
    assert {"ascent"} | DRAWING | WITH_LEVELS == set(SAMPLERS)


@pytest.mark.parametrize("name", SAMPLERS)
def test_it_says_what_it_needs_and_how_often_it_asks(name):
    sampler = SAMPLERS[name]
    assert sampler.needs <= set(REMEDIES)
    assert ("levels" in sampler.needs) == (name in WITH_LEVELS)
    asked = []

    def field(x, sigma):
        asked.append(sigma)
        return MIXTURE(x, sigma)

    x, _ = cloud(50)
    run(name, field, x, torch.full((50, 1), 100.0).double())  # above every ladder
    assert len(asked) == sampler.evaluations
    asked.clear()
    run(name, field, *cloud(50))
    assert 0 < len(asked) <= sampler.evaluations


@pytest.mark.parametrize("name", SAMPLERS)
def test_it_enters_at_the_told_level_and_never_asks_above_it(name):
    x, told = cloud(300)
    asked = []

    def field(x, sigma):
        asked.append(sigma)
        return MIXTURE(x, sigma)

    run(name, field, x, told)
    # the posterior at the cloud's own level is the cloud
    first = list(SAMPLERS[name].ladder.rungs(told))[1] if name == "annealed_langevin" else told
    assert torch.equal(asked[0], first)
    for before, after in itertools.pairwise(asked):
        assert bool((after <= before).all())
    assert (name in WITH_LEVELS) == bool((asked[-1] < told).any())


@pytest.mark.parametrize("name", sorted(WITH_LEVELS))
def test_below_the_ladder_there_is_one_denoising_step(name):
    x, _ = cloud(50)
    told = torch.full((50, 1), 0.005, dtype=torch.float64)
    asked = []

    def field(x, sigma):
        asked.append(sigma)
        return MIXTURE(x, sigma)

    last = run(name, field, x, told)[-1]
    assert len(asked) == 1
    torch.testing.assert_close(last, MIXTURE.denoise(x, told))


@pytest.mark.parametrize("name", SAMPLERS)
def test_it_yields_clouds_and_leaves_the_start_alone(name):
    for dtype in (torch.float32, torch.float64):
        x, sigma = (t.to(dtype) for t in cloud(40))
        kept = x.clone()
        iterates = run(name, MIXTURE, x, sigma)
        assert iterates
        assert all(y.shape == (40, 3) and y.dtype == dtype and bool(y.isfinite().all()) for y in iterates)
        assert torch.equal(x, kept)
        assert not torch.equal(iterates[-1], kept)


@pytest.mark.parametrize("name", SAMPLERS)
def test_the_world_may_turn_and_shift(name, monkeypatch):
    """A rotated and shifted field gives the rotated and shifted result, where the noise is rotated with it."""
    turn, _ = torch.linalg.qr(torch.randn(3, 3, generator=torch.Generator().manual_seed(5), dtype=torch.float64))
    shift = torch.tensor([10.0, -20.0, 30.0]).double()
    x, sigma = cloud(200)
    expected = run(name, MIXTURE, x, sigma)
    draw = torch.randn
    monkeypatch.setattr(torch, "randn", lambda *args, **kwargs: draw(*args, **kwargs) @ turn.T)

    def moved(y, level):
        return MIXTURE((y - shift) @ turn, level) @ turn.T

    for a, b in zip(run(name, moved, x @ turn.T + shift, sigma), expected, strict=True):
        torch.testing.assert_close(a, b @ turn.T + shift, rtol=0, atol=1e-9)


@pytest.mark.parametrize("name", sorted(set(SAMPLERS) - WITH_LEVELS))
def test_without_a_ladder_the_unit_does_not_matter(name):
    """A ladder is in local spacings; all else is in units of the noise."""
    x, sigma = cloud(100)
    large = run(name, lambda y, level: MIXTURE(y / 2, level / 2) / 2, 2 * x, 2 * sigma)
    torch.testing.assert_close(large[-1], 2 * run(name, MIXTURE, x, sigma)[-1])


@pytest.mark.parametrize("name", SAMPLERS)
def test_same_bits_for_any_tile_and_any_number_of_threads(name):
    x, sigma = cloud(20_001)  # more numbers than torch gives to one thread

    def tiled(size):
        return lambda y, level: torch.cat(
            [rational(y[i : i + size], level[i : i + size]) for i in range(0, len(y), size)]
        )

    whole = run(name, rational, x, sigma)[-1]
    for size in (7000, 1999):
        assert torch.equal(run(name, tiled(size), x, sigma)[-1], whole)
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1 if threads > 1 else 2)
        assert torch.equal(run(name, rational, x, sigma)[-1], whole)
    finally:
        torch.set_num_threads(threads)


@pytest.mark.parametrize("name", SAMPLERS)
def test_only_the_seed_decides_what_is_drawn(name):
    x, sigma = cloud(100)
    assert torch.equal(run(name, MIXTURE, x, sigma, seed=1)[-1], run(name, MIXTURE, x, sigma, seed=1)[-1])
    same = torch.equal(run(name, MIXTURE, x, sigma, seed=1)[-1], run(name, MIXTURE, x, sigma, seed=2)[-1])
    assert same == (name not in DRAWING)
    if name in DRAWING:
        with pytest.raises(UsageError, match="Generator"):
            list(SAMPLERS[name](MIXTURE, x, sigma))
    else:
        assert torch.equal(list(SAMPLERS[name](MIXTURE, x, sigma))[-1], run(name, MIXTURE, x, sigma)[-1])


@pytest.mark.parametrize("name", SAMPLERS)
def test_it_cleans_a_sphere(name):
    """Noise of 1 around a radius of 8, the exact score. One level leaves a bias of sigma^2 / R, a ladder less."""
    sphere, generator = Sphere.centred(8.0), torch.Generator().manual_seed(0)
    noisy = sphere.sample(3000, generator)
    noisy = noisy + torch.randn(3000, 3, generator=generator, dtype=torch.float64)
    last = run(name, sphere, noisy, torch.ones(3000, 1, dtype=torch.float64))[-1]
    limit = 0.01 if name in WITH_LEVELS else 1.1 / 8
    assert sphere.distance(last).square().mean().sqrt() < limit
    assert (last - noisy).norm(dim=1).mean() < 4  # and stays near where it was
