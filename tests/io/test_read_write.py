"""What every format shares: suffixes, missing files, whole files or none, errors of one line."""

import contextlib
import errno
import os
import stat
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from pcdenoise.cloud import PointCloud
from pcdenoise.errors import InputError, OutputError
from pcdenoise.io import FORMATS, Format, files, read, write

CLOUD = PointCloud(np.arange(12.0).reshape(4, 3))


def message(error) -> str:
    text = str(error.value)
    assert "\n" not in text
    return text


def test_importing_is_light():
    code = (
        "import sys, pcdenoise.io; print(*{'pandas', 'laspy', 'numba', 'torch', 'scipy', 'trimesh'} & set(sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == ""


@pytest.mark.parametrize("suffix", list(FORMATS))
class TestMalformed:
    def test_missing(self, suffix, tmp_path):
        with pytest.raises(InputError) as error:
            read(tmp_path / f"none{suffix}")
        assert "does not exist" in message(error)

    def test_empty(self, suffix, tmp_path):
        (tmp_path / f"a{suffix}").touch()
        with pytest.raises(InputError) as error:
            read(tmp_path / f"a{suffix}")
        assert "empty" in message(error)

    def test_directory(self, suffix, tmp_path):
        (tmp_path / f"a{suffix}").mkdir()
        with pytest.raises(InputError, match="directory"):
            read(tmp_path / f"a{suffix}")

    def test_prose(self, suffix, tmp_path):
        (tmp_path / f"a{suffix}").write_text("This is a letter.\nIt holds no points, but it has several lines.\n" * 4)
        with pytest.raises(InputError) as error:
            read(tmp_path / f"a{suffix}")
        assert f"a{suffix}" in message(error)

    def test_noise(self, suffix, tmp_path):
        data = np.random.default_rng(3).integers(0, 256, 5003, dtype=np.uint8).tobytes()
        (tmp_path / f"a{suffix}").write_bytes(data)
        with pytest.raises(InputError) as error:
            read(tmp_path / f"a{suffix}")
        message(error)

    def test_cut_off_anywhere(self, suffix, tmp_path, utm):
        """No prefix of a file gives another error, or fewer points without one where the format has a count."""
        attributes = {} if suffix in (".stl", ".bin") else {"colors": utm.attributes["colors"]}
        write(PointCloud(np.float32(utm.points - utm.points[0]), attributes), tmp_path / f"a{suffix}")
        data = (tmp_path / f"a{suffix}").read_bytes()
        counted = suffix not in (".xyz", ".txt", ".asc", ".csv", ".obj", ".bin")
        for size in sorted({*range(1, 90), *np.linspace(90, len(data) - 3, 60).astype(int)}):
            (tmp_path / f"b{suffix}").write_bytes(data[:size])
            with contextlib.suppress(InputError):
                found = len(read(tmp_path / f"b{suffix}"))
                assert found == len(utm) or not counted, size
                assert 0 < found <= len(utm)


def test_unknown_suffix_names_the_known(tmp_path):
    for call in (lambda p: read(p), lambda p: write(CLOUD, p)):
        with pytest.raises((InputError, OutputError), match=r"\.ply .*\.laz"):
            call(tmp_path / "a.doc")
        with pytest.raises((InputError, OutputError), match="no suffix"):
            call(tmp_path / "doc")


def test_suffixes_in_capitals(tmp_path):
    for suffix in FORMATS:
        write(CLOUD, tmp_path / f"a{suffix.upper()}")
        assert len(read(tmp_path / f"a{suffix.upper()}")) == 4


def test_any_error_of_a_reader_becomes_one_line(tmp_path, monkeypatch):
    def fail(_):
        raise RuntimeError("first line\nsecond line")

    monkeypatch.setitem(FORMATS, ".ply", Format("PLY", fail, FORMATS[".ply"].write))
    (tmp_path / "a.ply").write_text("x")
    with pytest.raises(InputError) as error:
        read(tmp_path / "a.ply")
    assert "first line" in message(error)


def test_a_silent_empty_cloud_is_an_error(tmp_path, monkeypatch):
    empty = PointCloud(np.empty((0, 3)))
    monkeypatch.setitem(FORMATS, ".ply", Format("PLY", lambda _: empty, FORMATS[".ply"].write))
    (tmp_path / "a.ply").write_text("x")
    with pytest.raises(InputError, match="no points"):
        read(tmp_path / "a.ply")
    with pytest.raises(OutputError, match="no points"):
        write(empty, tmp_path / "b.ply")


class TestWrite:
    def test_existing_file_needs_overwrite(self, tmp_path):
        target = tmp_path / "a.ply"
        target.write_text("mine")
        with pytest.raises(OutputError, match="--overwrite"):
            write(CLOUD, target)
        assert target.read_text() == "mine"
        write(CLOUD, target, overwrite=True)
        assert len(read(target)) == 4

    def test_output_over_input(self, tmp_path):
        write(CLOUD, tmp_path / "a.las")
        cloud = read(tmp_path / "a.las")
        write(cloud.with_points(cloud.points + 1), tmp_path / "a.las", overwrite=True)
        np.testing.assert_allclose(read(tmp_path / "a.las").points, CLOUD.points + 1, atol=1e-8)

    def test_missing_folder_and_directory(self, tmp_path):
        with pytest.raises(OutputError, match="does not exist"):
            write(CLOUD, tmp_path / "none" / "a.ply")
        (tmp_path / "a.ply").mkdir()
        with pytest.raises(OutputError, match="directory"):
            write(CLOUD, tmp_path / "a.ply", overwrite=True)

    @pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere; the simulated case below covers it")
    def test_read_only_folder(self, tmp_path):
        tmp_path.chmod(0o500)
        with pytest.raises(OutputError, match="not writable"):
            write(CLOUD, tmp_path / "a.ply")
        tmp_path.chmod(0o700)

    @pytest.mark.parametrize(
        ("code", "said"),
        [
            (errno.ENOSPC, "no space left"),
            (errno.EACCES, "not writable"),
            (errno.EROFS, "not writable"),
            (errno.EIO, "written"),
        ],
    )
    @pytest.mark.parametrize("suffix", list(FORMATS))
    def test_disk_errors_leave_nothing(self, suffix, code, said, tmp_path, monkeypatch):
        old = tmp_path / f"a{suffix}"
        old.write_text("the old file")

        def fill_up(cloud, path):
            kind.write(cloud, path)
            raise OSError(code, os.strerror(code))

        kind = FORMATS[suffix]
        monkeypatch.setitem(FORMATS, suffix, Format("full", kind.read, fill_up, kind.stored))
        with pytest.raises(OutputError) as error:
            write(CLOUD, old, overwrite=True)
        assert said in message(error)
        assert list(tmp_path.iterdir()) == [old]
        assert old.read_text() == "the old file"

    def test_a_full_disk_at_flush(self, tmp_path, monkeypatch):
        def full(_):
            raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr(os, "fsync", full)
        with pytest.raises(OutputError, match="no space left"):
            write(CLOUD, tmp_path / "a.ply")
        assert not list(tmp_path.iterdir())

    @pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full on this system")
    def test_a_device_that_is_full(self, tmp_path, monkeypatch):
        def to_full(*_):
            with Path("/dev/full").open("wb", buffering=0) as file:
                file.write(b"x")

        monkeypatch.setitem(FORMATS, ".ply", Format("PLY", FORMATS[".ply"].read, to_full))
        with pytest.raises(OutputError, match="no space left"):
            write(CLOUD, tmp_path / "a.ply")
        assert not list(tmp_path.iterdir())

    def test_interrupted(self, tmp_path, monkeypatch):
        def stop(_, path):
            path.write_bytes(b"ply\nformat")
            raise KeyboardInterrupt

        monkeypatch.setitem(FORMATS, ".ply", Format("PLY", FORMATS[".ply"].read, stop))
        with pytest.raises(KeyboardInterrupt):
            write(CLOUD, tmp_path / "a.ply")
        assert not list(tmp_path.iterdir())

    def test_lost_points_are_noticed(self, tmp_path, monkeypatch):
        def lose(cloud, path):
            FORMATS[".npz"].write(PointCloud(cloud.points[1:]), path)

        monkeypatch.setitem(FORMATS, ".npy", Format("lossy", FORMATS[".npz"].read, lose))
        with pytest.raises(OutputError, match="3 of 4"):
            write(CLOUD, tmp_path / "a.npy")
        assert not list(tmp_path.iterdir())

    def test_the_file_is_complete_before_it_has_its_name(self, tmp_path, monkeypatch):
        seen = []
        flush = files._flush
        monkeypatch.setattr(
            files, "_flush", lambda path: (seen.append((path, (tmp_path / "a.ply").exists())), flush(path))
        )
        write(CLOUD, tmp_path / "a.ply")
        assert [there for _, there in seen] == [False, True]
        assert seen[0][0].parent == tmp_path

    def test_permissions_and_links_stay(self, tmp_path):
        real = tmp_path / "real.ply"
        write(CLOUD, real)
        assert stat.S_IMODE(real.stat().st_mode) & 0o600 == 0o600
        real.chmod(0o640)
        link = tmp_path / "link.ply"
        link.symlink_to(real)
        write(CLOUD.with_points(CLOUD.points + 1), link, overwrite=True)
        assert link.is_symlink()
        assert stat.S_IMODE(real.stat().st_mode) == 0o640
        np.testing.assert_array_equal(read(real).points, CLOUD.points + 1)

    @pytest.mark.parametrize("suffix", [".stl", ".obj", ".off", ".bin", ".pts"])
    def test_what_is_dropped_is_said_once(self, suffix, tmp_path):
        cloud = PointCloud(CLOUD.points, {"score": np.ones(4), "label": np.arange(4)})
        with pytest.warns(UserWarning, match="label, score") as caught:
            write(cloud, tmp_path / f"a{suffix}")
        assert len(caught) == 1
