"""`python -m ppc.cli` is `ppc`."""

from __future__ import annotations

import sys

from ppc.cli import main

if __name__ == "__main__":
    sys.exit(main())
