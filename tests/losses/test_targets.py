import pytest
import torch
from analytic import patches_of

from pcdenoise.errors import UsageError
from pcdenoise.losses.dsm import DSM
from pcdenoise.losses.mdsm import MDSM
from pcdenoise.losses.ncsn import NCSN
from pcdenoise.losses.targets import towards_clean

FAR = 1e6  # float32 has a step of 0.06 there


def clouds():
    generator = torch.Generator().manual_seed(0)
    clean = torch.rand(60, 3, generator=generator, dtype=torch.float64)
    return clean, clean + 0.2 * torch.randn(60, 3, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize(("target", "taken"), [("paired", None), ("nearest", 1), ("mean_of_nearest", 5)])
def test_the_targets_are_those_of_an_exhaustive_search(target, taken):
    clean, x = clouds()
    rows = torch.tensor([3, 0, 41, 3])
    by_distance = torch.cdist(x, clean).argsort(dim=1)
    wanted = clean[rows] if taken is None else clean[by_distance[rows, :taken]].mean(dim=1)
    offsets = towards_clean(target, 5, x + FAR, rows, patches_of(clean + FAR, x + FAR, 0.2))
    assert offsets.dtype == torch.float32
    torch.testing.assert_close(offsets.double(), wanted - x[rows], rtol=0, atol=1e-6)


@pytest.mark.parametrize("loss", [DSM, NCSN, MDSM])
def test_every_denoising_loss_takes_them(loss):
    """A field that goes exactly there has no loss with that target, and one with the others."""
    clean, x = clouds()
    patches = patches_of(clean, x, 0.2, spacing=0.4)  # sigma_0 is half a spacing: all are told 0.2
    for target in ("paired", "nearest", "mean_of_nearest"):
        there = towards_clean(target, 4, x, torch.arange(60), patches) / 0.2**2
        for other in ("paired", "nearest", "mean_of_nearest"):
            values = loss(target=other)(lambda x, sigma, s=there: s, x, patches, torch.Generator())
            assert (values.mean() < 1e-8) == (other == target)


@pytest.mark.parametrize("loss", [DSM, NCSN, MDSM])
@pytest.mark.parametrize("arguments", [{"target": "farthest"}, {"target": "mean_of_nearest", "neighbours": 0}])
def test_other_targets_are_refused(loss, arguments):
    with pytest.raises(UsageError, match="give"):
        loss(**arguments)
