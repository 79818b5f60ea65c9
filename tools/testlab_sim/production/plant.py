"""The plant: procedures with their steps and limits, stations, and StandCloud's stands and test plans."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Gauge:
    """A measurement as drawn: normal with `mean` and `sigma`, judged against `low` and `high` (None: no such limit).

    `text` makes it a string that must equal `text`; `flag` a boolean that must be true.
    """

    name: str
    units: str | None = None
    mean: float = 0.0
    sigma: float = 0.0
    low: float | None = None
    high: float | None = None
    text: str = ""
    flag: bool = False


@dataclass(frozen=True, slots=True)
class Step:
    """One phase: its nominal length in seconds and what it measures. `spectrum` adds a two-axis measurement."""

    name: str
    seconds: float
    gauges: tuple[Gauge, ...] = ()
    spectrum: bool = False


@dataclass(frozen=True, slots=True)
class Plan:
    """A procedure as performed. `tracked` is the measurement whose value the generator draws itself.

    `trouble` is the step and the message of an ERROR run.
    """

    uuid: str
    short: str
    name: str
    steps: tuple[Step, ...]
    tracked: str
    retried: str
    trouble: tuple[str, str]
    stations: tuple[str, ...]
    tags: tuple[str, ...]

    @property
    def seconds(self) -> float:
        return sum(step.seconds for step in self.steps)

    def suspects(self) -> tuple[str, ...]:
        """The measurements an ordinary failure is drawn from."""
        return tuple(g.name for s in self.steps if s.name != self.retried for g in s.gauges if g.name != self.tracked)


FVT = Plan(
    "6f1d3c1e-52a4-4c3b-9f0e-0b1a7c5d1001",
    "FVT1",
    "Main board FCT",
    (
        Step(
            "power_rails",
            6.0,
            (
                Gauge("rail_5v", "V", 5.0, 0.015, 4.85, 5.15),
                Gauge("rail_3v3", "V", 3.3, 0.012, 3.2, 3.4),
                Gauge("idle_current", "A", 0.080, 0.005, None, 0.12),
            ),
        ),
        Step("flash_firmware", 20.0, (Gauge("firmware", text="1.4.2"),)),
        Step("ethernet", 12.0, (Gauge("eth_throughput", "Mbit/s", 940.0, 4.0, 900.0), Gauge("eth_link", flag=True))),
        Step("hdmi_output", 15.0, (Gauge("hdmi_level", "mV", 500.0, 9.0, 440.0, 560.0),)),
    ),
    "rail_5v",
    "flash_firmware",
    ("power_rails", "DMM not responding on GPIB0::22"),
    ("FVT-01", "FVT-02", "FVT-03"),
    ("2.0.0", "2.1.0"),
)
EOL = Plan(
    "6f1d3c1e-52a4-4c3b-9f0e-0b1a7c5d1002",
    "EOL1",
    "Assembly end-of-line",
    (
        Step("boot", 30.0, (Gauge("boot_time", "s", 21.0, 0.9, None, 28.0),)),
        Step("tuner", 25.0, (Gauge("tuner_snr_db", "dB", 32.0, 1.2, 28.0), Gauge("tuner_lock", flag=True))),
        Step("audio", 15.0, (Gauge("audio_thd", "%", 0.04, 0.005, None, 0.08),)),
        Step("wifi", 20.0, (Gauge("wifi_rssi", "dBm", -48.0, 1.8, -60.0, -36.0),)),
        Step("remote_control", 8.0, (Gauge("ir_range", "m", 9.0, 0.3, 7.0),)),
    ),
    "tuner_snr_db",
    "",
    ("tuner", "Signal generator not responding on TCPIP0::sg-1::INSTR"),
    ("EOL-01", "EOL-02", "EOL-03"),
    ("1.3.0",),
)
EMC = Plan(
    "6f1d3c1e-52a4-4c3b-9f0e-0b1a7c5d1003",
    "EMC1",
    "Conducted emissions",
    (
        Step("prescan", 60.0, spectrum=True),
        Step(
            "final_scan",
            90.0,
            (
                Gauge("emission_peak", "dBuV", 47.0, 2.0, None, 56.0),
                Gauge("emission_average", "dBuV", 41.0, 1.0, None, 46.0),
            ),
        ),
        Step("standby_power", 20.0, (Gauge("standby_power", "W", 0.42, 0.01, None, 0.5),)),
    ),
    "emission_peak",
    "",
    ("final_scan", "EMI receiver lost reference lock"),
    ("EMC-01", "EMC-02"),
    ("1.0.2",),
)
PLANS = (FVT, EOL, EMC)

CHANGED_LIMITS: dict[tuple[str, str], tuple[float, float]] = {("rail_5v", "2.1.0"): (4.90, 5.10)}


def limits(gauge: Gauge, tag: str) -> tuple[float | None, float | None]:
    """Lower and upper limit of `gauge` under the procedure version `tag`."""
    return CHANGED_LIMITS.get((gauge.name, tag), (gauge.low, gauge.high))


@dataclass(frozen=True, slots=True)
class Stand:
    """A HardPy test stand as StandCloud reports it."""

    hw_id: str
    name: str
    number: int | None
    location: str | None
    info: dict[str, Any]


@dataclass(frozen=True, slots=True)
class TestPlan:
    """A HardPy test plan: module key, its cases and their measurements."""

    name: str
    seconds: float
    cases: tuple[tuple[str, str, str, Gauge], ...]
    stands: tuple[Stand, ...]


def _stand(hw_id: str, name: str, number: int, location: str, stage: str) -> Stand:
    return Stand(hw_id, name, number, location, {"stage": stage, "calibration_date": "2026-06-15"})


PSU_FCT = TestPlan(
    "PSU-12 board FCT",
    50.0,
    (
        ("test_1_input", "test_inrush", "Inrush current", Gauge("inrush_current", "A", 18.0, 0.8, None, 25.0)),
        ("test_2_output", "test_no_load", "No-load voltage", Gauge("no_load_voltage", "V", 12.05, 0.03, 11.8, 12.3)),
        ("test_2_output", "test_full_load", "Full-load voltage", Gauge("load_voltage", "V", 11.95, 0.03, 11.7, 12.3)),
        ("test_2_output", "test_ripple", "Ripple", Gauge("ripple", "mV", 42.0, 5.0, None, 80.0)),
        ("test_3_safety", "test_hipot", "Hipot leakage", Gauge("hipot_leakage", "mA", 0.8, 0.1, None, 2.0)),
    ),
    (_stand("TS-PSU-01", "PSU stand 1", 1, "Hall B", "FCT"), _stand("TS-PSU-02", "PSU stand 2", 2, "Hall B", "FCT")),
)
BURN_IN = TestPlan(
    "STB-4K burn-in",
    754.0,
    (
        (
            "test_1_soak",
            "test_case_temperature",
            "Case temperature",
            Gauge("case_temperature", "C", 58.0, 1.5, None, 70),
        ),
        ("test_1_soak", "test_soc_temperature", "SoC temperature", Gauge("soc_temperature", "C", 74.0, 1.8, None, 90)),
        ("test_2_video", "test_dropped_frames", "Dropped frames", Gauge("dropped_frames", "1", 2.0, 1.0, None, 20)),
        ("test_3_power", "test_power", "Power consumption", Gauge("power", "W", 9.2, 0.3, 7.0, 11.5)),
    ),
    (
        _stand("TS-BURN-01", "Burn-in chamber 1", 11, "Hall C", "BURN_IN"),
        _stand("TS-BURN-02", "Burn-in chamber 2", 12, "Hall C", "BURN_IN"),
    ),
)
