"""When repeated runs have said enough: tests that stay right however often their result is looked at.

failure_rate   what n runs say of a failure rate, at every n at once
rules          when a soak may stop, and how many runs it still takes
bisection      which revision to run next, and which can still be the first bad one

Pure: nothing here runs a test.
"""
