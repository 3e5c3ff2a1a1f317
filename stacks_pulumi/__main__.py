"""`python -m stacks_pulumi` is `stacks-pulumi`."""

import sys

from stacks_pulumi.cli import main

sys.exit(main())
