"""``python -m rpyc_kernel`` is ``rpyc-kernel``."""

from __future__ import annotations

from rpyc_kernel.cli.__main__ import main

if __name__ == "__main__":
    main()
