"""The audit: who had the lab changed, what was refused, and that none of it was altered since."""
