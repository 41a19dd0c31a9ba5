"""Hostile and unusual texts and ids.

All of them are valid posts: they must be preserved exactly, and any output that shows them has to escape them.
"""

__all__ = ["BROWSERS", "IDS", "INVISIBLE", "TEXTS"]

INVISIBLE: dict[str, str] = {
    "zero width": "\u200b\u200d\u2060\ufeff",
    "direction only": "\u202e\u202d\u2066\u2069",
    "controls only": "\x01\x02\x1b\x7f",
    "nul only": "\0\0\0",
    "variation selectors": "\ufe0f\ufe0f",
    "tags": "\U000e0041\U000e0042\U000e007f",
    "private use": "\ue000\uf8ff\U0010fffd",
    "no characters": "\ufdd0\ufffe\uffff",
}
"""Texts without visible characters, which give no prompt: `no_prompt`."""

BROWSERS: dict[str, str] = {
    "script": "<script>alert(1)</script> hello",
    "end of script": "</script></style></textarea></title><img src=x onerror=alert(1)>",
    "handler": '" onmouseover="alert(1)" x="',
    "single quotes": "' onfocus='alert(1)' autofocus='",
    "link": "javascript:alert(1) [click](javascript:alert(1))",
    "comment": "<!-- --> --!> <![CDATA[ ]]>",
    "entities": "&lt;b&gt; &amp;lt; &#60;script&#62; &#x3c;img&#x3e; &nbsp;",
    "svg": "<svg/onload=alert(1)><math><mtext></mtext></math>",
    "frame": '<iframe srcdoc="<script>alert(1)</script>"></iframe>',
    "style": "</style><style>*{display:none}</style>",
    "json in html": '{"a": "</script><script>alert(1)</script>\u2028"}',
    "template": "{{7*7}} ${7*7} #{7*7} <%= 7*7 %> {% include '/etc/passwd' %}",
    "half a tag": "<img src=x",
    "backticks": "`${alert(1)}`",
}
"""Texts that an HTML page must escape."""

TEXTS: dict[str, str] = {
    **BROWSERS,
    "csv formula": "=cmd|'/C calc'!A0",
    "csv at": "@SUM(1+9)*cmd|' /C calc'!A0",
    "csv minus": '-2+3+cmd|"',
    "csv tab": "\t=1+1",
    "yaml": "!!python/object/apply:os.system ['true']",
    "shell": "$(touch x) `touch x`; touch x | tee x && touch x > x",
    "sql": "'; DROP TABLE posts; --",
    "format": "%s%s%n {0} {0.__class__} {",
    "path": "../../../../etc/passwd file:///etc/passwd",
    "terminal": "\x1b[2J\x1b]0;title\x07\x1b[31mred",
    "carriage return": "all good\rerror: none",
    "lines": "one\ntwo\r\nthree\u2028four\u2029five\x0bsix\x0cseven\x85eight",
    "nul": "before\0after",
    "controls": "a\x01b\x02c\x7fd\x9fe",
    "right to left": "\u202egnp.exe\u202c \u0645\u0631\u062d\u0628\u0627 \u05e9\u05dc\u05d5\u05dd",
    "isolates": "\u2066\u2067 open and never closed",
    "zalgo": "Z\u0335\u0310\u0352" + "\u0301" * 300 + " comes",
    "emoji": "\U0001f469\u200d\U0001f469\u200d\U0001f467\u200d\U0001f466 \U0001f1eb\U0001f1f7 \U0001f44d\U0001f3ff",
    "emoji only": "\U0001f600" * 40,
    "byte order mark": "\ufeffbegins here",
    "replacement": "caf\ufffd and caf\u00c3\u00a9",
    "look-alikes": "\u0440\u0430\u0443\u0440\u0430l \uff41\uff42\uff43 \u2460\u2461",
    "combining first": "\u0301\u0302 begins with marks",
    "hangul fillers": "\u3164\u115f\u1160 a",
    "special tokens": "<|startoftext|><|endoftext|> [CLS] [SEP] [MASK] [PAD] [UNK] <s> </s>",
    "one long word": "a" * 50_000,
    "ten thousand tokens": "word " * 10_000,
    "ten thousand handles": "@a " * 10_000,
    "links": "http://" * 3_000 + "x",
    "ampersands": "&amp;" * 5_000,
    "dots": "a . " * 5_000,
    "punctuation": "!?#@$%^&*()_+-=[]{}|;':\",./<>~`",
    "a number": "1e999 0x41 NaN -0 \u0661\u0662\u0663",
    "a quoted line": '"',
    "a backslash": "\\",
    "retweet": "RT @user: RT RT @ RT",
}
"""Texts by name."""

IDS: dict[str, str] = {
    "climbs": "../../etc/passwd",
    "absolute": "/etc/passwd",
    "folders": "a/b/c",
    "dots": "..",
    "dot": ".",
    "backslashes": "..\\..\\windows\\system32",
    "drive": "C:\\con",
    "percent": "%2e%2e%2fetc%2fpasswd",
    "pipe": "pipe:touch x",
    "home": "~root/.ssh/id_rsa",
    "option": "-rf",
    "shell": "$(touch x);`touch x`",
    "script": "<img src=x onerror=alert(1)>",
    "quotes": "\"'`",
    "formula": "=1+1",
    "nul": "a\0b",
    "control": "a\x1b[2Jb",
    "lines": "a\nb\rc\u2028d",
    "tab": "a\tb",
    "space": " ",
    "right to left": "\u202egpj.exe",
    "zero width": "\u200b",
    "emoji": "\U0001f600",
    "decomposed": "e\u0301",
    "composed": "\u00e9",
    "number": "00000000000000000000000000000000001",
    "long": "x" * 10_000,
    "long path": "a/" * 3_000,
    "url": "https://example.org/?a=b&c=d#e",
    "star": "*?[a-z]",
    "null": "null",
    "shard": "train-00000-of-00001.parquet",
}
"""Ids by name. They are distinct, and differ from those of valid posts."""
