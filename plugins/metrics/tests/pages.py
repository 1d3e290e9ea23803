"""Fetching the page, and reading it as Prometheus does."""

from dataclasses import dataclass
from typing import Self

import httpx
from prometheus_client.parser import text_string_to_metric_families

from dovetail import Kernel
from dovetail_metrics import MetricsProvider


@dataclass(frozen=True)
class Page:
    """The samples of a page, by name and labels."""

    samples: dict[tuple[str, frozenset[tuple[str, str]]], float]

    @classmethod
    def of(cls, body: bytes | str) -> Self:
        text = body if isinstance(body, str) else body.decode()
        return cls(
            {
                (sample.name, frozenset(sample.labels.items())): sample.value
                for family in text_string_to_metric_families(text)
                for sample in family.samples
            }
        )

    def all(self, name: str) -> dict[frozenset[tuple[str, str]], float]:
        """Every series of a name, by its labels."""
        return {labels: value for (known, labels), value in self.samples.items() if known == name}

    def values(self, name: str, label: str) -> dict[str, float]:
        """The sums of a name's series by one of their labels."""
        sums: dict[str, float] = {}
        for labels, value in self.all(name).items():
            key = dict(labels).get(label, "")
            sums[key] = sums.get(key, 0) + value
        return sums

    def __call__(self, name: str, **labels: str) -> float:
        """The sum of a name's series that have these labels; there must be one."""
        found = [v for have, v in self.all(name).items() if have >= set(labels.items())]
        assert found, f"no {name}{labels} in {sorted({name for name, _ in self.samples})}"
        return sum(found)


def provider_of(kernel: Kernel, name: str = "metrics") -> MetricsProvider:
    provider = kernel.generation.providers[name]
    assert isinstance(provider, MetricsProvider)
    return provider


async def get(url: str, method: str = "GET", accept: str = "*/*") -> httpx.Response:
    async with httpx.AsyncClient(trust_env=False, timeout=50) as client:
        return await client.request(method, url, headers={"Accept": accept})


async def page_of(kernel: Kernel, name: str = "metrics") -> Page:
    """The page of a kernel's instance, by HTTP."""
    response = await get(provider_of(kernel, name).url)
    assert response.status_code == 200
    return Page.of(response.text)
