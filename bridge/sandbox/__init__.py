"""A faithful local implementation of the documented campaign API, and of HubSpot's batch read.

It is a server of its own: it shares nothing with the rest of crm-bridge, so that a mistake made
there cannot be repeated here and go unseen. What may be in this folder: Flask, marshmallow,
gevent's server and the standard library. What may not: anything else of ``bridge``.

    app             puts the three interfaces together          create_sandbox
    serve           the process: listen, say so, stop cleanly   serve, main
    campaign_api    the endpoints that take leads
    hubspot_api     contacts/batch/read
    control_api     /sandbox/…: what tests and the demo set and look at
    exchange        one call from arrival to answer, recorded and perhaps spoilt
    behaviour       how the next call is to go wrong; lies: how a true answer is falsified
    leads, contacts, call_log, database                         what is kept on disk
    shapes          what a body must look like
    encoded_path    ids that hold a slash
    wire            the connection itself: late, cut short, or closed without a word
"""
