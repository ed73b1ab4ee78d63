"""``cpc``, and ``python -m copernicus``."""

from __future__ import annotations

import sys

from copernicus.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
