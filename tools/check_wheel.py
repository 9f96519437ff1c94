"""Check a built wheel: configurations and weights are inside, and the command runs from it alone.

`make wheel` calls it: python tools/check_wheel.py build/wheel
"""

import os
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def expected_files() -> set[str]:
    """What the source tree holds and the wheel must hold too, named as in the wheel."""
    sources = [(path, path.relative_to(ROOT)) for path in (ROOT / "pcdenoise").rglob("*")]
    sources += [(path, Path("pcdenoise") / path.relative_to(ROOT)) for path in (ROOT / "conf").rglob("*")]
    kept = {".py", ".yaml", ".safetensors", ".json", ".csv", ".typed"}
    return {name.as_posix() for path, name in sources if path.is_file() and path.suffix in kept}


def main(folder: Path) -> None:
    """Raise SystemExit with one line when something is missing."""
    wheels = sorted(folder.glob("*.whl"))
    if len(wheels) != 1:
        raise SystemExit(f"{folder} holds {len(wheels)} wheels; there must be one")
    with zipfile.ZipFile(wheels[0]) as archive:
        missing = sorted(expected_files() - set(archive.namelist()))
    if missing:
        raise SystemExit(f"{wheels[0].name} lacks {', '.join(missing)}")

    with tempfile.TemporaryDirectory() as scratch:
        site = Path(scratch) / "site"
        pip = [sys.executable, "-m", "pip", "install", "--quiet"]
        subprocess.run([*pip, "--no-deps", "--target", str(site), str(wheels[0])], check=True)
        environment = {**os.environ, "PYTHONPATH": str(site)}
        where = [sys.executable, "-c", "import pcdenoise; print(pcdenoise.__file__)"]
        found = subprocess.run(where, cwd=scratch, env=environment, check=True, capture_output=True, text=True).stdout
        if not Path(found.strip()).is_relative_to(site):
            raise SystemExit(f"{wheels[0].name}: pcdenoise came from {found.strip()}, not from the wheel")
        command = [sys.executable, str(site / "bin" / "pcdenoise"), "--help"]
        subprocess.run(command, cwd=scratch, env=environment, check=True, stdout=subprocess.DEVNULL)
    print(f"{wheels[0].name}: {len(expected_files())} files in place, the command runs")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
