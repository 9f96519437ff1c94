"""`pcdenoise`: parse, run a command, turn errors into one line and an exit code."""

import argparse
import os
import sys
from collections.abc import Sequence

from pcdenoise import __version__
from pcdenoise.cli import denoise, info, train
from pcdenoise.errors import OutOfMemoryError, PcdenoiseError, UsageError

COMMANDS = {"denoise": denoise, "info": info, "train": train}

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


def parser() -> argparse.ArgumentParser:
    """The whole command line."""
    root = argparse.ArgumentParser(
        prog="pcdenoise",
        description="Clean noisy 3D point clouds.",
        epilog=EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
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
        )
        module.add_arguments(command)
    return root


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    # Spinning threads turn a busy machine's tenth of a second into many seconds; must be set before torch is loaded.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    options = parser().parse_args(arguments)
    try:
        COMMANDS[options.command].run(options)
    except PcdenoiseError as error:
        return _fail(str(error), error.exit_code)
    except MemoryError:
        return _fail("out of memory; close other programs or split the cloud", OutOfMemoryError.exit_code)
    except KeyboardInterrupt:
        return _fail("interrupted; nothing was written", 130)
    except BrokenPipeError:
        sys.stderr.close()
    return 0


def _fail(message: str, code: int) -> int:
    print("pcdenoise: " + " ".join(message.split()), file=sys.stderr)
    return code


def overrides(words: Sequence[str]) -> list[str]:
    """The `key=value` words of a command.

    Raises:
        UsageError: a word without `=`.
    """
    for word in words:
        if "=" not in word:
            raise UsageError(f"{word!r} is not an override; write key=value, or see --help")
    return list(words)
