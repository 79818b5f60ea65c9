"""What is planted in the history, with its true parameters. Numbers here are what the generator draws from.

The line. `UNITS` units `STB4K-000001`… enter over `DAYS` days up to now, in serial order, each with a power supply
`PSU12-<same number>` as its sub-unit. A unit passes FVT1, EOL1 and EMC1 in TofuPilot, with the burn-in at StandCloud;
its power supply was tested there a day earlier. Day 0 is `DAYS` before now.

Ordinary failures. A first run fails with `BASE_FAIL` on a measurement drawn evenly from the procedure's own; a failed
unit is reworked and run again up to `MAX_ATTEMPTS` times, passing with `REWORK_PASS`. A unit that fails for good
leaves the line: it lacks the procedures that follow. ERROR, TIMEOUT and ABORTED runs come with `ERROR_RATE`,
`TIMEOUT_RATE` and `ABORT_RATE` on every station, and are repeated until there is a verdict.

Planted.
- Drift: FVT1 `rail_5v` has mean `RAIL_START` + `RAIL_SLOPE` V a day, standard deviation `RAIL_SIGMA`. Under version
  2.0.0 its limits are 4.85 to 5.15 V; from day `LIMITS_DAY` version 2.1.0 narrows them to 4.90 to 5.10 V, so failures
  at the upper limit begin in the last weeks.
- In-run retries: FVT1 `flash_firmware` reads firmware 1.4.1 instead of 1.4.2 with `FLASH_MISS` per attempt, and is
  tried up to `FLASH_ATTEMPTS` times within the run; only the last attempt decides.
- Bad station: `FVT-03`, from day `BAD_STATION_DAY`, ends with ERROR "DMM not responding on GPIB0::22" with
  `BAD_STATION_ERROR`.
- Bad batch: units of batch `BAD_BATCH` have EOL1 `tuner_snr_db` centred on `SNR_BAD` dB instead of `SNR_GOOD`
  (standard deviation `SNR_SIGMA`, lower limit 28 dB): about one in five fails its first run.
- Samples: golden, failing and ignored units (`SAMPLES`) are run once a week on every FVT station; the failing one
  fails `rail_3v3` every time, the ignored one fails `idle_current` every second week.
- Gaps: the units of `GAPS` never saw the procedure named there, yet went on.
- Out of order: the units of `OUT_OF_ORDER` went through EOL1 before FVT1.
- StandCloud: `STAND_FAIL` fail, `STAND_STOP` stop, `STAND_SKIP` skip, on every stand alike.
"""

from __future__ import annotations

UNITS = 3120
DAYS = 120
BATCH_SIZE = 156
MAX_ATTEMPTS = 3

BASE_FAIL = {"FVT1": 0.060, "EOL1": 0.065, "EMC1": 0.068}
REWORK_PASS = 0.88
ERROR_RATE = 0.004
TIMEOUT_RATE = 0.003
ABORT_RATE = 0.002

RAIL_START = 5.000
RAIL_SLOPE = 0.00065
RAIL_SIGMA = 0.015
LIMITS_DAY = 75

FLASH_MISS = 0.06
FLASH_ATTEMPTS = 3

BAD_STATION = "FVT-03"
BAD_STATION_DAY = 80
BAD_STATION_ERROR = 0.10

BAD_BATCH = "LOT-2614"
SNR_GOOD = 32.0
SNR_BAD = 29.0
SNR_SIGMA = 1.2

PEAK_MEAN = 47.0
PEAK_SIGMA = 2.0

SAMPLES = {"STB4K-G00001": "golden", "STB4K-F00001": "failing", "STB4K-I00001": "ignored"}
GAPS = {
    "STB4K-000412": "EMC1",
    "STB4K-001200": "EMC1",
    "STB4K-001873": "EOL1",
    "STB4K-002544": "FVT1",
    "STB4K-003001": "EMC1",
}
OUT_OF_ORDER = ("STB4K-000733", "STB4K-001906", "STB4K-002871")

STAND_FAIL = 0.055
STAND_STOP = 0.007
STAND_SKIP = 0.003
