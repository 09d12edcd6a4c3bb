"""What keeps the projects of an organisation current, and shows how far they are."""
