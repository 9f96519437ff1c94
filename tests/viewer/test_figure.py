import numpy as np
import pytest

from pcdenoise.errors import OutputError
from pcdenoise.io import replacing
from pcdenoise.viewer.figure import check_picture, figure_pixels


def test_places_where_no_picture_can_be_are_refused(tmp_path):
    check_picture(tmp_path / "a.png")
    check_picture(tmp_path / "a.PNG")
    with pytest.raises(OutputError, match=r"a.jpg is no name for a picture; end it in .png"):
        check_picture(tmp_path / "a.jpg")
    (tmp_path / "a.png").touch()
    with pytest.raises(OutputError, match=r"a.png exists; choose another name or add --overwrite"):
        check_picture(tmp_path / "a.png")
    check_picture(tmp_path / "a.png", overwrite=True)
    with pytest.raises(OutputError, match=r"the folder .*missing does not exist; create it first"):
        check_picture(tmp_path / "missing" / "a.png")
    (tmp_path / "b.png").mkdir()
    with pytest.raises(OutputError, match=r"b.png is a directory; name a file in it"):
        check_picture(tmp_path / "b.png")


def test_a_file_is_replaced_as_a_whole_or_not_at_all(tmp_path):
    path = tmp_path / "a.png"
    path.write_text("old")

    def fail():
        with replacing(path) as temporary:
            temporary.write_text("half")
            raise OSError(28, "No space left on device")

    with pytest.raises(OutputError, match=r"cannot write .*a.png: No space left on device; choose"):
        fail()
    assert [p.read_text() for p in tmp_path.iterdir()] == ["old"]
    with replacing(path) as temporary:
        temporary.write_text("new")
        assert path.read_text() == "old"
    assert [p.read_text() for p in tmp_path.iterdir()] == ["new"]


def test_pixels_of_a_figure():
    from matplotlib.figure import Figure

    figure = Figure(figsize=(0.3, 0.2), dpi=100, facecolor=(1, 0, 0))
    pixels = figure_pixels(figure)
    assert pixels.shape == (20, 30, 3)
    assert (pixels == np.array([255, 0, 0])).all()
