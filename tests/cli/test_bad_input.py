"""Whatever is wrong ends in one line, its exit code, and files as they were."""

import errno
import os
import resource
import signal
import struct
import subprocess
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from pcdenoise.api import WEIGHTS
from pcdenoise.checkpoint import load_checkpoint, save_checkpoint
from pcdenoise.cloud import PointCloud
from pcdenoise.io import FORMATS, write

PLY = """ply
format {} 1.0
element vertex {}
property float x
property float y
property float z
end_header
"""
PCD = "VERSION .7\nFIELDS x y z\nSIZE 4 4 4\nTYPE F F F\nCOUNT 1 1 1\nWIDTH {0}\nHEIGHT 1\nPOINTS {0}\nDATA {1}\n"

MALFORMED = {
    "empty.ply": b"",
    "empty.xyz": b"",
    "empty.las": b"",
    "no_points.ply": PLY.format("ascii", 0).encode(),
    "no_points.pcd": PCD.format(0, "ascii").encode(),
    "no_points.off": b"OFF\n0 0 0\n",
    "only_comments.xyz": b"# nothing\n\n",
    "promises_more.ply": PLY.format("ascii", 9).encode() + b"1 2 3\n4 5 6\n",
    "promises_more.pcd": PCD.format(9, "ascii").encode() + b"1 2 3\n",
    "promises_more.off": b"OFF\n9 0 0\n1 2 3\n",
    "promises_billions.ply": PLY.format("binary_little_endian", 10**12).encode() + bytes(24),
    "promises_billions.pcd": PCD.format(10**12, "binary").encode() + bytes(24),
    "truncated.ply": PLY.format("binary_little_endian", 3).encode() + bytes(30),
    "truncated.pcd": PCD.format(3, "binary").encode() + bytes(30),
    "truncated.bin": bytes(33),
    "truncated.stl": bytes(80) + struct.pack("<I", 5) + bytes(70),
    "truncated.npy": b"\x93NUMPY\x01\x00v\x00",
    "truncated.npz": b"PK\x03\x04nonsense",
    "truncated.las": b"LASF" + bytes(100),
    "truncated.laz": b"LASF" + bytes(300),
    "words.xyz": b"one two three\nfour five six\n",
    "words.csv": b"x,y,z\n1,2,3\n1,two,3\n",
    "words.ply": PLY.format("ascii", 1).encode() + b"1 two 3\n",
    "words.pcd": PCD.format(1, "ascii").encode() + b"1 two 3\n",
    "words.off": b"OFF\n1 0 0\n1 two 3\n",
    "words.obj": b"v 1 two 3\n",
    "foreign.ply": b"\x89PNG\r\n\x1a\n" + bytes(100),
    "foreign.pcd": b"\x89PNG\r\n\x1a\n" + bytes(100),
    "foreign.las": b"\x89PNG\r\n\x1a\n" + bytes(100),
    "foreign.npy": b"\x89PNG\r\n\x1a\n" + bytes(100),
    "two_columns.xyz": b"1 2\n3 4\n",
    "picture.png": b"\x89PNG\r\n\x1a\n",
    "no_suffix": b"1 2 3\n",
    "all_nan.xyz": b"nan nan nan\n" * 50,
}  # fmt: skip


