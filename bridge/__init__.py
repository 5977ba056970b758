"""crm-bridge: CRM webhooks in, campaign lead updates out."""

__version__ = "0.1.0"
