"""TofuPilot: records of production test runs."""
