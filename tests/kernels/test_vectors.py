import hashlib
import inspect

import numba
import numpy as np
import pytest

from pcdenoise.kernels import edgeconv_numba, gather_max_numba, vectors
from pcdenoise.kernels.vectors import LANES, add_product, apply_silu


@numba.njit
def multiplied(a, b, out):
    add_product(a, b, out)


@numba.njit
def activated(x):
    apply_silu(x)


@pytest.mark.parametrize("rows", [1, 5, 6, 12, 31])
@pytest.mark.parametrize("depth", [1, 16, 45])
def test_a_product_is_added(rows, depth):
    rng = np.random.default_rng(rows)
    a, b = (rng.standard_normal(shape).astype(np.float32) for shape in ((rows, depth), (depth, 3 * LANES)))
    out = rng.standard_normal((rows, 3 * LANES)).astype(np.float32)
    wanted = out + a.astype(np.float64) @ b
    multiplied(a, b, out)
    np.testing.assert_allclose(out, wanted, rtol=1e-5, atol=1e-5)


def test_a_row_of_a_product_has_the_same_bits_among_others_and_alone():
    rng = np.random.default_rng(0)
    a, b = (rng.standard_normal(shape).astype(np.float32) for shape in ((31, 40), (40, LANES)))
    together, alone = np.zeros((31, LANES), np.float32), np.zeros((31, LANES), np.float32)
    multiplied(a, b, together)
    for i in range(31):
        multiplied(a[i : i + 1], b, alone[i : i + 1])
    assert np.array_equal(together, alone)


def test_silu_is_that_of_float64():
    x = np.concatenate([np.linspace(-100, 100, 2000), np.linspace(-1, 1, 2000), [0.0, 1e-30, 88.1, -88.1, 1e30, -1e30]])
    x = np.resize(x, (len(x) // LANES + 1, LANES)).astype(np.float32)
    with np.errstate(over="ignore"):
        wanted = x / (1 + np.exp(-x.astype(np.float64)))
    found = x.copy()
    activated(found)
    np.testing.assert_allclose(found, wanted, rtol=5e-7, atol=1e-36 * np.abs(x).max())


def test_silu_of_what_is_not_a_number_is_none():
    x = np.full((1, LANES), 1.0, np.float32)
    x[0, 3] = np.nan
    activated(x)
    assert np.isnan(x[0, 3])
    assert np.isfinite(np.delete(x[0], 3)).all()


@pytest.mark.parametrize(
    "a",
    [np.zeros((4, 8)), np.zeros((4, 8), np.float32)[:, ::2], np.zeros((4, 8), np.float32).T],
    ids=["float64", "strided", "transposed"],
)
def test_what_does_not_fit_is_refused_and_not_misread(a):
    with pytest.raises(numba.core.errors.TypingError, match="give contiguous arrays of float32"):
        multiplied(a, np.zeros((a.shape[1], LANES), np.float32), np.zeros((len(a), LANES), np.float32))


@pytest.mark.parametrize("caller", [edgeconv_numba, gather_max_numba])
def test_what_was_compiled_before_vectors_changed_is_not_used(caller):
    """Numba compiles again where the file of a function has changed, but does not ask about what that one calls."""
    found = hashlib.sha256(inspect.getsource(vectors).encode()).hexdigest()[:12]
    assert found == caller.VECTORS, f"write VECTORS = {found!r} into {caller.__file__}"
