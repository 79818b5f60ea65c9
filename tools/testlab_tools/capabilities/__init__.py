"""What a service can offer, as capabilities of a few methods. A tool needs some; an adapter class inherits those it
implements.

Ids going in are native; ids in what comes out are handles (`Service.handle`).
"""

from testlab_tools.capabilities.console import ConsoleOutput, SerialConsole
from testlab_tools.capabilities.dialogs import OperatorDialogs
from testlab_tools.capabilities.history import (
    FailuresRead,
    HistoryFeed,
    HistoryPage,
    MeasurementPage,
    Stretch,
)
from testlab_tools.capabilities.jobs import JobFarm, JobOwner, JobRunner, TestPack
from testlab_tools.capabilities.nodes import (
    Image,
    NodeInventory,
    NodeQueue,
    NodeReservations,
    RemoteControl,
    RunScreenshots,
    Screenshots,
    Turn,
)
from testlab_tools.capabilities.power import PowerAction, PowerControl, PowerState
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
    "ConsoleOutput",
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
    "JobFarm",
    "JobOwner",
    "JobRunner",
    "Keeping",
    "KeptFile",
    "LogKeeper",
    "MeasurementPage",
    "NodeInventory",
    "NodeQueue",
    "NodeReservations",
    "OperatorDialogs",
    "PowerAction",
    "PowerControl",
    "PowerState",
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
    "SerialConsole",
    "Service",
    "Stretch",
    "TestPack",
    "Turn",
    "UnitArchive",
    "UnitRegistry",
]
