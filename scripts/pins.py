"""Keep the exact pins in pyproject.toml equal to what the workspace resolves to.

Without an argument the list `constraint-dependencies` is written from `uv.lock`; with `--check`
the script only says what is missing or superfluous. To upgrade a package, delete its line (or all
of them) and run `make pins`. The lock file itself holds addresses of a registry and is not kept.
"""

import re
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LIST = re.compile(r"(?<=^constraint-dependencies = \[\n).*?(?=^\]$)", re.DOTALL | re.MULTILINE)


def resolved() -> list[str]:
    """Give `name==version` of every package that came from a registry.

    A package that has different versions on different Pythons comes with its markers.
    """
    lock = tomllib.loads((ROOT / "uv.lock").read_text(encoding="utf-8"))
    pins = []
    for package in lock["package"]:
        if "registry" in package["source"]:
            markers = " or ".join(f"({m})" for m in sorted(package.get("resolution-markers", ())))
            pin = f"{package['name']}=={package['version']}"
            pins.append(f"{pin} ; {markers}" if markers else pin)
    return sorted(pins)


def main() -> int:
    """Write or check the pins, and give the exit code."""
    project = ROOT / "pyproject.toml"
    text = project.read_text(encoding="utf-8")
    wanted = resolved()
    if "--check" not in sys.argv[1:]:
        lines = "".join(f'  "{pin}",\n' for pin in wanted)
        project.write_text(LIST.sub(lambda _: lines, text, count=1), encoding="utf-8")
        return 0
    listed = tomllib.loads(text)["tool"]["uv"]["constraint-dependencies"]
    # Without markers: equal ones may be written in several ways.
    needed, pinned = ({pin.partition(" ;")[0] for pin in pins} for pins in (wanted, listed))
    for pin in sorted(needed - pinned):
        print(f"pyproject.toml: {pin} is not pinned: run `make pins`", file=sys.stderr)
    for pin in sorted(pinned - needed):
        print(f"pyproject.toml: nothing needs {pin}: run `make pins`", file=sys.stderr)
    return int(needed != pinned)


if __name__ == "__main__":
    sys.exit(main())
