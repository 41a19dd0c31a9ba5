"""Cleaning of tweets for CLIP and the generator.

Handles both original tweets and their tokenized form in public MNER data (`RT @ user : do n't`, `https : //t . co/x`).
Every pattern takes linear time: none can start a second scan inside text that it has already scanned.
"""

import html
import re
import unicodedata

__all__ = ["clean_text", "make_prompt", "visible_text"]

_ENTITY = re.compile(r"& ?(#?\w{1,8}) ?;")
_BARE_AMPERSAND = re.compile(r"&amp(?![\w;])")

_URL = re.compile(
    r"""
    (?<!\w)(?:https?|ftp)\ ?:\ ?/\ ?/\ ?       # scheme, possibly split into tokens
        [\w-]*(?:(?:\.|\ \.\ ?)[\w-]+)*        # host
        (?::\d+)?(?:[/?\#][^\s)\]"”]*|\ /\ ?\S+)?…*    # port, path, and the end of a truncated tweet
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
"""Characters that remain at the ends of a tweet after removing handles and URLs."""


def clean_text(text: str) -> str:
    """Return the tweet without `RT`, handles, URLs, HTML entities and invisible characters, with its tokens joined.

    Hashtags keep their word. The result may be empty. It depends on nothing but the text.
    """
    text = visible_text(_unescape(visible_text(text)))
    text = _CUT_URL.sub("", _URL.sub(" ", text))
    text = _AT_PLACE.sub("at ", _SPACES.sub(" ", text))
    text = _RETWEET.sub(" ", _HANDLE.sub(" ", text))
    text = _EMPTY_BRACKETS.sub(" ", _SPACES.sub(" ", _HASH.sub("", text)))
    return _join_tokens(_SPACES.sub(" ", text)).strip(_DANGLING)


def make_prompt(text: str) -> str | None:
    """Return the prompt for the generator, or None (status `no_prompt`) if the text has no visible character.

    The prompt is the clean text if it contains a letter or a digit, else the raw text without invisible characters.
    """
    clean = clean_text(text)
    if any(character.isalnum() for character in clean):
        return clean
    return visible_text(text) or None


def visible_text(text: str) -> str:
    """Return the text without invisible characters (variation selectors, joiners, controls), white space collapsed."""
    if not text.isascii() or not text.isprintable():
        text = "".join(map(_visible_form, text))
    return _SPACES.sub(" ", text).strip()


def _visible_form(character: str) -> str:
    """Return the character, a space for any kind of space, or an empty string."""
    if character.isspace():
        return " "
    invisible = (
        unicodedata.category(character) in {"Cc", "Cf", "Co", "Cs", "Cn"}
        or "\ufe00" <= character <= "\ufe0f"
        or "\U000e0100" <= character <= "\U000e01ef"
        or character in "\ufffd\u034f\u115f\u1160\u3164\uffa0"
    )
    return "" if invisible else character


def _unescape(text: str) -> str:
    """Convert HTML entities, including those split into tokens (`&amp ;`) and those escaped twice (`&amp;lt;`)."""
    for _ in range(2):
        text = html.unescape(_BARE_AMPERSAND.sub("&amp;", _ENTITY.sub(r"&\1;", text)))
    return text


def _join_tokens(text: str) -> str:
    """Remove the spaces of tokenization: in contractions, quotes, brackets, and before punctuation."""
    text = _CONTRACTION.sub(r"\1\2", _NOT.sub(r"\1", text))
    text = _QUOTED.sub(lambda match: f'"{match[1].strip()}"', text)
    text = _MONEY.sub("", _ORDINAL.sub("", text))
    return _CLOSING.sub("", _OPENING.sub(r"\1", text))
