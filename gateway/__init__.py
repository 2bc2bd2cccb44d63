"""The HTTP doors, a file for each: parse, call a service, answer."""
