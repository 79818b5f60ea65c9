"""A config as read, and what it configures: the lab, its deliveries, the audit and the folders."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import SecretStr

from testlab_mcp.audit.chain import AuditSink, FileSink, StderrSink
from testlab_mcp.audit.log import AuditLogger
from testlab_mcp.config.settings import (
    ArchiveSettings,
    AuditSettings,
    CallerSettings,
    DurableSettings,
    FileSettings,
    HttpSettings,
    NotifySettings,
    ServerSettings,
)
from testlab_tools.archive.archive import HistoryArchive
from testlab_tools.capabilities import RunSink, Service
from testlab_tools.durable.database import open_database
from testlab_tools.durable.engine import Engine
from testlab_tools.errors import ConfigError
from testlab_tools.files.folders import Folders
from testlab_tools.files.transfers import Transfers
from testlab_tools.lab import Lab
from testlab_tools.leases.store import FolderLeases, LeaseStore
from testlab_tools.long_work import LongWork
from testlab_tools.notify.receivers import Receiver
from testlab_tools.outbox.delivery import RetrySchedule
from testlab_tools.outbox.outbox import Outbox
from testlab_tools.services import Kind, ServiceSettings


@dataclass(frozen=True)
class Config:
    """A config as read: `services` by name, in the file's order. Nothing is opened before it is used."""

    path: Path | None
    server: ServerSettings
    files: FileSettings
    services: Mapping[str, tuple[Kind, ServiceSettings]]
    durable: DurableSettings
    archive: ArchiveSettings
    http: HttpSettings
    callers: Mapping[str, CallerSettings]
    audit: AuditSettings
    notify: Mapping[str, NotifySettings]

    def lab(self) -> Lab:
        """The lab of all services.

        Raises:
            ConfigError: this Python's SQLite is too old for deliveries.
        """
        services, outbox = self.connect_services(), self.outbox()
        if outbox is not None and any(isinstance(service, RunSink) for service in services):
            outbox.check()
        lab = Lab(services, outbox, self.callers_own, self._leases(), self.history_archive())
        if outbox is not None:
            lab.work = LongWork(outbox.engine, self.connect_services, self.history_archive, self.receivers())
        lab.longest_wait_s = self.server.longest_wait_seconds
        lab.idle_s = self.server.idle_minutes * 60.0
        return lab

    def receivers(self) -> dict[str, Receiver]:
        """Who is told what ended, by name."""
        return {name: Receiver(name=name, **settings.model_dump()) for name, settings in self.notify.items()}

    @property
    def signs_in(self) -> bool:
        """Whether callers over HTTP must sign in."""
        return bool(self.callers) or self.http.oauth is not None

    @property
    def callers_own(self) -> frozenset[str]:
        """Names of the services for which each caller brings a token of its own."""
        return frozenset(name for name, (_, settings) in self.services.items() if settings.by_caller)

    def connect_services(self) -> list[Service]:
        """The services, in the file's order."""
        return [kind.connect(name, settings) for name, (kind, settings) in self.services.items()]

    def connect_as(self, service: str, token: SecretStr | None) -> Service:
        """A service with a caller's token, or with none; never with one of the config's."""
        kind, settings = self.services[service]
        return kind.connect(service, settings.model_copy(update={"token": token}))

    def outbox(self) -> Outbox | None:
        """The deliveries of runs and reports; None when they are switched off."""
        if not self.durable.enabled:
            return None
        url = self.durable.database_url
        place = self._deliveries_file() if url is None else url.get_secret_value()
        hold_s = min(self.durable.answer_within_seconds, self.server.longest_wait_seconds)
        schedule = RetrySchedule(longest_s=self.durable.longest_pause_seconds)
        engine = Engine(open_database(place))
        engine.runs_here = self.durable.run_here
        return Outbox(engine, self.connect_services, schedule, hold_s)

    def history_archive(self) -> HistoryArchive | None:
        """Where history is kept; None when it is not."""
        if not self.archive.enabled:
            return None
        folder = expand_path(self.archive.path).absolute() if self.archive.path else _data_folder() / "archive"
        url = self.archive.database_url.get_secret_value() if self.archive.database_url else ""
        return HistoryArchive(folder, url, self.archive.max_age_days, self.archive.timezone)

    def audit_logger(self) -> AuditLogger:
        """The writer of the audit."""
        return AuditLogger(self._audit_sink if self.audit.enabled else None, self.audit.reads)

    def audit_file(self) -> Path | None:
        """The file of the audit; None when it is not written to a file."""
        if self.audit.file:
            return expand_path(self.audit.file).absolute()
        return None if self.audit.stderr or not self.audit.enabled else self._data_file("audit", ".jsonl")

    def folders(self) -> Folders:
        """The folders that tools may write to and read from."""
        save_to = [expand_path(folder) for folder in self.files.save_to]
        read_from = [expand_path(folder) for folder in self.files.read_from]
        return Folders(save_to or [_data_folder() / "files"], Transfers(), read_from)

    def _audit_sink(self) -> AuditSink:
        path = self.audit_file()
        if path is None:
            return StderrSink()
        return FileSink(path, self.audit.max_megabytes * 2**20, echo=self.audit.stderr)

    def _leases(self) -> LeaseStore:
        """Where reservations are written down, with what made them."""
        stays, url = not self.server.release_on_exit, self.durable.database_url
        folder = self._data_file("reservations", "")
        if self.durable.path:
            deliveries = self._deliveries_file()
            folder = deliveries.with_name(f"{deliveries.name}.reservations")
        if url is None or not self.durable.enabled:
            return FolderLeases(folder, stays)
        from testlab_tools.leases.postgres import PostgresLeases

        return PostgresLeases(url.get_secret_value(), stays, FolderLeases(folder, stays))

    def _deliveries_file(self) -> Path:
        if self.durable.path:
            return expand_path(self.durable.path).absolute()
        return self._data_file("deliveries", ".sqlite")

    def _data_file(self, folder: str, suffix: str) -> Path:
        """A file of this config's own: the services of another config may have the same names."""
        key = hashlib.sha256(str(self.path.resolve() if self.path else "").encode()).hexdigest()[:12]
        return _data_folder() / folder / f"{key}{suffix}"


def _data_folder() -> Path:
    from platformdirs import user_data_path

    return user_data_path("testlab-mcp", appauthor=False)


def expand_path(path: str) -> Path:
    """A path of the config, with `~` replaced. Raises ConfigError for a path that this system cannot have."""
    try:
        if "\0" in path:
            raise ValueError("a path has no NUL")
        return Path(path).expanduser()
    except (RuntimeError, ValueError):
        raise ConfigError(f"{ascii(path)[:100]} is no path that this system can have", "", "Mend it.") from None
