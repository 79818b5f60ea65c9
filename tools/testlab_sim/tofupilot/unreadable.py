"""A report that cannot be read."""


class Unreadable(Exception):
    """The content is not of the format told, or lacks what a run needs."""
