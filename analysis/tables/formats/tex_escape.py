"""Any text as plain-ASCII LaTeX that every engine compiles: specials, accents, Greek, signs; the rest by code point."""

import unicodedata

_SPECIAL = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "%": r"\%",
    "_": r"\_",
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': "''",
}
_SIGNS = {
    "–": r"\textendash{}",
    "—": r"\textemdash{}",
    "‘": "`",
    "’": "'",
    "“": "``",
    "”": "''",
    "…": r"\ldots{}",
    "†": r"\ensuremath{\dagger}",
    "‡": r"\ensuremath{\ddagger}",
    "±": r"\ensuremath{\pm}",
    "−": r"\ensuremath{-}",
    "×": r"\ensuremath{\times}",
    "·": r"\ensuremath{\cdot}",
    "≤": r"\ensuremath{\leq}",
    "≥": r"\ensuremath{\geq}",
    "≠": r"\ensuremath{\neq}",
    "≈": r"\ensuremath{\approx}",
    "∞": r"\ensuremath{\infty}",
    "→": r"\ensuremath{\rightarrow}",
    "←": r"\ensuremath{\leftarrow}",
    "√": r"\ensuremath{\surd}",
    "✓": r"\ensuremath{\surd}",
    "°": r"\ensuremath{^{\circ}}",
    "µ": r"\ensuremath{\mu}",
    "ß": r"\ss{}",
    "ø": r"\o{}",
    "Ø": r"\O{}",
    "æ": r"\ae{}",
    "Æ": r"\AE{}",
    "œ": r"\oe{}",
    "Œ": r"\OE{}",
    "ł": r"\l{}",
    "Ł": r"\L{}",
    "ı": r"\i{}",
}
_ACCENTS = {
    "\u0300": "`",
    "\u0301": "'",
    "\u0302": "^",
    "\u0303": "~",
    "\u0304": "=",
    "\u0306": "u",
    "\u0307": ".",
    "\u0308": '"',
    "\u030a": "r",
    "\u030b": "H",
    "\u030c": "v",
    "\u0323": "d",
    "\u0327": "c",
    "\u0331": "b",
}
_GREEK_CAPITALS = {"GAMMA", "DELTA", "THETA", "LAMDA", "XI", "PI", "SIGMA", "UPSILON", "PHI", "PSI", "OMEGA"}
_LIKE_LATIN = {
    **dict(zip("ΑΒΕΖΗΙΚΜΝΟΡΤΧ", "ABEZHIKMNOPTX", strict=True)),
    "ο": "o",
}


def escape(text: str) -> str:
    """The text in LaTeX, in ASCII; whitespace is collapsed. What has no spelling becomes [U+4E2D]."""
    spelled = "".join(map(_character, unicodedata.normalize("NFC", " ".join(text.split()))))
    return spelled.replace("--", "-{}-")  # two hyphens would become a dash


def _character(character: str) -> str:
    for spelling in (_SPECIAL.get(character), _SIGNS.get(character), _LIKE_LATIN.get(character)):
        if spelling:
            return spelling
    if " " <= character <= "~":
        return character
    return _greek(character) or _decomposed(character)


def _greek(character: str) -> str:
    words = unicodedata.name(character, "").split()
    if words[:1] != ["GREEK"] or words[2:3] != ["LETTER"]:
        return ""
    if words[3:] == ["FINAL", "SIGMA"]:
        return r"\ensuremath{\varsigma}"
    if len(words) != 4 or (words[1] == "CAPITAL" and words[3] not in _GREEK_CAPITALS):
        return ""
    name = words[3].replace("LAMDA", "LAMBDA").lower()
    return rf"\ensuremath{{\{name.capitalize() if words[1] == 'CAPITAL' else name}}}"


def _decomposed(character: str) -> str:
    """Letters with one accent, then compatibility forms (ligatures, superscripts, full width), then the code point."""
    parts = unicodedata.normalize("NFD", character)
    if len(parts) == 2 and parts[0].isascii() and parts[1] in _ACCENTS:
        base = {"i": r"\i", "j": r"\j"}.get(parts[0], parts[0])
        return rf"\{_ACCENTS[parts[1]]}{{{base}}}"
    plain = unicodedata.normalize("NFKD", character).replace("\u2044", "/")  # the slash of vulgar fractions
    if plain.isascii() and plain.isprintable() and plain:
        return _compatible(character, "".join(map(_character, plain)))
    return f"[U+{ord(character):04X}]"


def _compatible(character: str, plain: str) -> str:
    kind = unicodedata.decomposition(character).split(" ")[0]
    scripts = {"<super>": rf"\textsuperscript{{{plain}}}", "<sub>": rf"\ensuremath{{_{{{plain}}}}}"}
    return scripts.get(kind, plain)
