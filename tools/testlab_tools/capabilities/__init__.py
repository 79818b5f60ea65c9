"""What a service can offer. A tool asks for one of these; an adapter class inherits those it implements.

Ids going in are native; ids in what comes out are handles (`Service.handle`).
"""

from testlab_tools.capabilities.files import (
    ArtifactKeeper,
    Download,
    KeptFile,
    LogKeeper,
)
from testlab_tools.capabilities.jobs import (
    JobOwner,
    JobRunner,
    TestPack,
)
from testlab_tools.capabilities.nodes import (
    Image,
    NodeFarm,
    RemoteControl,
)
from testlab_tools.capabilities.production import (
    AttachmentSink,
    DefinitionPage,
    Importing,
    PlanState,
    ProductionCatalog,
    ReportImporter,
    RunSink,
    UnitRegistry,
    UnitState,
)
from testlab_tools.capabilities.runs import (
    DETAILED_FAILURES,
    Export,
    Failure,
    FailureArchive,
    Failures,
    RunArchive,
    RunContents,
    RunEraser,
    RunExport,
    Runs,
    UnitArchive,
)
from testlab_tools.capabilities.service import (
    Health,
    Service,
)

__all__ = [
    "DETAILED_FAILURES",
    "ArtifactKeeper",
    "AttachmentSink",
    "DefinitionPage",
    "Download",
    "Export",
    "Failure",
    "FailureArchive",
    "Failures",
    "Health",
    "Image",
    "Importing",
    "JobOwner",
    "JobRunner",
    "KeptFile",
    "LogKeeper",
    "NodeFarm",
    "PlanState",
    "ProductionCatalog",
    "RemoteControl",
    "ReportImporter",
    "RunArchive",
    "RunContents",
    "RunEraser",
    "RunExport",
    "RunSink",
    "Runs",
    "Service",
    "TestPack",
    "UnitArchive",
    "UnitRegistry",
    "UnitState",
]
