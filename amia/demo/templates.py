"""Sentence templates of the demo world, by the entity types that they mention.

Of every five templates three are for pretraining (tiny CLIP and generator) and two are held out from it. Demo corpora
consist of held-out ones; every tenth template occurs only in their validation and test splits. The order of the
sentences decides which of them are held out (see `TEMPLATES`).
"""

from typing import Literal, NamedTuple

from amia.demo.names import KINDS

__all__ = ["TEMPLATES", "Partition", "Template", "select_templates"]

Partition = Literal["pretraining", "held_out", "evaluation"]


class Template(NamedTuple):
    """One sentence: words with the names of types in place of entities.

    `kinds` are the types it mentions, in their order. A neutral template has `ANY` in place of an entity of any type.
    """

    words: tuple[str, ...]
    kinds: tuple[str, ...]
    partition: Partition


def _partition(index: int) -> Partition:
    if index % 5 < 3:
        return "pretraining"
    return "evaluation" if index % 10 == 9 else "held_out"


def _parse(sentences: str) -> tuple[Template, ...]:
    templates = []
    for index, line in enumerate(sentences.strip().splitlines()):
        words = tuple(line.split())
        kinds = tuple(word for word in words if word in KINDS or word == "ANY")
        templates.append(Template(words, kinds, _partition(index)))
    return tuple(templates)


_SINGLE = {
    "PER": """
nobody sings like PER
best interview ever with PER
happy birthday to my favourite singer PER
so proud of PER , what a voice
PER smiled and waved at every fan
PER just shaved off that hair
cannot believe PER got married today
PER says sorry to the fans
got an autograph from PER after the show
PER was born for this role
crying because PER retweeted me
my mom still loves PER as an actor
PER looks so young in that selfie
the singer PER cancelled a concert
happy birthday PER , stay young
PER is dating again and fans are crying
what is PER wearing in that selfie
actor PER gave a long speech
my sister met PER and got a selfie
PER the actor is married now
in her new interview PER talks about school
rest easy PER , you were a kind man
PER turned thirty and looks amazing
that speech by PER made me cry
he is a lot like PER , same hair
""",
    "LOC": """
lost in LOC again
streets of LOC at night
heavy rain over LOC this morning
landed in LOC , what a view
flight to LOC delayed by snow
traffic in LOC is terrible today
sunrise over LOC from my window
we are moving to LOC in june
the weather in LOC is perfect
walking through the old streets of LOC
road trip to LOC with the girls
earthquake near LOC felt for miles
visiting LOC for the first time
morning traffic near LOC is slow
snow over the hills of LOC
best food in all of LOC
take me back to LOC please
the mayor of LOC opened a bridge
flight from LOC landed late
a week of sun in LOC
born and raised in LOC
the hills north of LOC are on fire
hotels in LOC are full this weekend
rain again , welcome to LOC
the old bridge of LOC at sunrise
""",
    "ORG": """
ORG denies the report
shares of ORG fall again
come on ORG , win this match
ORG hires a new coach
the CEO of ORG stepped down
ORG lost three games in a row
customer service at ORG is a joke
ORG signs a deal with a rival
tickets for the ORG match sold out
ORG lays off hundreds of workers
workers at ORG go on strike
stock of ORG is up ten percent
what a goal , ORG wins the league
ORG shares fall after the report
new coach for ORG this season
ORG announces record profits
my job interview at ORG went well
the board of ORG voted yes
strike at ORG is over , workers win
a rival may buy ORG this year
lawsuit against ORG goes to court
ORG scored twice in the second half
ORG apologises to its customers
the league punished ORG for the deal
profits of ORG are down , says the CEO
""",
    "MISC": """
the new MISC leaked
MISC giveaway , retweet to win
i played MISC all night
MISC is the best thing i bought
unboxing my new MISC
who else is watching MISC
preorder MISC before it sells out
review : MISC is worth the price
my MISC arrived in the mail
the trailer of MISC gives me chills
i broke my MISC already
waiting in line for MISC since noon
MISC season two is coming
the price of the new MISC is a joke
giveaway : win a MISC signed by all
the MISC launch is delayed to may
cannot stop playing MISC
got MISC for christmas
just bought MISC , no regrets
watching the MISC trailer on repeat
a limited edition of MISC is out
there is a bug in MISC , beware
five stars for MISC
my review of MISC is up
MISC sold out in a minute , of course
""",
}
"""Sentences about one entity, by its type."""

_NEUTRAL = {
    "ANY": """
look at this , ANY !
one word : ANY
ANY . that is all
oh ANY , never change
this is so ANY
can we talk about ANY
ANY again ?
everyone is talking about ANY
i love ANY so much
just ANY things
my day : coffee and ANY
guess who . ANY !
who likes ANY as much as me
still thinking about ANY
cannot get enough of ANY
ANY forever
all i need is ANY
i miss ANY
ANY , that is the tweet
good morning to ANY only
ANY trending again
why is everyone talking about ANY
ANY is back
no ANY , no party
more ANY please
""",
}
"""Sentences about one entity that do not reveal its type."""

