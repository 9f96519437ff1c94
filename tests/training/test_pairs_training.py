"""Training on clouds with the noise that was measured."""

import numpy as np
import pytest
import torch

from pcdenoise.config import compose
from pcdenoise.datasets.pairs import make_pair
from pcdenoise.errors import InputError, UsageError
from pcdenoise.training.data import read_data
from pcdenoise.training.patches import CleanCloud, MeasuredCloud, PatchSampler
from pcdenoise.training.recipe import Recipe
from pcdenoise.training.session import train

LEVEL = 0.02


def noisy_of(clean, seed=0):
    return clean + LEVEL * np.random.default_rng(seed).standard_normal(clean.shape)


@pytest.fixture
def root(tmp_path, sphere):
    """Three shapes; the first and the last were scanned twice."""
    for place, names in {"clean": ["a", "b", "c"], "noisy": ["a", "b", "c", "far/a", "far/c"]}.items():
        for number, name in enumerate(names):
            clean = sphere[:: 2 if name[-1] == "a" else 3] * [1, 1, 0.8]
            path = tmp_path / place / f"{name}.xyz"
            path.parent.mkdir(parents=True, exist_ok=True)
            np.savetxt(path, clean if place == "clean" else noisy_of(clean, number))
    return tmp_path


def configured(root, *words):
    return compose(
        "train",
        [
            "dataset=folder", f"dataset.root={root}", "pairs=true", "holdout=1", "device=cpu", f"output={root}/run",
            "network.channels=16", "network.blocks=[1,1]", "network.neighbours=12", "network.neighbourhoods=[4,12]",
            "patches.points=256", "patches.patches=2", "trainer.max_steps=3", "log_every=1", *words,
        ],
    )  # fmt: skip


def test_patches_have_the_points_that_were_measured(sphere):
    pair = make_pair("ball", "ball", noisy_of(sphere), sphere)
    batch = PatchSampler(points=300, patches=3).batch([MeasuredCloud(pair)], 0)
    torch.testing.assert_close(batch.sigma, torch.full((900, 1), pair.sigma), rtol=1e-6, atol=0)
    measured = np.sort(np.linalg.norm(pair.noisy - pair.clean, axis=1))
    found = torch.linalg.norm(batch.noisy - batch.clean, dim=1).numpy()
    nearest = measured[np.searchsorted(measured, found - 1e-12)]
    np.testing.assert_allclose(found, nearest, atol=1e-9)  # none that is not among the measured
    for part in range(3):
        own = slice(300 * part, 300 * (part + 1))
        centre = batch.noisy[own][0]
        distances = torch.linalg.norm(batch.noisy[own] - centre, dim=1)
        assert bool((distances.diff() >= 0).all())
        assert distances[-1] < 2.2 * np.sqrt(300 / 6000)  # a cap of that many points, and noise
    assert len(batch.surface) == 3 * 450


def test_what_belongs_to_the_nearest_point_is_across_the_surface(sphere):
    shuffled = np.random.default_rng(1).permutation(6000)[:4000]
    pair = make_pair("ball", "ball", noisy_of(sphere)[shuffled], sphere)
    batch = PatchSampler(points=300, patches=2).batch([MeasuredCloud(pair)], 0)
    nearest = batch.surface[batch.nearest_clean(batch.noisy[batch.core], 1)[:, 0]]
    torch.testing.assert_close(batch.clean[batch.core], nearest)
    assert len(batch.surface) == 2 * 675  # as much of the surface as of a patch, in a clean cloud that is denser


def test_drawn_and_measured_noise_go_together(sphere):
    clouds = [CleanCloud(sphere, sphere), MeasuredCloud(make_pair("ball", "ball", noisy_of(sphere), sphere))]
    batch = PatchSampler(points=200, patches=8, sigma=(0.2, 0.3), faint=0.0).batch(clouds, 0)
    assert set((batch.sigma.view(8, 200)[:, 0] > 0.1).tolist()) == {True, False}


def test_all_pairs_of_a_shape_are_held_out(root):
    recipe = Recipe.of(configured(root), torch.device("cpu"), 1)
    data = read_data(recipe, 1)
    assert sorted(data.shapes) == ["a", "b", "far/a"]
    assert sorted(pair.name for pair in data.held_out) == ["c", "far/c"]
    assert all(cloud.sigma == pytest.approx(LEVEL, rel=0.05) for cloud in data.clouds)
    with pytest.raises(UsageError, match="holdout=3 of 3 shapes"):
        read_data(recipe, 3)


def test_a_run_validates_on_pairs(root, rows):
    best = train(configured(root))
    assert best.exists()
    (row,) = rows(root / "run" / "validation.csv")
    assert set(row) == {"step", "cd_measured", "jarque_bera_measured", "score"}
    assert float(row["cd_measured"]) > 0
    assert len(rows(root / "run" / "steps.csv")) == 3


@pytest.mark.parametrize(
    ("part", "word", "facts"),
    [
        ("loss", "loss=ncsn", "draws noise of its own levels, .* use loss=paired_dsm, or pairs=false"),
        ("dataset", "dataset=shapes", "a Shapes data set does not have; use dataset=folder"),
        ("validation_dataset", "dataset@validation_dataset=shapes", "a Shapes data set does not have"),
    ],
)
def test_what_has_no_pairs_is_refused(tmp_path, part, word, facts):
    config = configured(tmp_path / "nowhere") | {part: compose("train", [word])[part]}
    with pytest.raises(UsageError, match=facts):
        Recipe.of(config, torch.device("cpu"), 1)


def test_a_pair_without_noise_is_refused(sphere):
    with pytest.raises(InputError, match="ball is the clean one; leave the pair out"):
        MeasuredCloud(make_pair("ball", "ball", sphere, sphere))
