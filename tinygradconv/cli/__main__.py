"""python -m tinygradconv.cli: the command line."""
import sys

from tinygradconv.cli import main

sys.exit(main())
