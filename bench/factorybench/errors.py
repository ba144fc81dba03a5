"""What can go wrong, by whose fault it is."""


class BenchError(Exception):
    """The benchmark cannot go on: something did not start or does not answer."""


class Unavailable(BenchError):
    """A contender cannot be tried on this machine; the others can."""


class Wrong(BenchError):
    """A run of factorymon was not exact: the whole benchmark has failed."""
