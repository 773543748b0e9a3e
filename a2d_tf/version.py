"""The version of this library.

May import: nothing.
"""

__version__ = "0.6.0"
