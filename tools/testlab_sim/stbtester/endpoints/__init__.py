"""The portal's operations, a module per chapter of the vendor's REST API v2 page."""
