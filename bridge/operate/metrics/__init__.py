"""Metrics for Prometheus: the numbers of the whole bridge, whichever of its processes answers.

``families`` declares every metric; ``reading`` fetches the numbers, all from the database, by
looks that do not grow with what is stored; ``text`` writes them. The reasons are in
``docs/decisions/0024-metrics-from-the-database.md``.
"""
