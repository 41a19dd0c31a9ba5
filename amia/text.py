"""Tweet -> the clean text that CLIP and the generator read.

Works on tweets as written and on their tokenized form in public MNER data (`RT @ user : do n't`, `https : //t . co/x`).
Every pattern is linear in the text: none can start a second scan inside a stretch that it has already scanned.
"""

import html
import re
import unicodedata

__all__ = ["clean_text", "make_prompt", "visible_text"]

_ENTITY = re.compile(r"& ?(#?\w{1,8}) ?;")
_BARE_AMPERSAND = re.compile(r"&amp(?![\w;])")

_URL = re.compile(
    r"""
    (?<!\w)(?:https?|ftp)\ ?:\ ?/\ ?/\ ?       # a scheme, perhaps cut into tokens
        [\w-]*(?:(?:\.|\ \.\ ?)[\w-]+)*        # host
        (?::\d+)?(?:[/?\#][^\s)\]"”]*|\ /\ ?\S+)?…*    # port, path, and where the tweet was cut off
    |(?<![\w.@-])www(?:\.|\ \.\ ?)[\w-]+(?:(?:\.|\ \.\ ?)[\w-]+)*(?:/\S*|\ /\ ?\S+)?
    |(?<![\w.@-])(?:pic\ ?\.\ ?twitter\ ?\.\ ?com|t\ ?\.\ ?co|bit\ ?\.\ ?ly)\ ?/\ ?[\w…]+
    |(?<![\w.@/-])[\w-]+(?:\.[\w-]+)*\.(?:com|net|org|co|ly|gl|be|me|tv|fm|gd)/\S+
    """,
    re.VERBOSE | re.IGNORECASE,
)
_CUT_URL = re.compile(r"(?<!\w)h(?:t(?:t(?:ps?)?)?)?(?: ?:[ /]{0,4})? ?(?:…|\.\.\.) ?\Z")

_AT_PLACE = re.compile(r"(?<!\w)@ (?=(?:the|an?|my|our|his|her|their|this|home|work)\b)", re.IGNORECASE)
_HANDLE = re.compile(r"(?:(?<!\w)RT ?)?(?<!\w)[@＠] ?\w+(?: ?:(?= |\Z))?")
_RETWEET = re.compile(r"(?<![\w#@])RT(?!\w)(?: ?:)?")
_HASH = re.compile(r"(?<!\w)[#＃] ?(?=\w)")

_CONTRACTION = re.compile(r"(?<=\w) ?(['’]) ?(s|t|re|ve|ll|m|d)(?!\w)", re.IGNORECASE)
_NOT = re.compile(r"(?<=\w) (n['’]t)(?!\w)", re.IGNORECASE)
_QUOTED = re.compile(r'"([^"]*)"')
_ORDINAL = re.compile(r"(?<=\d) (?=(?:st|nd|rd|th)\b)")
_MONEY = re.compile(r"(?<=[$£€]) (?=\d)")
_OPENING = re.compile(r"([(\[{“‘]) ")
_CLOSING = re.compile(r" (?=[,!?%)\]}”…]|[.](?:[ .,!?…)\]}”]|\Z)|[:;](?: |\Z))")
_EMPTY_BRACKETS = re.compile(r"\( ?\)|\[ ?\]|\{ ?\}|“ ?”|\" ?\"")
_SPACES = re.compile(r"\s+")

_DANGLING = " :;,|/\\-–—…"
"""What handles and URLs leave behind at the ends of a tweet."""


def clean_text(text: str) -> str:
    """The tweet without `RT`, handles, URLs, HTML entities and invisible characters, and with its tokens joined again.

    Hashtags keep their word. May be empty. The same text always gives the same result.
    """
    text = visible_text(_unescaped(visible_text(text)))
    text = _CUT_URL.sub("", _URL.sub(" ", text))
    text = _AT_PLACE.sub("at ", _SPACES.sub(" ", text))
    text = _RETWEET.sub(" ", _HANDLE.sub(" ", text))
    text = _EMPTY_BRACKETS.sub(" ", _SPACES.sub(" ", _HASH.sub("", text)))
    return _joined(_SPACES.sub(" ", text)).strip(_DANGLING)


def make_prompt(text: str) -> str | None:
    """What the generator reads: the clean text, else the raw one; None (`no_prompt`) when nothing in it can be seen.

    The clean text counts when it holds a letter or a digit. The raw text is stripped of invisible characters.
    """
    clean = clean_text(text)
    if any(character.isalnum() for character in clean):
        return clean
    return visible_text(text) or None


def visible_text(text: str) -> str:
    """The text without invisible characters (variation selectors, joiners, controls), white space collapsed."""
    if not text.isascii() or not text.isprintable():
        text = "".join(map(_shown, text))
    return _SPACES.sub(" ", text).strip()


def _shown(character: str) -> str:
    """The character, a space for any kind of space, or nothing."""
    if character.isspace():
        return " "
    invisible = (
        unicodedata.category(character) in {"Cc", "Cf", "Co", "Cs", "Cn"}
        or "\ufe00" <= character <= "\ufe0f"
        or "\U000e0100" <= character <= "\U000e01ef"
        or character in "\ufffd\u034f\u115f\u1160\u3164\uffa0"
    )
    return "" if invisible else character


def _unescaped(text: str) -> str:
    """HTML entities as characters, also those cut into tokens (`&amp ;`) and those escaped twice (`&amp;lt;`)."""
    for _ in range(2):
        text = html.unescape(_BARE_AMPERSAND.sub("&amp;", _ENTITY.sub(r"&\1;", text)))
    return text


def _joined(text: str) -> str:
    """Tokens back to prose: contractions, quotes, brackets, punctuation."""
    text = _CONTRACTION.sub(r"\1\2", _NOT.sub(r"\1", text))
    text = _QUOTED.sub(lambda quoted: f'"{quoted[1].strip()}"', text)
    text = _MONEY.sub("", _ORDINAL.sub("", text))
    return _CLOSING.sub("", _OPENING.sub(r"\1", text))
