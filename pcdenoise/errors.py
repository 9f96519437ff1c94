"""What can go wrong for a user. Each message is one line: the fact, then the remedy.

The command line turns each class into its own exit code; the Python API raises it as it is.
"""


class PcdenoiseError(Exception):
    """Base of every error a user can cause or mend."""

    exit_code = 1


class UsageError(PcdenoiseError):
    """The command, an option or a configuration value is wrong."""

    exit_code = 2


class InputError(PcdenoiseError):
    """The input is missing, unreadable, malformed or not a point cloud."""

    exit_code = 3


class OutputError(PcdenoiseError):
    """The result cannot be written: folder, permission, existing file or disk space."""

    exit_code = 4


class ModelError(PcdenoiseError):
    """The weights are missing, corrupt, foreign or made for another architecture."""

    exit_code = 5


class OutOfMemoryError(PcdenoiseError):
    """Not even the smallest tile fits into memory."""

    exit_code = 6
