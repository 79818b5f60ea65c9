"""The audit: who changed the lab, what was refused, and proof that the record was not altered."""