class TestInput:
    @pytest.mark.parametrize("name", MALFORMED)
    @pytest.mark.parametrize("command", ["denoise", "info"])
    def test_malformed(self, name, command, refused, folder):
        (folder / name).write_bytes(MALFORMED[name])
        refused(3, [name] if name != "all_nan.xyz" else "no finite point", command, folder / name)

    @pytest.mark.parametrize("suffix", FORMATS)
    def test_half_a_file(self, suffix, refused, noisy, folder):
        """What an interrupted copy leaves; in text, the first third of a line."""
        if suffix == ".stl":
            pytest.skip("a cloud without facets is no STL; truncated.stl stands for it")
        write(PointCloud((64 * noisy.points[:50]).round()), folder / f"whole{suffix}")
        data = (folder / f"whole{suffix}").read_bytes()
        if FORMATS[suffix].name in ("text", "OBJ", "OFF"):
            *whole, last = data.splitlines(keepends=True)[:26]
            data = b"".join(whole) + last[: len(last) // 3]
        else:
            data = data[:-9]
        (folder / f"half{suffix}").write_bytes(data)
        refused(3, [f"half{suffix}"], "denoise", folder / f"half{suffix}")

    def test_a_directory(self, refused, folder):
        (folder / "clouds").mkdir()
        (folder / "clouds.ply").mkdir()
        refused(3, "is a directory", "denoise", folder / "clouds")
        refused(3, "is a directory", "denoise", folder / "clouds.ply")

    def test_missing(self, refused, folder):
        refused(3, ["nowhere.ply does not exist", "check"], "denoise", folder / "nowhere.ply")
        refused(3, "nowhere.ply does not exist", "info", folder / "nowhere.ply")

    def test_memory_that_the_points_do_not_fit_into(self, refused, scan, monkeypatch):
        monkeypatch.setitem(FORMATS, ".ply", replace(FORMATS[".ply"], read=lambda _: np.empty(2**50)))
        refused(3, "memory", "denoise", scan)


class TestOutput:
    def test_targets(self, refused, scan, folder):
        (folder / "clouds.ply").mkdir()
        refused(4, "does not exist; create it", "denoise", scan, "-o", folder / "nowhere" / "a.ply")
        refused(4, "is a directory", "denoise", scan, "-o", folder / "clouds.ply", "--overwrite")
        refused(4, ["unknown suffix '.xls'", ".ply"], "denoise", scan, "-o", folder / "a.xls")
        refused(4, "no suffix", "denoise", scan, "-o", folder / "a")

    def test_a_folder_that_may_not_be_written(self, refused, scan, folder, monkeypatch):
        if os.geteuid() == 0:
            monkeypatch.setattr(os, "access", lambda path, mode: mode != os.W_OK)  # nothing is closed to root
        else:
            folder.chmod(0o500)
        refused(4, "is not writable", "denoise", scan)
        refused(4, "is not writable", "denoise", scan, "-o", "/tmp/a.ply")
        folder.chmod(0o700)

    def test_a_full_disk(self, refused, scan, monkeypatch):
        def full(_):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        monkeypatch.setattr(os, "fsync", full)
        refused(4, ["no space left", "free some"], "denoise", scan, "--passes", "0")

    def test_a_full_disk_for_the_picture(self, cli, scan, folder, monkeypatch):
        def full(*_, **__):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        monkeypatch.setattr("matplotlib.figure.Figure.savefig", full)
        result = cli("denoise", scan, "--passes", "0", "--render", folder / "a.png")
        assert result.code == 4
        assert {path.name for path in folder.iterdir()} == {"scan.ply", "scan_denoised.ply"}

    def test_a_really_full_disk(self, cli, scan, folder):
        disk = folder / "disk"
        disk.mkdir()
        if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16k", "tmpfs", disk], capture_output=True).returncode:
            pytest.skip("only root may mount a small disk")
        try:
            for suffix in (".ply", ".las", ".xyz", ".npz"):
                result = cli("denoise", scan, "-o", disk / f"a{suffix}", "--passes", "0")
                assert result.code == 4, result
                assert "no space left" in result.err
                assert result.err.count("\n") == 1
                assert not list(disk.iterdir())
        finally:
            subprocess.run(["umount", disk], check=True)

    @pytest.mark.parametrize(
        "suffix",
        [
            *sorted(set(FORMATS) - {".stl", ".laz"}),
            ".laz",
        ],
    )
    def test_a_limit_on_the_size_of_files(self, suffix, cli, scan, folder):
        """Every writer, through the kernel's own refusal in the middle of a file."""
        free = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, free[1]))
        try:
            result = cli("denoise", scan, "-o", folder / f"a{suffix}", "--passes", "0")
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, free)
        assert result.code == 4, result
        *warned, failed = result.err.splitlines()
        assert all(line.startswith("pcdenoise: warning: ") for line in warned)
        assert "cannot be written" in failed
        assert [path.name for path in folder.iterdir()] == ["scan.ply"]

    @pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
    def test_standard_output_on_a_full_disk(self, run):
        with Path("/dev/full").open("w") as full:
            result = run("train", "--show", stdout=full)
        assert result.code == 4
        assert result.err.startswith("pcdenoise: no space left")
        assert result.err.count("\n") == 1


