"""Random GBNF, much of it hostile: what may be empty, leads back to itself, is doubled, counted, or reads in many ways.
The same number makes the same grammar."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from random import Random

NAMES = ("root", "a", "b", "c-1", "d", "e")
LITERALS = ('"a"', '"b"', '"ab"', '" "', '","', '"{"', '"}"', '"key: "', '"é"', '"\\n"', '"\\x41"')
CLASSES = ("[a-z]", "[ab]", "[^a]", "[ \\t]", "[0-9é]", "[^\\x00-\\x1f]", ".")
COUNTS = ("*", "+", "?", "*", "?", "{2}", "{0,3}", "{1,}", "{3,9}", "{0,40}", "{500}", "{0,1000}", "{900,1000}")
WILD = ("{5,2}", "{0,1000000}", "{1001}", "{99999999999}", " !<[7]>", " <[1]>", " (", '"', "\\", "|||", " ::= ", "\0")


def grammar(dice: Random) -> str:
    """Up to six rules, now and then with something in it that no grammar has."""
    names = NAMES[: dice.choice((1, 1, 2, 3, 4, 6))]
    # Rules lead mostly to later ones, or nearly all would lead back to themselves at once.
    rules = [
        f"{name} ::= {_choice(dice, names if dice.random() < 0.4 else names[at + 1 :] or LITERALS, 3)}"
        for at, name in enumerate(names)
    ]
    if dice.random() < 0.1:
        rules += _chain(dice)
    text = "\n".join(rules)
    if dice.random() < 0.08:
        at = dice.randrange(len(text))
        text = text[:at] + dice.choice(WILD) + text[at:]
    return text


def _chain(dice: Random) -> list[str]:
    """Rules each of which is the next in some form, up to a doubled one of many."""
    form = dice.choice(
        ("{0}", "{0} | {0}", '"a" {0} | "a"', '{0}? "b"', "({0})*", '"a"? {0} | {0}', '"(" {0} ")" | {0}')
    )
    length = dice.choice((3, 12, 18, 25, 60, 400, 6000))
    rules = [f"f{at} ::= {form.format(f'f{at + 1}')}" for at in range(length)]
    return [*rules, f'f{length} ::= "x" | "y"', dice.choice(("g ::= f0", "g ::= f0 g | f0", "root ::= f0"))]


def _choice(dice: Random, names: tuple[str, ...], depth: int) -> str:
    return " | ".join(_sequence(dice, names, depth) for _ in range(dice.choice((1, 1, 2, 2, 3, 5))))


def _sequence(dice: Random, names: tuple[str, ...], depth: int) -> str:
    if dice.random() < 0.03:
        return dice.choice(("", '""'))
    return " ".join(_item(dice, names, depth) for _ in range(dice.choice((1, 1, 2, 2, 3, 6))))


def _item(dice: Random, names: tuple[str, ...], depth: int) -> str:
    kind = dice.random()
    if kind < 0.35:
        item = dice.choice(LITERALS)
    elif kind < 0.55:
        item = dice.choice(CLASSES)
    elif kind < 0.8 or not depth:
        item = dice.choice(names)
    else:
        item = f"({_choice(dice, names, depth - 1)})"
    return item + (dice.choice(COUNTS) if dice.random() < 0.3 else "")
