"""The records of people, rosters and mails, and the audit trail of what was done.

The state of a case is in Temporal: no table holds a second copy of its stage.
"""
