"""The kernel's own events are described, and the page shows what the code says."""

from __future__ import annotations

import json
import re
import subprocess
import sys

import pytest

from dovetail.events.catalogue import KINDS, EventKind
from tests.support.distributions import ROOT


def test_names_are_unique_and_words() -> None:
    names = [kind.name for kind in KINDS]
    assert len(set(names)) == len(names)
    assert all(re.fullmatch(r"[a-z]+(_[a-z]+)+", name) for name in names)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_each_says_when_it_is_told_and_what_its_data_is(kind: EventKind) -> None:
    assert kind.when.endswith(".")
    assert kind.fields
    assert all(words.endswith((".", "…")) for words in kind.fields.values())
    assert kind.sample.keys() == kind.fields.keys()
    assert json.loads(json.dumps(dict(kind.sample))) == kind.sample


def test_the_page_shows_what_the_code_says() -> None:
    script = ROOT / "scripts" / "events_table.py"
    done = subprocess.run(
        [sys.executable, script, "--check"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
