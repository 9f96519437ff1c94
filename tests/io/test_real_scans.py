"""Real scans, where they are; each test has a twin on data of our own in the file of its format."""

import numpy as np
import pytest

from pcdenoise.io import read, write

SCANS = {
    "angel_scan.obj": (24566, set()),
    "bunny_range_scan_000.xyz": (40256, set()),
    "region_growing_rgb_tutorial.pcd": (307200, {"colors"}),
    "room_scan1.pcd": (112586, set()),
    "samp11-utm.pcd": (38010, set()),
    "table_scene_mug_stereo_textured.pcd": (307200, {"colors"}),
}


@pytest.mark.parametrize("name", SCANS)
def test_comes_back_bit_for_bit(name, real, tmp_path):
    cloud = read(real(name))
    assert (len(cloud), set(cloud.attributes)) == SCANS[name]
    assert cloud.finite.any()
    target = tmp_path / f"back{real(name).suffix}"
    write(cloud, target)
    back = read(target)
    np.testing.assert_array_equal(back.points, cloud.points)
    for attribute, values in cloud.attributes.items():
        np.testing.assert_array_equal(back.attributes[attribute], values)
    for key, layout in cloud.metadata.items():
        for field, value in vars(layout).items():
            if isinstance(value, np.ndarray):
                np.testing.assert_array_equal(getattr(back.metadata[key], field), value)
            else:
                assert getattr(back.metadata[key], field) == value


def test_open3d_agrees_on_a_compressed_frame(real):
    o3d = pytest.importorskip("open3d")
    path = real("table_scene_mug_stereo_textured.pcd")
    cloud = read(path)
    layout = cloud.metadata["pcd_layout"]
    assert (layout.width, layout.height) == (640, 480)
    assert 0 < (~cloud.finite).sum() < len(cloud)
    found = o3d.io.read_point_cloud(str(path))
    np.testing.assert_allclose(np.asarray(found.points), cloud.points, atol=1e-6)
    np.testing.assert_array_equal(np.rint(np.asarray(found.colors) * 255), cloud.attributes["colors"])


def test_utm_terrain_becomes_las(real, tmp_path):
    cloud = read(real("samp11-utm.pcd"))
    assert cloud.points[:, 1].min() > 1e6
    write(cloud, tmp_path / "a.laz")
    np.testing.assert_allclose(read(tmp_path / "a.laz").points, cloud.points, atol=1e-5, rtol=0)
