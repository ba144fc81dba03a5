"""to come"""


def section(session, choice, contenders, report):
    pass
