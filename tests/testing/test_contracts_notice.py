"""Each contract notices what it is for: faulty plugins, each run against its whole contract."""

import os
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import pytest

from dovetail.testing import (
    ChatProviderContract,
    ComponentContract,
    EmbeddingProviderContract,
    MiddlewareContract,
    SessionStoreContract,
)
from dovetail.testing.event_bus import EventBusContract
from dovetail.testing.event_provider import EventProviderContract
from tests.support.processes import unmeasured

pytestmark = pytest.mark.timeout(240)  # all the faulty ones run in the first test's fixture

FAULTY = Path(__file__).parent / "faulty"
CONTRACTS = {
    "faulty_chat": ChatProviderContract,
    "faulty_embedding": EmbeddingProviderContract,
    "faulty_middleware": MiddlewareContract,
    "faulty_sessions": SessionStoreContract,
    "faulty_events": EventProviderContract,
    "faulty_bus": EventBusContract,
}
DISTRIBUTIONS = {"shouting": "SHOUTING", "twin_a": "twin", "twin_b": "twin"}
"""What is installed while they run, and the id of its plugin."""


@dataclass
class Outcome:
    """What came of one faulty plugin."""

    ran: set[str] = field(default_factory=set)
    failed: set[str] = field(default_factory=set)
    breaks: set[str] = field(default_factory=set)
    refused: bool = False


Outcomes = dict[str, Outcome]
"""By class."""


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Outcomes]:
    """By file, what came of every faulty plugin; as an author runs it, with no config of ours."""
    folder = tmp_path_factory.mktemp("faulty")
    for name, plugin_id in DISTRIBUTIONS.items():
        info = folder / f"{name}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[dovetail.v1]\n{plugin_id} = light_plugin\n")
    # All at once: most of their time is spent waiting.
    with ThreadPoolExecutor() as pool:
        return dict(zip(CONTRACTS, pool.map(partial(run, folder), CONTRACTS), strict=True))


def run(folder: Path, name: str) -> Outcomes:
    report = folder / f"{name}.xml"
    config = ["-c", os.devnull, f"--rootdir={FAULTY}", "-o", "junit_family=xunit1"]
    output = ["-p", "no:cacheprovider", "-q", "--tb=no", f"--junitxml={report}"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *config, *output, str(FAULTY / f"{name}.py")],
        # It would take twice as long, and find nothing that is not covered.
        env={**unmeasured(), "PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1, done.stdout + done.stderr
    return read(report)


def read(report: Path) -> Outcomes:
    found: Outcomes = defaultdict(Outcome)
    for case in ET.parse(report).iter("testcase"):
        outcome = found[case.attrib["classname"].rpartition(".")[2]]
        said = {p.attrib["name"]: p.attrib["value"] for p in case.iter("property")}
        outcome.breaks = set(said["breaks"].split())
        outcome.refused = said["refused"] == "True"
        outcome.ran.add(case.attrib["name"])
        if case.find("failure") is not None or case.find("error") is not None:
            outcome.failed.add(case.attrib["name"])
    return found


@pytest.mark.parametrize("file", CONTRACTS)
def test_a_contract_notices_exactly_what_is_broken(
    file: str, outcomes: dict[str, Outcomes]
) -> None:
    for name, outcome in outcomes[file].items():
        missed = outcome.breaks - outcome.failed
        innocent = set() if outcome.refused else outcome.failed - outcome.breaks
        assert not missed, f"{name} passed {missed}"
        assert not innocent, f"{name} failed {innocent} too"


@pytest.mark.parametrize(("file", "contract"), CONTRACTS.items())
def test_every_check_of_a_contract_is_seen_to_fail(
    file: str, contract: type[ComponentContract], outcomes: dict[str, Outcomes]
) -> None:
    checks = {name for name in vars(contract) if name.startswith("test_")}
    if file == "faulty_chat":
        checks |= {name for name in vars(ComponentContract) if name.startswith("test_")}
    noticed = set[str]().union(*(outcome.breaks for outcome in outcomes[file].values()))
    assert not checks - noticed
    assert all(outcome.ran >= checks for outcome in outcomes[file].values())
