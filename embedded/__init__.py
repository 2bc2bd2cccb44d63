"""The one-machine stack: Temporal's server, a mail inbox, the portal's secret, one worker."""
