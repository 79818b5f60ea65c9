"""The first answers of a server over stdio, from those of its last start, while the server itself is imported.

What stands here, but for `recorder` and `sdk`, is imported before all else, and imports little of Python's own library.
"""
