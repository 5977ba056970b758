"""Evidence as a file: the record of a lead or of a period, line by line, each line hash-chained.

``chain.py``, ``lines.py`` and ``records.py`` are pure: how lines hang together, how they are
written, what they say. ``walk.py`` reads, ``make.py`` makes the whole file, ``verify.py`` and
``resume.py`` read one again. ``docs/evidence.md`` has the format.
"""
