"""Sentences about one entity. Their order matters: it decides what is held out (see `templates`)."""

SINGLE = {
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

NEUTRAL = {
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
