"""The paths of GitLab's API that people and bots call, each answering as its page in GitLab's documentation says."""
