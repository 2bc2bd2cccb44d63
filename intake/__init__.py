"""Rosters and results on their way in: files, submissions, and the events they become."""
