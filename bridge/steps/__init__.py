"""The steps of a worker, one module each; ``bridge.pipeline`` puts them in order.

Each step reads, works, and ends in one transaction, so that it may die anywhere. ``equipment``
is what all of them are given.
"""
