"""`pcdenoise denoise --method`."""

import json

import numpy as np
import pytest

from pcdenoise.denoisers.catalogue import denoising_method
from pcdenoise.io import read


def test_a_method_takes_the_place_of_the_network(cli, scan, folder):
    report = json.loads(cli("denoise", scan, "--method", "mls", "--json").out)
    assert (report["model"], report["points"], report["passes"], report["device"]) == ("mls", 2000, 1, "cpu")
    assert report["noise_after"] < 0.6 * report["noise_before"]
    before, after = read(scan), read(folder / "scan_denoised.ply")
    np.testing.assert_allclose(after.points, denoising_method("mls")(before.points), atol=1e-6)
    np.testing.assert_array_equal(after.attributes["colors"], before.attributes["colors"])


def test_its_values_are_words(cli, scan, folder):
    for name, words in {"few": ["method.neighbours=8"], "many": ["method.neighbours=32"]}.items():
        assert cli("denoise", scan, "--method", "laplacian", *words, "-o", folder / f"{name}.npy").code == 0
    expected = denoising_method("laplacian", ["neighbours=8"])(read(scan).points)
    np.testing.assert_allclose(read(folder / "few.npy").points, expected, atol=1e-9)
    assert not np.allclose(read(folder / "many.npy").points, expected)


def test_strength_and_passes_hold_as_for_networks(cli, scan, folder):
    for name, words in {"whole": [], "half": ["--strength", "0.5"], "none": ["--passes", "0"]}.items():
        assert cli("denoise", scan, "--method", "laplacian", *words, "-o", folder / f"{name}.npy").code == 0
    start = read(scan).points
    whole, half, none = (read(folder / f"{name}.npy").points - start for name in ("whole", "half", "none"))
    np.testing.assert_allclose(half, whole / 2, atol=1e-9)
    assert not none.any()


@pytest.mark.parametrize(
    ("words", "fact"),
    [
        (["--method", "nonsense"], ["there is no method 'nonsense'", "apss", "laplacian"]),
        (["--method", "laplacian", "--model", "edgeconv"], ["--model is for networks", "laplacian is none"]),
        (["--method", "laplacian", "--device", "cpu"], "--device is for networks"),
        (["--method", "laplacian", "tile=1000"], "tile=1000 is for networks"),
        (["--method", "laplacian", "sampler.step=0.5"], "sampler.step=0.5 is for networks"),
        (["--method", "laplacian", "--passes", "2"], "from 0 to 1"),
        (["--method", "laplacian", "method.size=1"], "does not take 'size=1'"),
        (["--method", "laplacian", "method.step=2"], "step of Laplacian is 2"),
        (["--method", "projection"], ["needs the true mesh", "oracles are for benchmarks"]),
        (["method.step=0.5"], "say which one: --method NAME"),
    ],
)
def test_what_does_not_fit_is_refused_before_the_work(words, fact, refused, scan):
    refused(2, fact, "denoise", scan, *words)
