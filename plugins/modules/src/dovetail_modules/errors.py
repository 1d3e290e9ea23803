"""What can become of a module.

::

    ModuleError                  a module cannot be used as asked
    ├── ModuleFailed             it came to no text: the reason is what its gap says
    ├── ModuleMissing            there is none of this name
    ├── ModuleConflict           somebody else changed it meanwhile, or there is one already
    └── StateTooLarge            what it wants kept has no room
"""

from __future__ import annotations

from dovetail import DovetailError


class ModuleError(DovetailError):
    """A module cannot be used as asked."""


class ModuleFailed(ModuleError):
    """It came to no text; the message is short enough to stand in a prompt."""


class ModuleMissing(ModuleError):
    """There is no module, or no version of it, as asked for."""


class ModuleConflict(ModuleError):
    """The module in the store is not what was expected: nothing was changed."""


class StateTooLarge(ModuleError):
    """What a module wants kept has no room in the state of the conversation or user."""
