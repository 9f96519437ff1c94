import pytest
import torch

from pcdenoise.denoisers.engine import engine_of
from pcdenoise.denoisers.learned import LearnedDenoiser
from pcdenoise.denoisers.patchwise import PatchwiseDenoiser
from pcdenoise.networks.compat.luo_hu import LuoHu
from pcdenoise.networks.energy import EnergyNetwork
from pcdenoise.samplers.ascent import Ascent

CPU = torch.device("cpu")


def test_each_network_runs_in_its_engine_with_its_options():
    whole = engine_of(EnergyNetwork(16, 1, 12, (4, 12)), CPU, Ascent(), tile=77, ensemble=3, patch=500)
    assert isinstance(whole, LearnedDenoiser)
    assert (whole.tile, whole.ensemble) == (77, 3)
    patches = engine_of(LuoHu(), CPU, Ascent(), tile=77, ensemble=3, patch=500)
    assert isinstance(patches, PatchwiseDenoiser)
    assert (patches.patch, patches.ensemble) == (500, 3)


def test_an_option_that_no_engine_has_is_refused():
    with pytest.raises(TypeError, match="'tiel'"):
        engine_of(LuoHu(), CPU, Ascent(), tiel=77)
