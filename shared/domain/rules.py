"""Placeholder of the rules module; see `domain/rules` builders."""


class Rules:
    pass
