"""``python -m copernicus.cpcc``."""

from __future__ import annotations

import sys

from copernicus.cpcc.main import main

if __name__ == "__main__":
    sys.exit(main())
