"""The values that pass between the stages.

Stages are strangers to each other; what one hands to the next is declared here and nowhere
else, and imported from here. Nothing is changed after it was made. Times are integers: milliseconds
since 1970-01-01 UTC.
"""

from bridge.model.campaign import Called, CallLimits, Campaign
from bridge.model.delivery import Delivery, Refused, Request, Verified
from bridge.model.document import Decoder, Json, Place, Reading
from bridge.model.event import (
    LONGEST_ID,
    MOST_HOPS,
    NOBODY,
    ContactRef,
    Event,
    Known,
    Link,
    joined,
)
from bridge.model.lead_update import FIELDS, KeptMapping, LeadUpdate, Mapped, RuleTrace
from bridge.model.lookup import Basic, Found, Lookup, OAuth, Phrase, Wanted
from bridge.model.result import Answered, Result, Sent, Trouble, Verdict
from bridge.model.schemes import (
    AllOfScheme,
    AnyOfScheme,
    BasicScheme,
    BearerScheme,
    BodyScheme,
    EqualScheme,
    HeaderScheme,
    HmacScheme,
    HubSpotScheme,
    JwtScheme,
    NoneScheme,
    PathScheme,
    PublicKeyScheme,
    QueryScheme,
    Scheme,
    StandardWebhooksScheme,
    TimeForm,
)
from bridge.model.secret import Secret
from bridge.model.source import (
    Answer,
    ChallengeHandshake,
    Dropped,
    EmptyPostHandshake,
    GetHandshake,
    Handshake,
    HeaderHandshake,
    QueryHandshake,
    Source,
)
from bridge.model.states import OPEN_STATES, Channel, Lane, State

__all__ = [
    "FIELDS",
    "LONGEST_ID",
    "MOST_HOPS",
    "NOBODY",
    "OPEN_STATES",
    "AllOfScheme",
    "Answer",
    "Answered",
    "AnyOfScheme",
    "Basic",
    "BasicScheme",
    "BearerScheme",
    "BodyScheme",
    "CallLimits",
    "Called",
    "Campaign",
    "ChallengeHandshake",
    "Channel",
    "ContactRef",
    "Decoder",
    "Delivery",
    "Dropped",
    "EmptyPostHandshake",
    "EqualScheme",
    "Event",
    "Found",
    "GetHandshake",
    "Handshake",
    "HeaderHandshake",
    "HeaderScheme",
    "HmacScheme",
    "HubSpotScheme",
    "Json",
    "JwtScheme",
    "KeptMapping",
    "Known",
    "Lane",
    "LeadUpdate",
    "Link",
    "Lookup",
    "Mapped",
    "NoneScheme",
    "OAuth",
    "PathScheme",
    "Phrase",
    "Place",
    "PublicKeyScheme",
    "QueryHandshake",
    "QueryScheme",
    "Reading",
    "Refused",
    "Request",
    "Result",
    "RuleTrace",
    "Scheme",
    "Secret",
    "Sent",
    "Source",
    "StandardWebhooksScheme",
    "State",
    "TimeForm",
    "Trouble",
    "Verdict",
    "Verified",
    "Wanted",
    "joined",
]
