"""Alerts: what health is concerned about reaches people by webhook and e-mail.

``book`` decides what is to be told and when (pure), ``message`` puts it into words, ``slack``,
``webhook`` and ``mail`` send it, ``watch`` is the loop that does all this for one channel, and
``heartbeat`` calls a monitor that alarms when nobody calls.
"""
