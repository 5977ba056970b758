"""Benchmarks: each one command, bounded, with ratios that were taken in one run.

``python -m bench`` lists them. What is compared is measured in turns (A B A B), so that a machine
that gets slower meanwhile slows both. Traffic goes to this machine only.
"""
