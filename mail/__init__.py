"""Messages, templates and the SMTP transport."""
