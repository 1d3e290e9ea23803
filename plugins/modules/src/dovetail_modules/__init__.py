"""Personas made of modules: templates, scripts and AI, for dovetail."""

from dovetail import ContextAwareService, StageExecutor, hookimpl
from dovetail_modules import specs
from dovetail_modules.definition import CachePolicy as CachePolicy
from dovetail_modules.definition import Conditions as Conditions
from dovetail_modules.definition import ModuleDefinition as ModuleDefinition
from dovetail_modules.definition import ModuleKind as ModuleKind
from dovetail_modules.definition import ModuleLimits as ModuleLimits
from dovetail_modules.definition import StateScope as StateScope
from dovetail_modules.definition import Timing as Timing
from dovetail_modules.errors import ModuleConflict as ModuleConflict
from dovetail_modules.errors import ModuleError as ModuleError
from dovetail_modules.errors import ModuleFailed as ModuleFailed
from dovetail_modules.errors import ModuleMissing as ModuleMissing
from dovetail_modules.errors import StateTooLarge as StateTooLarge
from dovetail_modules.execution.ai_executor import AIModuleExecutor as AIModuleExecutor
from dovetail_modules.execution.script_executor import (
    ScriptModuleExecutor as ScriptModuleExecutor,
)
from dovetail_modules.execution.simple_executor import (
    SimpleModuleExecutor as SimpleModuleExecutor,
)
from dovetail_modules.repository import InMemoryModuleRepository as InMemoryModuleRepository
from dovetail_modules.repository import ModuleRepository as ModuleRepository
from dovetail_modules.resolution.result_models import ModuleRun as ModuleRun
from dovetail_modules.resolution.result_models import PostResponseResult as PostResponseResult
from dovetail_modules.resolution.result_models import TemplateResolution as TemplateResolution
from dovetail_modules.resolution.state_tracker import ConversationState as ConversationState
from dovetail_modules.resolver import StagedModuleResolver as StagedModuleResolver
from dovetail_modules.service import ModuleService as ModuleService
from dovetail_modules.settings import ModulesSettings as ModulesSettings
from dovetail_modules.stages import (
    PostResponseAIModules,
    PostResponseModules,
    PreResponseModules,
    TemplateModules,
)
from dovetail_modules.stored import StoredModule as StoredModule
from dovetail_modules.template_parser import TemplateParser as TemplateParser

__version__ = "0.1.0"


@hookimpl
def services() -> list[type[ContextAwareService]]:
    """The one service of this plugin."""
    return [ModuleService]


@hookimpl
def stage_executors() -> list[type[StageExecutor]]:
    """One for each stage but the answer's own."""
    return [TemplateModules, PreResponseModules, PostResponseModules, PostResponseAIModules]


@hookimpl
def hookspecs() -> list[object]:
    """The hook by which other plugins offer modules."""
    return [specs]
