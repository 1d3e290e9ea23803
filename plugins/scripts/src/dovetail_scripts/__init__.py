"""Python scripts for dovetail, within limits of time, memory, recursion, output and calls."""

from dovetail import ContextAwareService, hookimpl
from dovetail_scripts import specs
from dovetail_scripts.engine import ScriptEngine as ScriptEngine
from dovetail_scripts.errors import ScriptBusy as ScriptBusy
from dovetail_scripts.errors import ScriptCallFailed as ScriptCallFailed
from dovetail_scripts.errors import ScriptCrashed as ScriptCrashed
from dovetail_scripts.errors import ScriptError as ScriptError
from dovetail_scripts.errors import ScriptFailed as ScriptFailed
from dovetail_scripts.errors import ScriptLimitReached as ScriptLimitReached
from dovetail_scripts.errors import ScriptMemory as ScriptMemory
from dovetail_scripts.errors import ScriptOutputTooLong as ScriptOutputTooLong
from dovetail_scripts.errors import ScriptRecursion as ScriptRecursion
from dovetail_scripts.errors import ScriptSyntaxError as ScriptSyntaxError
from dovetail_scripts.errors import ScriptTimeout as ScriptTimeout
from dovetail_scripts.errors import ScriptTooManyCalls as ScriptTooManyCalls
from dovetail_scripts.functions import ScriptFunction as ScriptFunction
from dovetail_scripts.functions import script_function as script_function
from dovetail_scripts.models import ScriptExecutionContext as ScriptExecutionContext
from dovetail_scripts.models import ScriptExecutionResult as ScriptExecutionResult
from dovetail_scripts.models import ScriptLimits as ScriptLimits
from dovetail_scripts.settings import ScriptSettings as ScriptSettings

__version__ = "0.1.0"


@hookimpl
def services() -> list[type[ContextAwareService]]:
    """The one service of this plugin."""
    return [ScriptEngine]


@hookimpl
def hookspecs() -> list[object]:
    """The hook by which other plugins offer functions to scripts."""
    return [specs]
