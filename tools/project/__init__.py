"""Makes the project of a folder on GitLab, with all that its answers need there."""
