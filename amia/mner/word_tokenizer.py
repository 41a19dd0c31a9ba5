r"""Split raw text into words with character offsets, for posts that come without tokens.

A recognizer knows words as its training corpus splits them, and public corpora split tweets in two ways:

| text | signs joined | signs split |
|---|---|---|
| `@user` `#tag` | `@user` `#tag` | `@` `user` `#` `tag` |
| `Obama's` `well-known` | `Obama's` `well-known` | `Obama` `'` `s` `well` `-` `known` |
| `5:30` `24/7` | `5:30` `24/7` | `5` `:` `30` `24` `/` `7` |
| `?!` `...` | `?!` `...` | `?` `!` `.` `.` `.` |

Twitter-2017 splits signs, and it matters: of its 8,724 entities 1,655 begin right after `@` or `#`, and 427 end right
before `'s`. A word that contains more than the name cannot be one of them.

In both ways URLs, numbers such as `10,000`, emoticons, and letters with their combining marks in any script are one
word; any other character is a word. The run time of every pattern is linear in the length of the text.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tokenizers import Regex
from tokenizers.pre_tokenizers import Split

__all__ = ["Word", "has_split_signs", "split_words"]

_SIGNS = frozenset("@＠#＃'’")
_WORD_REST = r"[\p{L}\p{M}\p{N}_\u200c\u200d]*"
"""Characters after a word's first: letters, digits, combining marks, and the joiners of some scripts."""
_NOT_IN_WORD = r"(?<![\p{L}\p{N}_])"
_URL = r"(?i:https?://|www\.)[^\s\x1c-\x1f]*[\p{L}\p{N}/]"
_EMOTICON = _NOT_IN_WORD + r"(?:[:;=][-'^]?(?:[()]+|[DPpOo/\\|*\[\]](?![\p{L}\p{N}]))|<3(?![\p{L}\p{N}]))"
_MENTION_OR_HASHTAG = _NOT_IN_WORD + r"[@＠#＃][\p{L}\p{N}_]" + _WORD_REST


def _word_pattern(separators: str) -> str:
    """Return a pattern of a word, or of a number with such separators between its digits."""
    return rf"(?:\p{{Nd}}+(?:[{separators}]\p{{Nd}}+)*|[\p{{L}}\p{{N}}_]){_WORD_REST}"


def _make_splitter(*patterns: str) -> Split:
    return Split(Regex("|".join([*patterns, r"\S"])), "isolated")


_SPLIT_SIGNS = _make_splitter(_URL, _EMOTICON, _word_pattern(".,"))
_JOIN_SIGNS = _make_splitter(
    _URL,
    _EMOTICON,
    _MENTION_OR_HASHTAG,
    f"{_word_pattern('.,:/')}(?:['’-]{_word_pattern('.,:/')})*",
    r"[.!?]{2,}",
)


@dataclass(frozen=True, slots=True)
class Word:
    """A word of a text; `text` is the characters `start` to `end` of it, `end` exclusive."""

    text: str
    start: int
    end: int


def split_words(text: str, *, split_signs: bool = False) -> list[Word]:
    """Split a text into words in order; each character that is not white space is in exactly one.

    `split_signs`: see the module's table. Raises UnicodeEncodeError for a text that is not valid Unicode.
    """
    splitter = _SPLIT_SIGNS if split_signs else _JOIN_SIGNS
    return [Word(word, start, end) for word, (start, end) in splitter.pre_tokenize_str(text) if not word.isspace()]


def has_split_signs(sentences: Iterable[Sequence[str]]) -> bool:
    """Check whether a corpus splits signs: `@`, `#` and apostrophes are more often separate tokens than within words.

    False for a corpus without any of them.
    """
    separate = joined = 0
    for token in (token for tokens in sentences for token in tokens):
        if token in _SIGNS:
            separate += 1
        elif not _SIGNS.isdisjoint(token) and any(map(str.isalnum, token)):
            joined += 1
    return separate > joined
