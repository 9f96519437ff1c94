import pytest
import torch
from analytic import gaussian_patches, mean_and_error, patches_of

from pcdenoise.errors import UsageError
from pcdenoise.losses.luo_hu import LuoHu


class Displacements:
    """Score field of a displacement that is a smooth function of the row and the offset; notes who was asked."""

    def __init__(self, scale=1.0):
        self.scale = scale

    def displace(self, rows, offsets):
        return self.scale * torch.sin(3 * offsets.double() + rows[:, None, None])

    def at(self, rows, offsets, sigma):
        self.rows, self.offsets, self.sigma = rows, offsets, sigma
        return self.displace(rows, offsets) / sigma[:, None].double() ** 2


def clouds(n=90, count=1):
    generator = torch.Generator().manual_seed(0)
    clean = torch.rand(n, 3, generator=generator, dtype=torch.float64)
    clean[:, 0] += (torch.arange(n) // (n // count)) * 16.0
    noisy = clean + 0.1 * torch.randn(n, 3, generator=generator, dtype=torch.float64)
    return patches_of(clean, noisy, 0.1, estimate=0.13, count=count)


def published(field, rows, noisy, surface, frame, neighbours):
    """The loss as its paper's code writes it, row by row with exhaustive searches."""
    values = []
    for row in rows:
        points = noisy[torch.cdist(noisy[row][None], noisy)[0].argsort()[:frame]]
        nearest = surface[torch.cdist(points, surface).argsort(dim=1)[:, :neighbours]]
        target = -(points[:, None] - nearest).mean(dim=1)
        predicted = field.displace(row[None], (points - noisy[row])[None])[0]
        values.append(0.5 * ((target - predicted) ** 2 / 0.01).sum(dim=1).mean())
    return torch.stack(values)


@pytest.mark.parametrize(("self_supervised", "neighbours"), [(False, 4), (True, 8)])
def test_it_is_the_published_loss(self_supervised, neighbours):
    patches, field = clouds(), Displacements()
    loss = LuoHu(neighbours=neighbours, self_supervised=self_supervised)
    values = loss(field, patches.noisy, patches, torch.Generator())
    assert sorted(field.rows.tolist()) == list(range(90))  # a core below 128 points is asked whole
    torch.testing.assert_close(field.sigma, torch.full((90, 1), 0.13))
    surface = patches.noisy if self_supervised else patches.surface
    expected = published(field, field.rows, patches.noisy, surface, 32, neighbours)
    torch.testing.assert_close(values, expected, rtol=1e-4, atol=1e-4)


def test_without_motion_it_is_the_noise():
    """Paired targets and no displacement: `w / 2` times three variances."""
    patches = gaussian_patches(20_000, 1.0, 0.05)
    loss = LuoHu(queries=4000, frame=4, target="paired")
    mean, error = mean_and_error(loss(Displacements(0.0), patches.noisy, patches, torch.Generator()))
    assert mean.item() == pytest.approx(50 * 3 * 0.05**2, abs=4 * 2 * error.item())  # frames share points
    assert error < 0.02


def test_each_patch_is_asked_as_often_and_only_in_its_core():
    patches = clouds(600, count=3)
    core = torch.cat([torch.arange(100) + 200 * i for i in range(3)])
    patches = type(patches)(**{**vars(patches), "core": core})
    field = Displacements()
    loss = LuoHu(queries=40, frame=8)
    values = loss(field, patches.noisy, patches, torch.Generator().manual_seed(0))
    assert values.shape == (120,)
    assert len(set(field.rows.tolist())) == 120
    assert torch.isin(field.rows, core).all()
    assert torch.bincount(field.rows // 200).tolist() == [40, 40, 40]
    assert (field.offsets[:, 0] == 0).all()  # a row is the first of its own frame
    first = field.rows
    loss(field, patches.noisy, patches, torch.Generator().manual_seed(1))
    assert not torch.equal(first, field.rows)


def test_a_self_supervised_loss_has_no_clean_target():
    with pytest.raises(UsageError, match="self-supervised"):
        LuoHu(self_supervised=True, target="paired")
