from itertools import pairwise

import numpy as np
import pytest
from PIL import Image

from pcdenoise.cloud import PointCloud
from pcdenoise.errors import InputError, OutputError
from pcdenoise.viewer.animation import FRAMES, Trajectory, check_animation, write_animation


@pytest.fixture
def shrinking(sphere):
    """Three steps from a rough to a smooth sphere."""
    noise = 0.05 * np.random.default_rng(0).standard_normal((1500, 3))
    clean = sphere[::4]
    trajectory = Trajectory(PointCloud(clean + noise, {"colors": np.full((1500, 3), 128, np.uint8)}))
    for share in (0.6, 0.3, 0.0):
        trajectory.add(clean + share * noise)
    return trajectory


@pytest.mark.parametrize("steps", [1, 59, 60, 61, 500, 1000])
def test_of_many_steps_some_are_kept_evenly_and_the_first_and_the_last_always(steps):
    trajectory = Trajectory(PointCloud(np.zeros((2, 3))))
    for number in range(1, steps + 1):
        trajectory.add(np.full((2, 3), float(number)))
    numbers = list(trajectory.steps)
    assert (numbers[0], numbers[-1], trajectory.count) == (0, steps, steps)
    assert min(steps + 1, FRAMES / 2) <= len(numbers) <= FRAMES + 1
    assert len(set(np.diff(numbers[:-1]))) <= 1, "but for the last one they lie evenly"
    assert all((points == number).all() for number, points in trajectory.steps.items())


def test_later_changes_of_an_array_do_not_reach_what_was_kept():
    points = np.zeros((2, 3))
    trajectory = Trajectory(PointCloud(points))
    trajectory.add(points)
    points += 1
    assert not trajectory.steps[1].any()


def test_of_a_large_cloud_the_same_random_part_is_kept_in_every_step():
    points = np.arange(600_000.0).reshape(-1, 3)
    trajectory = Trajectory(PointCloud(points, {"colors": points}))
    trajectory.add(points + 0.5)
    (_, first), (_, second) = trajectory.clouds()
    assert len(first) == 150_000
    np.testing.assert_array_equal(second.points, first.points + 0.5)
    np.testing.assert_array_equal(first.attributes["colors"], first.points)


def test_a_gif_has_a_frame_for_each_step_and_lingers_on_the_last(shrinking, tmp_path):
    path = tmp_path / "steps.gif"
    write_animation(shrinking, path, title="a $ sphere_1", unit="mm")
    with Image.open(path) as gif:
        assert (gif.n_frames, gif.size) == (4, (1120, 560))
        pictures, durations = [], []
        for frame in range(4):
            gif.seek(frame)
            pictures.append(np.asarray(gif.convert("RGB")).astype(int))
            durations.append(gif.info["duration"])
    assert durations == [1000, 1000, 1000, 3000]
    for picture in pictures:
        assert (picture[:5] == 255).all(), "white, and nothing cut off at the top"
        assert (picture[-5:] == 255).all(), "nothing is cut off at the bottom"
    changes = [np.abs(a - b)[100:, :640].mean() for a, b in pairwise(pictures)]
    assert min(changes) > 1
    assert [p.name for p in tmp_path.iterdir()] == ["steps.gif"]


def test_an_mp4_where_the_package_is_installed(shrinking, tmp_path):
    ffmpeg = pytest.importorskip("imageio_ffmpeg")
    write_animation(shrinking, tmp_path / "steps.mp4")
    assert ffmpeg.count_frames_and_secs(str(tmp_path / "steps.mp4"))[0] == 4 + 2


def test_places_are_refused_before_the_work(tmp_path, monkeypatch):
    check_animation(tmp_path / "a.gif")
    with pytest.raises(OutputError, match=r"a.png is no name for a picture; end it in .gif or .mp4"):
        check_animation(tmp_path / "a.png")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(OutputError, match=r"a.mp4 needs a package: pip install imageio-ffmpeg; or end .* in .gif"):
        check_animation(tmp_path / "a.mp4")
    (tmp_path / "a.gif").touch()
    with pytest.raises(OutputError, match="exists"):
        check_animation(tmp_path / "a.gif")
    check_animation(tmp_path / "a.gif", overwrite=True)


def test_a_cloud_without_a_finite_point_is_refused(tmp_path):
    with pytest.raises(InputError, match="finite point"):
        write_animation(Trajectory(PointCloud(np.full((3, 3), np.nan))), tmp_path / "x.gif")
    assert list(tmp_path.iterdir()) == []
