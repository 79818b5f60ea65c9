"""Pictures for a report: each a pure function from plain data to PNG and SVG, on a canvas of 1,024 px.

matplotlib is imported by the function that draws. Without it a function raises NotInstalled.
"""
