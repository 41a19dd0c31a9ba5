"""Sentences about several entities, one of each type. Their order matters: it decides what is held out."""

JOINT = {
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
