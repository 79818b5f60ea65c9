"""What a service can offer, as capabilities of a few methods. A tool needs some; an adapter class inherits those it
implements.

Ids going in are native; ids in what comes out are handles (`Service.handle`).
"""

from testlab_tools.capabilities.history import (
    FailuresRead,
    HistoryFeed,
    HistoryPage,
    MeasurementPage,
    Stretch,
)
from testlab_tools.capabilities.jobs import JobOwner, JobRunner, TestPack
from testlab_tools.capabilities.nodes import (
    Image,
    NodeInventory,
    NodeReservations,
    RemoteControl,
    RunScreenshots,
    Screenshots,
)
from testlab_tools.capabilities.report_importer import Importing, ReportImporter
from testlab_tools.capabilities.run_files import ArtifactKeeper, AttachmentSink, Download, Keeping, KeptFile, LogKeeper
from testlab_tools.capabilities.run_sink import Foreseen, RunSink
from testlab_tools.capabilities.runs import (
    DETAILED_FAILURES,
    Export,
    Failure,
    FailureArchive,
    Failures,
    FilterKeys,
    RunArchive,
    RunContents,
    RunEraser,
    RunExport,
    Runs,
    UnitArchive,
)
from testlab_tools.capabilities.service import Handle, Health, Service
from testlab_tools.capabilities.units import DefinitionPage, ProductionCatalog, UnitRegistry

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
    "FailuresRead",
    "FilterKeys",
    "Foreseen",
    "Handle",
    "Health",
    "HistoryFeed",
    "HistoryPage",
    "Image",
    "Importing",
    "JobOwner",
    "JobRunner",
    "Keeping",
    "KeptFile",
    "LogKeeper",
    "MeasurementPage",
    "NodeInventory",
    "NodeReservations",
    "ProductionCatalog",
    "RemoteControl",
    "ReportImporter",
    "RunArchive",
    "RunContents",
    "RunEraser",
    "RunExport",
    "RunScreenshots",
    "RunSink",
    "Runs",
    "Screenshots",
    "Service",
    "Stretch",
    "TestPack",
    "UnitArchive",
    "UnitRegistry",
]
