"""What the lab knows: its nouns, its capabilities, the tools over them, and an adapter per service."""
