"""`make docs`: write the generated parts of the documentation."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Final

if not __package__:
    # If Python runs this folder, it puts the folder first on the path, and its modules could hide other modules.
    sys.path[0] = str(Path(__file__).resolve().parents[2])

from tools.docs.install import written
from tools.docs.marks import filled, pages
from tools.docs.parts import generate
from tools.docs.platform_file import gate_schema_text, schema_text, seed_schema_text

_ROOT: Final = Path(__file__).resolve().parents[2]
PLATFORM_SCHEMA: Final = _ROOT / "stacks_pulumi" / "platform.schema.json"
SEED_SCHEMA: Final = _ROOT / "stacks_pulumi" / "emulator" / "seed.schema.json"
GATE_SCHEMA: Final = _ROOT / "stacks_pulumi" / "gate" / "gate.schema.json"


def main() -> int:
    """Write the changed parts, the schemas, and the packs and pipelines of the checkout."""
    for page in pages(_ROOT):
        before = page.read_text(encoding="utf-8")
        after = filled(before, generate)
        if after != before:
            page.write_text(after, encoding="utf-8")
            print(f"wrote {page.relative_to(_ROOT)}")
    for file, text in written().items():
        file.write_text(text, encoding="utf-8")
    PLATFORM_SCHEMA.write_text(schema_text(), encoding="utf-8")
    GATE_SCHEMA.write_text(gate_schema_text(), encoding="utf-8")
    SEED_SCHEMA.write_text(seed_schema_text(), encoding="utf-8")
    command = [sys.executable, str(_ROOT / "tools" / "schema.py")]
    return subprocess.run(command, cwd=_ROOT, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
