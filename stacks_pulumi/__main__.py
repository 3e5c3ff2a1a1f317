"""`python -m stacks_pulumi` runs the command `stacks-pulumi`."""

import sys

from stacks_pulumi.cli import main

sys.exit(main())
