"""The one-machine stack: Temporal's server, a mail inbox, one worker."""
