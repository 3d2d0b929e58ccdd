"""Where ``rpyc-kernel`` begins."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line, and leave with its exit status."""
    try:
        if any("rpyc+tls:" in argument for argument in sys.argv):
            from rpyc_kernel.cli.hiding import run_without_secrets

            run_without_secrets()
        # Imported here because it takes a while, in which a Ctrl-C should look like one at any other time.
        from rpyc_kernel.cli.program import run
    except KeyboardInterrupt:
        sys.exit(130)
    sys.exit(run(sys.argv))


if __name__ == "__main__":
    main()
