"""What is kept about people, rosters and mails, and the audit trail of what was done.

The process itself is in Temporal: nothing here is a second copy of a case's stage.
"""
