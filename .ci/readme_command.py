"""Print the N-th ``sh`` block of README.md, one command line: what users type is what CI runs."""

import re
import sys
from pathlib import Path


def sh_blocks(readme: str) -> list[str]:
    """Return the text of every fenced block marked ``sh``."""
    return [block.strip() for block in re.findall(r"^```sh\n(.*?)^```", readme, re.MULTILINE | re.DOTALL)]


if __name__ == "__main__":
    blocks = sh_blocks((Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8"))
    command = blocks[int(sys.argv[1]) - 1]
    if "\n" in command:
        sys.exit(f"README's sh block {sys.argv[1]} is not ONE command line:\n{command}")
    print(command)
