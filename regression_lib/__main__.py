"""The command line: `python -m regression_lib doctor`."""

import argparse
import sys
from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m regression_lib", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("doctor", help="versions, device, data, a short training; to paste")
    parser.parse_args(arguments)

    from regression_lib.doctor import main as doctor

    return doctor()


if __name__ == "__main__":
    sys.exit(main())
