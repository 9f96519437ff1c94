import numpy as np
import pytest

import pcdenoise
from pcdenoise.denoisers.catalogue import denoising_method, method_config
from pcdenoise.denoisers.models import WEIGHTS, load_model
from pcdenoise.errors import ModelError, UsageError


def test_it_does_what_denoise_does_whatever_it_is_told(noisy_sphere):
    wanted = pcdenoise.denoise(noisy_sphere, device="cpu")
    for method in (
        denoising_method("flagship", ["device=cpu"]),
        denoising_method("learned", ["device=cpu"]),
        denoising_method(str(WEIGHTS / "flagship.safetensors"), ["device=cpu"]),
    ):
        np.testing.assert_array_equal(method(noisy_sphere), wanted)
        np.testing.assert_array_equal(method(noisy_sphere, sigma=1.0), wanted)


def test_values_of_the_configuration(noisy_sphere):
    method = denoising_method("paired_dsm", ["strength=0", "device=cpu"])
    np.testing.assert_array_equal(method(noisy_sphere), noisy_sphere)
    assert method.parameters == sum(p.numel() for p in load_model("paired_dsm", "cpu").model.parameters()) > 1000


def test_mistakes():
    with pytest.raises(UsageError, match=r"choose from .*jet.* the models edgeconv, .*\.safetensors"):
        method_config("nonsense")
    with pytest.raises(UsageError, match="'learned' does not take 'neighbours=3'"):
        method_config("edgeconv", ["neighbours=3"])
    with pytest.raises(ModelError, match="there is no model"):
        denoising_method("nowhere.safetensors")
