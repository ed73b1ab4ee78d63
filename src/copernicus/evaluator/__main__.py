"""``python -m copernicus.evaluator``."""

import sys

from copernicus.evaluator.main import main

sys.exit(main())
