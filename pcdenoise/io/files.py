"""Read any known file; write one so that a failure never leaves half of it behind."""

import errno
import os
import secrets
import stat
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pcdenoise.cloud import PointCloud
from pcdenoise.errors import InputError, OutputError, PcdenoiseError
from pcdenoise.io.formats import FORMATS, Format


def read(path: str | os.PathLike[str]) -> PointCloud:
    """Read a point cloud: coordinates, attributes and what its format needs to write the same file again.

    Args:
        path: a file whose suffix is one of `FORMATS`, in any case.

    Raises:
        InputError: the file is missing, unreadable, malformed or holds no points; one line with fact and remedy.
    """
    path = Path(path)
    if path.is_dir():
        raise InputError(f"{path} is a directory; name a file in it")
    kind = _format(path, InputError)
    if not path.exists():
        raise InputError(f"{path} does not exist; check the name and the folder")
    if not path.is_file():
        raise InputError(f"{path} is not a regular file; save it as one first")
    try:
        if path.stat().st_size == 0:
            raise InputError("the file is empty; copy or export it again")
        cloud = kind.read(path)
    except PcdenoiseError as error:
        raise InputError(f"{path}: {error}") from error
    except PermissionError:
        raise InputError(f"{path} may not be read; change its permissions") from None
    except MemoryError:
        raise InputError(f"{path}: not enough memory for the points it announces; is its header right?") from None
    except Exception as error:
        fact = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(f"{path} is not a readable {kind.name} file ({fact}); export it again") from error
    if len(cloud) == 0:
        raise InputError(f"{path} holds no points; export it again")
    return cloud


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """A temporary name beside the target, which takes the target's place when all is written.

    Raises:
        OutputError: it cannot be written; what was there before is as it was.
    """
    target = Path(os.path.realpath(path))
    temporary = target.with_name(f".{secrets.token_hex(6)}{target.suffix}")
    try:
        yield temporary
        temporary.replace(target)
    except OSError as error:
        remedy = "choose an existing folder you may write to, with space left"
        raise OutputError(f"cannot write {path}: {error.strerror or error}; {remedy}") from error
    finally:
        temporary.unlink(missing_ok=True)


def write(cloud: PointCloud, path: str | os.PathLike[str], *, overwrite: bool = False) -> None:
    """Write a point cloud; the file appears whole or not at all.

    The points go to a temporary file beside the target, which is flushed to disk, read again and counted, and only
    then renamed.

    Args:
        path: the target; its suffix chooses the format. A link is followed.
        overwrite: replace an existing file.

    Raises:
        OutputError: the file exists, the folder is missing or unwritable, the disk is full, or the format cannot
            hold these points.
    """
    target = check_target(path, overwrite=overwrite)
    kind = _format(target, OutputError)
    if len(cloud) == 0:
        raise OutputError(f"there are no points to write to {path}")
    temporary = target.with_name(f".{secrets.token_hex(6)}{target.suffix}")
    try:
        temporary.touch(exist_ok=False)
        kind.write(cloud, temporary)
        _flush(temporary)
        _check(cloud, kind, temporary)
        if target.exists():
            temporary.chmod(stat.S_IMODE(target.stat().st_mode))
        temporary.replace(target)
        _flush(target.parent)
    except OSError as error:
        raise OutputError(_explain(error, target)) from error
    except PcdenoiseError as error:
        raise OutputError(f"{path}: {error}") from error
    except MemoryError:
        raise
    except Exception as error:  # libraries have errors of their own, on a full disk too
        raise OutputError(f"{target} cannot be written ({error}); is the disk full? Nothing was kept") from error
    finally:
        temporary.unlink(missing_ok=True)


def check_target(path: str | os.PathLike[str], *, overwrite: bool = False) -> Path:
    """Refuse a target that `write` would refuse, before any work is done for it; return it with links followed.

    Raises:
        OutputError: unknown suffix, a directory, an existing file, a folder that is missing or not writable.
    """
    _format(Path(path), OutputError)
    return check_place(path, overwrite=overwrite)


def check_place(path: str | os.PathLike[str], *, overwrite: bool = False) -> Path:
    """Refuse a place where no file can be written, whatever it holds; return it with links followed.

    Raises:
        OutputError: a directory, an existing file, a folder that is missing or not writable.
    """
    target = Path(os.path.realpath(path))
    if target.is_dir():
        raise OutputError(f"{path} is a directory; name a file in it")
    if target.exists() and not overwrite:
        raise OutputError(f"{path} exists; choose another name or add --overwrite")
    if not target.parent.is_dir():
        raise OutputError(f"the folder {target.parent} does not exist; create it first")
    if not os.access(target.parent, os.W_OK):
        raise OutputError(f"the folder {target.parent} is not writable; choose another or change its permissions")
    return target


def _format(path: Path, error: type[PcdenoiseError]) -> Format:
    try:
        return FORMATS[path.suffix.lower()]
    except KeyError:
        fact = f"has the unknown suffix {path.suffix!r}" if path.suffix else "has no suffix"
        raise error(f"{path} {fact}; known are {' '.join(FORMATS)}") from None


def _check(cloud: PointCloud, kind: Format, written: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found, expected = len(read(written)), kind.stored(cloud)
    if found != expected:
        raise OutputError(f"{found} of {expected} points came back from the written file; nothing was kept, try again")


def _flush(path: Path) -> None:
    if path.is_dir() and os.name == "nt":
        return
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _explain(error: OSError, target: Path) -> str:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"no space left for {target}; free some or write to another disk (nothing was kept)"
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return f"the folder {target.parent} is not writable; choose another or change its permissions"
    return f"{target} cannot be written ({error.strerror or error}); nothing was kept"
