"""What happens in which order, in the policy's words. Imports ``policy`` and Temporal only."""
