"""
Measure concurrent stacks with one key, on a driven clock: `python tests/bench/several_stacks.py`.

A minute of the driven clock takes some seconds. The lines without hints are those of stacks on separate machines.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.support.several_stacks import run


def main() -> None:
    """Print a line for each case."""
    with tempfile.TemporaryDirectory() as folder:
        for boot in (20.0, 29.0):
            for apart in (0.0, 1.0):
                for hints in (Path(folder) / f"hints-{boot}-{apart}", None):
                    found = run(hints, boot=boot, apart=apart)
                    ends = ", ".join(f"{end:.0f}" for end in sorted(found.ends.values()))
                    sys.stdout.write(
                        f"boot {boot:.0f} s, starts within {apart:.0f} s, {'no ' if hints is None else ''}hints: "
                        f"{found.ratio:.3f} x the bound ({ends} s), {found.calls.total()} calls, of these "
                        f"{found.calls['containers.list']} looks, in {len(found.windows)} windows; "
                        f"{found.refused.total()} refused, none more than "
                        f"{max(found.refused.values(), default=0)} x\n"
                    )


if __name__ == "__main__":
    main()
