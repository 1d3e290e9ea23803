"""What the tests of hosting share."""

from __future__ import annotations

from tests.support.distributions import installed

__all__ = ["installed"]
