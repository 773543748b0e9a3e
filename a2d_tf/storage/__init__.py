"""Files that are written whole or not at all, saved detectors, and results that runs resume from.

May import: errors, checks, version.
"""
