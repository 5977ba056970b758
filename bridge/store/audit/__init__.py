"""What the rows themselves show of the promises: looked at in bounded pages, by ``bridge.operate``.

One module for each kind of row. A page is a span of ids, or a few ids by themselves; whatever a
check joins is read in the same snapshot.
"""
