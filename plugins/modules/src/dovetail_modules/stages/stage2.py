"""The second stage: modules that ask models before the answer."""

from dovetail import Stage
from dovetail_modules.stages.base_stage import ModuleStage


class PreResponseModules(ModuleStage):
    """Puts into the template what models have to say."""

    name = "modules_pre_response"
    stage = Stage.PRE_RESPONSE
    requires_ai = True
