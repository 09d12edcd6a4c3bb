"""Greetings."""


def greet(name: str) -> str:
    """Return a greeting for a person.

    Raises:
        ValueError: The name is blank.
    """
    name = name.strip()
    if not name:
        raise ValueError("the name is blank")
    return f"Hello, {name}!"
