"""What a service can offer, one capability a module. A tool needs some; an adapter class inherits those it implements.

Ids going in are native; ids in what comes out are handles (`Service.handle`).
"""

from testlab_tools.capabilities.artifact_keeper import ArtifactKeeper, KeptFile
from testlab_tools.capabilities.attachment_sink import AttachmentSink, Keeping
from testlab_tools.capabilities.failure_archive import Failure, FailureArchive, Failures
from testlab_tools.capabilities.job_runner import JobOwner, JobRunner
from testlab_tools.capabilities.log_keeper import Download, LogKeeper
from testlab_tools.capabilities.node_inventory import NodeInventory
from testlab_tools.capabilities.node_reservations import NodeReservations
from testlab_tools.capabilities.production_catalog import DefinitionPage, ProductionCatalog
from testlab_tools.capabilities.remote_control import RemoteControl
from testlab_tools.capabilities.report_importer import Importing, ReportImporter
from testlab_tools.capabilities.run_archive import DETAILED_FAILURES, FilterKeys, RunArchive, Runs, UnitArchive
from testlab_tools.capabilities.run_eraser import RunContents, RunEraser
from testlab_tools.capabilities.run_export import Export, RunExport
from testlab_tools.capabilities.run_sink import Foreseen, RunSink
from testlab_tools.capabilities.screenshots import Image, RunScreenshots, Screenshots
from testlab_tools.capabilities.service import Health, Service
from testlab_tools.capabilities.test_pack import TestPack
from testlab_tools.capabilities.unit_registry import UnitRegistry
from testlab_tools.capabilities.unit_state import PlanState, UnitState

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
    "FilterKeys",
    "Foreseen",
    "Health",
    "Image",
    "Importing",
    "JobOwner",
    "JobRunner",
    "Keeping",
    "KeptFile",
    "LogKeeper",
    "NodeInventory",
    "NodeReservations",
    "PlanState",
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
    "TestPack",
    "UnitArchive",
    "UnitRegistry",
    "UnitState",
]
