"""Everything the vector store raises.

::

    VectorStoreError
    ├── ScopeError         a scope, or a filter that tries to be one, cannot be used as asked
    ├── FilterError        a filter on metadata cannot be understood
    ├── ItemRefused        an item cannot be kept as it is
    ├── WrongModel         the collection was made with another embedding model or dimension
    ├── StoreInUse         another process has the store open
    ├── StoreDamaged       what is on disk cannot be read, and what can be done about it
    └── StoreFull          there is no room left
"""

from dovetail import DovetailError, NotReady


class VectorStoreError(DovetailError):
    """The vector store cannot do what it was asked."""


class ScopeError(VectorStoreError):
    """Nothing may be changed in this scope, or a filter asks for what only a scope decides."""


class FilterError(VectorStoreError, ValueError):
    """A filter on metadata cannot be understood."""


class ItemRefused(VectorStoreError, ValueError):
    """An item cannot be kept as it is; others beside it can."""


class WrongModel(VectorStoreError):
    """Vectors of two models, or two dimensions, cannot be compared."""


class StoreInUse(VectorStoreError, NotReady):
    """Another process has the store open."""


class StoreDamaged(VectorStoreError):
    """What is on disk cannot be read."""


class StoreFull(VectorStoreError):
    """There is no room left for it."""
