"""Writes the table of the kernel's events into docs/events.md; `--check` only compares."""

import sys
from pathlib import Path

from dovetail.events.catalogue import markdown

PAGE = Path(__file__).resolve().parents[1] / "docs" / "events.md"
START = "<!-- written by scripts/events_table.py -->\n"
END = "<!-- the end of what it writes -->\n"


def main() -> int:
    """Compare or write."""
    text = PAGE.read_text(encoding="utf-8")
    before, _, rest = text.partition(START)
    wanted = f"{before}{START}\n{markdown()}\n\n{END}{rest.partition(END)[2]}"
    if "--check" in sys.argv:
        if text != wanted:
            print("docs/events.md is behind: run scripts/events_table.py")
        return int(text != wanted)
    PAGE.write_text(wanted, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
