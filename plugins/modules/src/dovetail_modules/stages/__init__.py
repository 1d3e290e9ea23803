"""Where modules work in a turn: one executor for each stage but the answer's own."""

from dovetail_modules.stages.base_stage import ModuleStage as ModuleStage
from dovetail_modules.stages.stage1 import TemplateModules as TemplateModules
from dovetail_modules.stages.stage2 import PreResponseModules as PreResponseModules
from dovetail_modules.stages.stage4 import PostResponseModules as PostResponseModules
from dovetail_modules.stages.stage5 import PostResponseAIModules as PostResponseAIModules
