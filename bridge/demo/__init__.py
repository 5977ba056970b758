"""The demonstration: real payloads through the real processes, and what has to come of them."""
