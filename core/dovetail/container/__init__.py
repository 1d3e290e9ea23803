"""Dependencies: what provides them, how long they last, and how they are cleaned up.

`SmartDependencyContainer` is the one to use. A lookup is compiled once for each key, from the
signatures of what it leads to, into plain closures.
"""

from dovetail.container.container import SmartDependencyContainer
from dovetail.container.health import DependencyHealth
from dovetail.container.markers import Named, Tagged, bare, qualifiers
from dovetail.container.provider import DependencyProvider

__all__ = [
    "DependencyHealth",
    "DependencyProvider",
    "Named",
    "SmartDependencyContainer",
    "Tagged",
    "bare",
    "qualifiers",
]
