"""What can go wrong for a user, each with the exit code that the command line returns.

Every message is one sentence (or two) that says what happened and what to do; it is printed as it stands.
"""

import sys


class MftpyError(Exception):
    """A failure that a user can act on.

    Attributes
    ----------
    exit_code : int
        What ``python -m mftpy`` returns for it: 2 usage or configuration, 3 input file, 4 venue, login or
        connection, 5 machine resources, 6 halted by risk or by failures, 70 a defect of ours.
    """

    exit_code = 70


class ConfigError(MftpyError):
    """A flag, a configuration file or a combination of settings cannot be used."""

    exit_code = 2


class InputFileError(MftpyError):
    """A recording or another input file is missing, damaged or of another kind."""

    exit_code = 3


class VenueError(MftpyError):
    """The exchange refused, cannot be reached, or answered what it should not."""

    exit_code = 4


class ResourceError(MftpyError):
    """The machine lacks memory, cores, a port, or another instance holds the name."""

    exit_code = 5


def not_installed(missing: ModuleNotFoundError) -> ResourceError:
    """What to say when this Python lacks a module of ours or of others: mostly an environment that is not activated."""
    return ResourceError(
        f"this Python ({sys.executable}) has no module {missing.name}; activate the virtual environment that mftpy was"
        " installed into, or install it with: python -m pip install ."
    )


class HaltedError(MftpyError):
    """Quoting was stopped by risk or by the failure of one of our processes."""

    exit_code = 6
