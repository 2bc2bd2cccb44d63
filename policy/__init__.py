"""What MNsure's Assister Portal Access policy says, as pure code.

No input or output, no clock, no Temporal and no database in here: every function answers from its
arguments alone, so that workflows may call it and tests need nothing to run it.
"""