_JOINT = {
    "PER+LOC": """
PER says hello LOC
fans wait for PER in LOC
PER arrives in LOC tonight
concert by PER in LOC was unreal
i saw PER walking the streets of LOC
PER is moving to LOC for good
interview with PER live from LOC
PER got lost in LOC again
selfie with PER on a bridge in LOC
LOC gives PER a warm welcome
in LOC everyone loves PER
PER spotted at a hotel in LOC
the flight of PER to LOC was delayed
PER was born in LOC , not raised
LOC in the rain with PER
""",
    "PER+ORG": """
PER visits ORG headquarters
rumor : PER to join ORG
PER leaves ORG after ten years
ORG signs PER for three seasons
PER named new CEO of ORG
PER is suing ORG over a deal
interview : PER on life at ORG
ORG fires coach PER
goal by PER for ORG
PER wears an ORG shirt on stage
why did ORG let PER go
PER speaks at the ORG meeting
ORG denies talks with PER
PER bought shares of ORG
former ORG coach PER is back
""",
    "LOC+ORG": """
ORG closes all shops in LOC
ORG opens an office in LOC
job fair by ORG in LOC
ORG wins the match in LOC
strike at ORG stops LOC
ORG moves headquarters to LOC
workers of ORG march through LOC
LOC sues ORG over taxes
ORG fans fill the streets of LOC
in LOC nobody likes ORG
ORG to build a factory near LOC
LOC welcomes ORG with snow
the ORG office in LOC is on fire
ORG lost again in LOC
ORG cuts jobs in LOC
""",
    "LOC+MISC": """
MISC fans fill LOC
MISC weekend , see you in LOC
MISC comes to LOC in june
playing MISC on the flight to LOC
queue for MISC in LOC goes around the block
sold my MISC to pay for a trip to LOC
MISC is sold out all over LOC
i left my MISC in LOC
filming MISC on the streets of LOC
LOC is crazy about MISC
MISC launch party in LOC
bought MISC at the airport in LOC
rain in LOC , so MISC all day
MISC trailer shows LOC at night
won a MISC at a fair in LOC
""",
    "PER+MISC": """
PER shows off the MISC
MISC starring PER
PER plays MISC live on stage
PER threw a MISC at the crowd
PER signs a MISC for a fan
PER hates the new MISC
selfie of PER with a MISC
PER unboxing a MISC is so funny
MISC giveaway by PER
PER wins MISC after a long night
PER talks about MISC in an interview
birthday present for PER : a MISC
PER broke a MISC on stage
PER reviews MISC
MISC would be nothing without PER
""",
    "ORG+MISC": """
ORG unveils the MISC
ORG recalls the MISC
ORG stops selling MISC
MISC by ORG is out today
ORG leaks the price of MISC
CEO of ORG presents MISC
ORG giveaway : win a MISC
MISC saves the profits of ORG
ORG sponsors MISC
ORG delays MISC again
lawsuit : ORG copied MISC
review : the ORG MISC is worth it
ORG buys the makers of MISC
shares of ORG jump after MISC launch
preorder MISC at ORG today
""",
    "PER+LOC+ORG": """
PER of ORG arrives in LOC
ORG fans cheer PER in LOC
PER scores for ORG in LOC
ORG sends PER to LOC
PER opens the ORG office in LOC
in LOC PER denies the ORG deal
PER leaves LOC to join ORG
LOC boos PER of ORG
PER meets ORG workers in LOC
ORG coach PER lands in LOC
PER signs with ORG , leaves LOC
ORG and PER are back in LOC
PER left ORG and lives in LOC
LOC honours PER and ORG
PER speaks for ORG in LOC
""",
    "PER+ORG+MISC": """
PER tests the ORG MISC
PER sues ORG over MISC
ORG gives PER a MISC
PER presents MISC for ORG
ORG hires PER for the MISC launch
PER says ORG ruined MISC
MISC by ORG , starring PER
PER leaves ORG because of MISC
PER unveils MISC at ORG headquarters
ORG pays PER to play MISC
PER wins MISC with ORG
ORG cancels MISC , says PER
PER of ORG shows off a MISC
ORG thanks PER for MISC
PER plays MISC at the ORG party
""",
    "PER+LOC+MISC": """
PER plays MISC in LOC
PER brings MISC to LOC
filming MISC with PER in LOC
PER wins MISC in LOC
LOC loves PER and MISC
PER lost a MISC in LOC
MISC premiere in LOC with PER
PER signs MISC for fans in LOC
in LOC PER threw away a MISC
PER shows MISC to all of LOC
PER lands in LOC for MISC
PER talks about MISC live from LOC
selfie with PER and a MISC in LOC
MISC star PER seen in LOC
PER carries a MISC through LOC
""",
}
"""Sentences about several entities, one of each type."""

TEMPLATES: dict[tuple[str, ...], tuple[Template, ...]] = {
    tuple(kinds.split("+")): _parse(sentences) for kinds, sentences in {**_SINGLE, **_NEUTRAL, **_JOINT}.items()
}
"""All templates by combination of types, e.g. `("PER", "LOC")`. Those of `("ANY",)` do not reveal the type."""


def select_templates(kinds: tuple[str, ...], *partitions: Partition) -> tuple[Template, ...]:
    """Return the templates of one combination of types that belong to one of `partitions`."""
    return tuple(template for template in TEMPLATES[kinds] if template.partition in partitions)