class TestModel:
    def test_there_is_none(self, refused, scan, folder):
        refused(5, ["there is no model 'nonsense'", "edgeconv"], "denoise", scan, "--model", "nonsense")
        refused(5, "there is no model", "denoise", scan, "--model", folder / "missing.safetensors")
        refused(5, "there is no model", "info", scan, "--model", "nonsense")

    def test_weights_that_are_damaged_or_foreign(self, refused, scan, folder):
        from safetensors.torch import save_file

        good = WEIGHTS / "edgeconv.safetensors"
        data = bytearray(good.read_bytes())
        (folder / "half.safetensors").write_bytes(data[: len(data) // 2])
        data[-1000] ^= 1
        (folder / "bit.safetensors").write_bytes(data)
        (folder / "text.safetensors").write_text("nonsense")
        torch.save({"x": torch.zeros(1)}, folder / "torch.pt")
        save_file({"x": torch.zeros(1)}, folder / "foreign.safetensors")
        tensors, header = load_checkpoint(good)
        save_checkpoint(folder / "nameless.safetensors", tensors, {})
        other = header["network"] | {"channels": 32}
        save_checkpoint(folder / "other.safetensors", tensors, header | {"network": other})
        outside = {"_target_": "os.system", "command": "touch harm"}
        save_checkpoint(folder / "harm.safetensors", tensors, {"network": outside})
        for name, words in {
            "half.safetensors": "not a readable",
            "bit.safetensors": "damaged",
            "text.safetensors": "not a readable",
            "torch.pt": "not a readable",
            "foreign.safetensors": "was not written by pcdenoise",
            "nameless.safetensors": "which network",
            "other.safetensors": "another architecture",
        }.items():
            refused(5, [name, words], "denoise", scan, "--model", folder / name)
        refused(2, "outside pcdenoise", "denoise", scan, "--model", folder / "harm.safetensors")


class TestMemory:
    def test_not_even_the_smallest_tile(self, refused, scan, monkeypatch):
        from pcdenoise.denoisers.tiling import Tiling

        monkeypatch.setattr(Tiling, "_gather", lambda *_: torch.empty(2**46))
        refused(6, ["not even a tile", "close other programs"], "denoise", scan)

    @pytest.mark.parametrize("allocate", [lambda *_: np.empty(2**50), lambda *_: torch.empty(2**46)])
    def test_anywhere_else(self, allocate, refused, scan, monkeypatch):
        monkeypatch.setattr("pcdenoise.denoisers.whole_cloud.noise_level", allocate)
        refused(6, "out of memory", "denoise", scan)

    @pytest.mark.slow
    def test_a_real_limit_halves_tiles(self, run):
        result = run(
            script="""
import resource
from pathlib import Path
import numpy as np
from pcdenoise.api import denoise_with_report, load_model
from pcdenoise.cloud import PointCloud
from pcdenoise.denoisers.tiling import Tiling

rng = np.random.default_rng(0)
plane = rng.random((150_000, 2))
points = np.column_stack([plane, 0.1 * np.sin(6 * plane[:, 0])]) + 0.0015 * rng.standard_normal((150_000, 3))
denoiser = load_model(device="cpu")
denoise_with_report(PointCloud(points[:3000]), denoiser, passes=1)
whole, tiles = Tiling._gather, []
Tiling._gather = lambda self, rows: tiles.append(len(rows)) or whole(self, rows)
used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + 60 * 2**20,) * 2)
denoise_with_report(PointCloud(points), denoiser, passes=1)
print(tiles[0], len(tiles))
"""
        )
        assert result.code == 0, result.err
        first, count = map(int, result.out.split())
        assert first == 150_000
        assert count > 2


class TestInterrupted:
    def test_nothing_is_left(self, start, folder, noisy, one_line):
        """Ctrl-C once the output is half written."""
        write(noisy, folder / "scan.npy")
        script = """
import os, sys, time
from pathlib import Path
from pcdenoise.cli.main import main

def slow(_):
    assert len(list(Path().iterdir())) == 2  # the scan, and a temporary file
    print("writing", flush=True)
    time.sleep(60)

os.fsync = slow
sys.exit(main(["denoise", "scan.npy", "--quiet"]))
"""
        process = start(script=script)
        assert process.stdout.readline() == "writing\n"
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
        assert (process.returncode, out) == (130, "")
        assert err == "pcdenoise: interrupted; no file is half written\n"
        assert [path.name for path in folder.iterdir()] == ["scan.npy"]

    def test_in_the_middle_of_the_work(self, start, folder):
        rng = np.random.default_rng(0)
        write(PointCloud(rng.random((60_000, 3)) * [1, 1, 0.01]), folder / "scan.npy")
        process = start("denoise", "scan.npy", "rotations=50", "--passes", "2")
        time.sleep(0.2)
        deadline = time.monotonic() + 60
        while "numba" not in Path(f"/proc/{process.pid}/maps").read_text() and time.monotonic() < deadline:
            time.sleep(0.1)
        time.sleep(1)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
        assert (process.returncode, out) == (130, "")
        assert err == "pcdenoise: interrupted; no file is half written\n"
        assert [path.name for path in folder.iterdir()] == ["scan.npy"]


def test_what_nobody_foresaw_is_one_line_too(cli, scan, monkeypatch):
    def broken(*_):
        raise ZeroDivisionError("in the\nmiddle")

    monkeypatch.setattr("pcdenoise.denoisers.whole_cloud.noise_level", broken)
    result = cli("denoise", scan)
    assert result.code == 1
    assert result.err.startswith("pcdenoise: unforeseen ZeroDivisionError: in the middle; ")
    assert result.err.count("\n") == 1
    monkeypatch.setenv("PCDENOISE_TRACEBACK", "1")
    with pytest.raises(ZeroDivisionError):
        cli("denoise", scan)
