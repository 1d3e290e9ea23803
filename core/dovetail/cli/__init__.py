"""The `dovetail` command.

Nothing heavy is imported before it is known to be needed: each command is a module of its own, and
`--version` needs none of them.
"""

import sys

from dovetail import __version__


def main() -> int:
    """Run the command that `sys.argv` names and give its exit code: 0 fine, 1 failed, 2 misused."""
    arguments = sys.argv[1:]
    if arguments == ["--version"]:
        import _signal  # type: ignore[import-not-found]  # `signal` itself takes longer than all of this

        _signal.signal(_signal.SIGINT, _signal.SIG_IGN)  # too late for it to change anything
        sys.stdout.write(f"dovetail {__version__}\n")
        return 0
    try:
        from dovetail.cli.interrupts import run_interruptible

        return run_interruptible(lambda: _run(arguments))
    except KeyboardInterrupt:  # before anything looks after it
        sys.stderr.write("dovetail: interrupted\n")
        return 1


def _run(arguments: list[str]) -> int:
    from dovetail.cli.run import prepare_streams, run

    prepare_streams()
    return run(arguments)
