"""Failures of all services by cause, each with a class and the evidence for it."""
