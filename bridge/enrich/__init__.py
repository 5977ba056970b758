"""The enrich stage: fetches what a webhook leaves out, in batches, cached and paced.

May know the model, the errors and the clock; nothing of mapping files, the store or the campaign
API. A look-up only ever reads, so that any call may be repeated. The stage keeps one promise
above all: a contact counts as unknown to its CRM only when a complete reply showed so; whatever
else goes wrong is a ``LookupFailed``, to be tried again.
"""

from bridge.enrich.lookups import Lookups
from bridge.enrich.reading import LONGEST_WAIT_S

__all__ = ["LONGEST_WAIT_S", "Lookups"]
