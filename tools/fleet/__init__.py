"""`py-ci-fleet`: the programs of the bot that keeps the projects of an organisation current."""
