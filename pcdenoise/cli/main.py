"""`pcdenoise`: parse, run a command, turn errors and warnings into one line each, and errors into an exit code."""

import argparse
import errno
import gc
import os
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import NoReturn

from pcdenoise import __version__
from pcdenoise.cli import bench, check, denoise, evaluate, import_, info, noise, train, view
from pcdenoise.errors import OutOfMemoryError, OutputError, PcdenoiseError, UsageError

COMMANDS = {
    "denoise": denoise,
    "eval": evaluate,
    "info": info,
    "check": check,
    "view": view,
    "bench": bench,
    "train": train,
    "noise": noise,
    "import": import_,
}
INTERRUPTED = 130
RARELY = 50_000
TRACEBACK = "PCDENOISE_TRACEBACK"
DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)

EXIT_CODES = """\
exit codes:
  0  done
  1  something else went wrong (training diverged, ...)
  2  usage: a command, an option or a configuration value is wrong
  3  input: missing, unreadable, malformed or not a point cloud
  4  output: folder, permission, existing file or disk space
  5  model: weights missing, corrupt, foreign or for another architecture
  6  memory: not even the smallest tile fits
  130  interrupted
"""


class Parser(argparse.ArgumentParser):
    """Says what is wrong in one line, and where to read on."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message}; see {self.prog} --help")


def parser() -> Parser:
    """The whole command line."""
    root = Parser(
        prog="pcdenoise",
        description="Clean noisy 3D point clouds.",
        epilog=EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    root.add_argument("--version", action="version", version=f"pcdenoise {__version__}")
    commands = root.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, module in COMMANDS.items():
        summary, _, details = (module.__doc__ or "").partition("\n\n")
        command = commands.add_parser(
            name,
            help=summary,
            description=summary,
            epilog=f"{details.strip()}\n\n{EXIT_CODES}".lstrip(),
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
        module.add_arguments(command)
    return root


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    # Spinning threads turn a busy machine's tenth of a second into many seconds; must be set before torch is loaded.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    command = ""
    with _warnings_in_one_line():
        try:
            options = _parsed(arguments)
            command = options.command
            COMMANDS[command].run(options)
            if sys.stdout is not None:
                sys.stdout.flush()
        except PcdenoiseError as error:
            return _fail(str(error), error.exit_code)
        except KeyboardInterrupt:
            return _fail(f"interrupted; {COMMANDS[command].AFTER_INTERRUPT}" if command else "interrupted", INTERRUPTED)
        except BrokenPipeError:
            _forget_stdout()  # whoever read it has seen enough
        except Exception as error:
            return _unforeseen(error)
    return 0


def program() -> NoReturn:
    """`main` as a process of its own, which starts and ends faster than an interpreter does by itself."""
    # Importing torch makes millions of objects that stay; looking through them for garbage is a tenth of the time.
    gc.set_threshold(RARELY, *gc.get_threshold()[1:])
    code = main()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError, AttributeError):  # closed, or no one reads
            stream.flush()
    # Winding up takes torch most of a second, and would crash on the threads of a search that was interrupted.
    os._exit(code)


def overrides(words: Sequence[str]) -> list[str]:
    """The `key=value` words of a command.

    Raises:
        UsageError: a word without `=`.
    """
    for word in words:
        if "=" not in word:
            raise UsageError(f"{word!r} is not an override; write key=value, or see --help")
    return list(words)


def _parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    # argparse leaves over the words that follow an option: `denoise IN -o OUT key=value`
    options, words = parser().parse_known_args(arguments)
    unknown = [word for word in words if word.startswith("-")]
    if unknown or (words and not hasattr(options, "overrides")):
        raise UsageError(f"there is no option {(unknown or words)[0]!r}; see pcdenoise {options.command} --help")
    if words:
        options.overrides += words
    return options


def _unforeseen(error: Exception) -> int:
    if os.environ.get(TRACEBACK):
        raise error
    if isinstance(error, MemoryError) or "allocate memory" in str(error) or "out of memory" in str(error):
        return _fail("out of memory; close other programs or split the cloud", OutOfMemoryError.exit_code)
    if isinstance(error, OSError) and error.errno in DISK_FULL:
        _forget_stdout()
        where = error.filename or "the output"
        return _fail(f"no space left for {where}; free some or write to another disk", OutputError.exit_code)
    fact = str(error) or "no message"
    return _fail(f"unforeseen {type(error).__name__}: {fact}; set {TRACEBACK}=1 to see where, and report it", 1)


def _fail(message: str, code: int) -> int:
    print("pcdenoise: " + " ".join(message.split()), file=sys.stderr)
    return code


@contextmanager
def _warnings_in_one_line() -> Iterator[None]:
    """Show what readers and writers warn of as one line each; what libraries tell programmers is not for users."""

    def show(message: Warning | str, *_: object, **__: object) -> None:
        _fail(f"warning: {message}", 0)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("always", UserWarning)
        warnings.showwarning = show
        yield


def _forget_stdout() -> None:
    """Drop what is still buffered, lest the interpreter fails on it when it exits."""
    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (OSError, ValueError, AttributeError):
        return
