"""Sets OpenTelemetry up as its standard environment variables say, and the registry behind `/metrics`.

Nothing of its SDK is imported before something asks for it. A signal is exported if its exporter is named
(`OTEL_TRACES_EXPORTER`, `OTEL_METRICS_EXPORTER`), or if none is and there is an OTLP endpoint for it. OTLP goes over
HTTP unless a protocol is named.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
from collections.abc import Callable, Iterable
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Literal

from testlab_mcp import __version__
from testlab_tools.lab import Lab

if TYPE_CHECKING:
    from opentelemetry.metrics import CallbackOptions, Observation
    from opentelemetry.sdk.metrics.export import MetricReader
    from opentelemetry.sdk.resources import Resource
    from prometheus_client import CollectorRegistry

Signal = Literal["traces", "metrics"]
MODULES = ("opentelemetry.sdk", "opentelemetry.exporter.otlp.proto.http", "opentelemetry.exporter.prometheus")
INSTALL = 'pip install "testlab-mcp[telemetry]"'
STOP_S = 2.0
"""For what is measured last to be sent when the server stops; a collector that does not answer is not waited for."""
PROTOCOLS = {"http/protobuf": "otlp_proto_http", "grpc": "otlp_proto_grpc"}


class Telemetry:
    """What has been set up. `registry` is what `/metrics` shows; None without that page."""

    def __init__(self, stops: Iterable[Callable[[], object]], registry: CollectorRegistry | None) -> None:
        self._stops = list(stops)
        self.registry = registry

    def stop(self) -> None:
        """Send what is left, within STOP_S."""
        thread = threading.Thread(target=self._stop, name="telemetry-stop", daemon=True)
        thread.start()
        thread.join(STOP_S)

    def _stop(self) -> None:
        for stop in self._stops:
            stop()


def start_telemetry(lab: Lab, page: bool) -> Telemetry | None:
    """Export what the environment asks for, and keep a registry for the page. None where nothing is asked for or the
    SDK is disabled, or, said on stderr, it is not installed or cannot be set up."""
    if os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return None
    traces, metrics = _find_exporters("traces"), _find_exporters("metrics")
    if not (page or traces or metrics):
        return None
    if not is_installed():
        _say(f"telemetry is asked for and not installed: {INSTALL}")
        return None
    logging.getLogger("opentelemetry").setLevel(logging.ERROR)
    try:
        return _start(lab, traces, metrics, page)
    except Exception as error:  # noqa: BLE001 - of any exporter; a value of the environment that it cannot read
        _say(f"telemetry cannot be set up ({type(error).__name__}): check the variables OTEL_…")
        return None


def is_installed() -> bool:
    """Whether the extra `telemetry` is."""
    try:
        return all(find_spec(module) is not None for module in MODULES)
    except ModuleNotFoundError:
        return False


def is_measured(telemetry: Telemetry | None) -> bool:
    """Whether anybody is told what is measured: what was set up here, or an agent around this process."""
    from opentelemetry.trace import ProxyTracerProvider, get_tracer_provider

    return telemetry is not None or not isinstance(get_tracer_provider(), ProxyTracerProvider)


def _find_exporters(signal: Signal) -> list[str]:
    """Names of entry points of exporters; none for a signal that nobody asks for."""
    upper = signal.upper()
    named = os.environ.get(f"OTEL_{upper}_EXPORTER", "").strip()
    if not named:
        endpoints = (f"OTEL_EXPORTER_OTLP_{upper}_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
        named = "otlp" if any(os.environ.get(endpoint, "").strip() for endpoint in endpoints) else "none"
    asked = os.environ.get(f"OTEL_EXPORTER_OTLP_{upper}_PROTOCOL") or os.environ.get("OTEL_EXPORTER_OTLP_PROTOCOL")
    otlp = PROTOCOLS.get((asked or "http/protobuf").strip(), asked or "")
    names = [name.strip() for name in named.split(",") if name.strip() not in ("", "none")]
    return [otlp if name == "otlp" else name for name in names]


def _start(lab: Lab, trace_exporters: list[str], metric_exporters: list[str], page: bool) -> Telemetry:
    from opentelemetry import metrics, trace
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    resource, stops = _describe_process(), list[Callable[[], object]]()
    if spans := _load("traces", trace_exporters):
        tracing = TracerProvider(resource=resource, shutdown_on_exit=False)
        for exporter in spans:
            tracing.add_span_processor(BatchSpanProcessor(exporter()))
        trace.set_tracer_provider(tracing)
        stops.append(tracing.shutdown)
    readers = [_open_reader(exporter) for exporter in _load("metrics", metric_exporters)]
    registry = None
    if page:
        from opentelemetry.exporter.prometheus import PrometheusMetricReader
        from prometheus_client import CollectorRegistry

        registry = CollectorRegistry()
        readers.append(PrometheusMetricReader(True, scope_info_enabled=False, registry=registry))
    if readers:
        metering = MeterProvider(readers, resource, shutdown_on_exit=False)
        metrics.set_meter_provider(metering)
        stops.append(metering.shutdown)
        _observe_deliveries(lab)
    return Telemetry(stops, registry)


def _describe_process() -> Resource:
    from opentelemetry.sdk.resources import Resource

    given = f"{os.environ.get('OTEL_SERVICE_NAME', '')} {os.environ.get('OTEL_RESOURCE_ATTRIBUTES', '')}"
    named = bool(os.environ.get("OTEL_SERVICE_NAME")) or "service.name=" in given
    return Resource.create({"service.version": __version__, **({} if named else {"service.name": "testlab-mcp"})})


def _load(signal: Signal, names: list[str]) -> list[Any]:
    """The exporters' classes. One that is not installed is said on stderr."""
    from importlib.metadata import entry_points

    found: list[Any] = []
    for name in names:
        entries = list(entry_points(group=f"opentelemetry_{signal}_exporter", name=name))
        if entries:
            found.append(entries[0].load())
        else:
            _say(f"there is no exporter {name!r} of {signal} here; without one, name otlp")
    return found


def _open_reader(exporter: Any) -> MetricReader:
    from opentelemetry.sdk.metrics.export import MetricReader, PeriodicExportingMetricReader

    return exporter() if issubclass(exporter, MetricReader) else PeriodicExportingMetricReader(exporter())


def _observe_deliveries(lab: Lab) -> None:
    """Count deliveries each time that somebody asks, in a thread; not where the database does not answer."""
    from opentelemetry.metrics import Observation, get_meter

    from testlab_tools.outbox.delivery import WORKFLOW

    if lab.outbox is None:
        return
    database = lab.outbox.engine.database

    def count(_: CallbackOptions) -> Iterable[Observation]:
        counted = database.count(WORKFLOW)
        if counted is not None:
            yield Observation(counted.get("waiting", 0), {"state": "waiting"})
            yield Observation(counted.get("failed", 0), {"state": "parked"})

    get_meter("testlab-mcp").create_observable_gauge(
        "testlab.deliveries", [count], description="Deliveries of runs and reports that wait or are parked"
    )


def _say(words: str) -> None:
    sys.stderr.write(f"testlab-mcp: {words}\n")
