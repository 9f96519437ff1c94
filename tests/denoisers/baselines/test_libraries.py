"""What a missing library says."""

import sys

import pytest
from noisy_surfaces import noisy_ball

from pcdenoise.denoisers.catalogue import denoising_method
from pcdenoise.errors import UsageError


@pytest.mark.parametrize(
    ("name", "module", "package"),
    [
        ("jet", "CGAL.CGAL_Point_set_processing_3", "cgal"),
        ("bilateral", "CGAL.CGAL_Point_set_processing_3", "cgal"),
        ("wlop", "CGAL.CGAL_Point_set_processing_3", "cgal"),
        ("rimls", "pymeshlab", "pymeshlab"),
    ],
)
def test_it_is_named_with_the_command(name, module, package, monkeypatch):
    monkeypatch.setitem(sys.modules, module.partition(".")[0], None)
    monkeypatch.setitem(sys.modules, module, None)
    method = denoising_method(name)  # the configuration needs no library
    with pytest.raises(UsageError, match=rf"^{package} is not installed; pip install 'pcdenoise\[baselines\]'$"):
        method(noisy_ball(100))


def test_one_that_does_not_load_says_why(monkeypatch, tmp_path):
    (tmp_path / "pymeshlab.py").write_text("raise ImportError('libOpenGL.so.0: cannot open shared object file')")
    monkeypatch.delitem(sys.modules, "pymeshlab", raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(UsageError, match=r"pymeshlab does not load: libOpenGL\.so\.0"):
        denoising_method("rimls")(noisy_ball(100))
    monkeypatch.delitem(sys.modules, "pymeshlab", raising=False)
