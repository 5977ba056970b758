"""Sign a sample as the CRM would: what ``crm-bridge send`` needs.

The formulas are those of ``bridge.receive.verify``; this package only turns them round.
"""

from bridge.receive.sign.draft import Signed
from bridge.receive.sign.first import sign

__all__ = ["Signed", "sign"]
