"""`python -m kyros_spark` is the same as `kyros`."""

import sys

from kyros_spark.cli.main import main

sys.exit(main())
