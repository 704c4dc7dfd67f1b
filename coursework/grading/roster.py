"""Who is in the class: names, addresses and numbers, from the tables that LMSs give out."""

from dataclasses import dataclass, field


@dataclass
class Person:
    """Somebody of the class, by whatever name an LMS knows them."""

    id: str
    name: str = ""
    email: str = ""
    login: str = ""
    numbers: dict = field(default_factory=dict)  # of each LMS, a set of its numbers
    extension: object = None  # days as a number, or the moment until which nothing is late


@dataclass
class Roster:
    """The class, and the tables that it was read from."""

    people: dict = field(default_factory=dict)  # by id, which is the name of a folder
    templates: dict = field(default_factory=dict)  # of each LMS, its own table as it came

    @classmethod
    def read(cls, *paths, zone=None):
        """Read tables of any known dialect; the same person in two of them becomes one."""
        raise NotImplementedError

    def find(self, text="", *, lms="", number="", login="", email="", name=""):
        """The one person who is meant, or None."""
        raise NotImplementedError
