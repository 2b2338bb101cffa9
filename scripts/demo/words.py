"""The words that training conversations are made of. What is examined has words of its own, in `heldout`."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from random import Random

NAMES = """Ada Alan Alba Amir Anders Andrea Anita Anton Arne Bea Ben Berta Bjorn Boris Bruno Carla Carlos Cecil Chen Chloe
Clara Cora Dana Daniel Dario Deniz Diego Dora Edgar Edith Elena Eli Elsa Emil Emma Enzo Erik Esra Eva Fabian Farid Felix
Fiona Frank Freya Gina Greta Gustav Hana Hans Harriet Hector Heidi Helga Hugo Ian Ida Igor Ines Ingrid Irene Ivan Jack
Jamal Jan Jasmin Jens Joan Joel Jonas Julia Kai Karim Karin Kenji Kira Klara Knut Lara Lars Laura Lea Leila Leo Lina Lola
Lotte Luca Lucy Luis Magda Malik Marco Maria Mario Marta Mateo Max Maya Mia Mila Milan Mina Mona Nadia Nils Nina Noah Nora
Olaf Olga Oscar Otto Pablo Paula Pedro Petra Philip Pia Rafael Ravi Rita Robin Rosa Ruth Sami Sara Selma Simon Sofia Sonja
Stella Sven Tara Theo Tina Tom Ulla Uma Vera Victor Vito Walter Wanda Yara Yusuf Zara Zoe""".split()

SURNAMES = """Adler Ahmed Alonso Andersen Bauer Becker Bell Berg Blanco Brandt Brown Carter Castro Chan Clark Cohen Conti
Costa Cruz Dahl Davies Diaz Duarte Duval Eriksen Evans Ferrari Fischer Flores Foster Garcia Gomez Grant Gray Green Haas
Hansen Hill Hoffman Holm Hughes Ito Jensen Kaya Keller Khan Kim King Klein Koch Kovac Kumar Lang Larsen Lee Lehmann Lopez
Marin Martin Mayer Mendez Meyer Miller Mori Moreau Morgan Nagel Nakamura Novak Olsen Ortega Park Patel Perez Petrov Price
Ramos Reed Rossi Roth Sanchez Santos Sato Schmidt Scott Silva Singh Stein Suzuki Tanaka Torres Turner Vogel Wagner Walker
Wang Weber White Wilson Wolf Wong Wood Wright Young Yilmaz Zhang""".split()

CITIES = """Aarhus Accra Amsterdam Ankara Antwerp Athens Austin Baku Bangkok Basel Beirut Belfast Bergen Berlin Bern Bilbao
Bogota Bologna Bonn Boston Bremen Bristol Brussels Bucharest Budapest Cairo Calgary Cardiff Chicago Cologne Copenhagen Cork
Dakar Dallas Delhi Denver Detroit Dresden Dublin Durban Essen Florence Frankfurt Geneva Genoa Ghent Glasgow Graz Hamburg
Hanoi Havana Helsinki Houston Istanbul Jakarta Karachi Kiel Krakow Lagos Leeds Leipzig Lille Lima Linz London Lyon Madrid
Malmo Manila Marseille Memphis Miami Milan Minsk Montreal Moscow Mumbai Munich Nairobi Nantes Naples Nice Odessa Osaka
Ottawa Padua Palermo Paris Perth Phoenix Pisa Porto Prague Quito Riga Rome Rotterdam Salzburg Seattle Seoul Shanghai Sofia
Stockholm Sydney Tallinn Tampa Tehran Tokyo Toronto Trieste Tunis Turin Utrecht Venice Verona Vienna Warsaw Zurich""".split()

COUNTRIES = """Albania Argentina Australia Austria Belgium Bolivia Brazil Bulgaria Cambodia Cameroon China Colombia Cuba Cyprus
Denmark Ecuador Egypt England Ethiopia Fiji Finland France Georgia Germany Greece Hungary India Indonesia Ireland Israel Italy
Jamaica Jordan Latvia Lebanon Lithuania Malaysia Malta Mexico Mongolia Nepal Netherlands Nigeria Oman Pakistan Panama Paraguay
Poland Romania Rwanda Scotland Senegal Serbia Singapore Slovakia Slovenia Spain Sudan Sweden Switzerland Taiwan Thailand Turkey
Uganda Ukraine Uruguay Wales Yemen Zambia""".split()

# What tools are about.
NOUNS = """account address adapter agenda air alarm album ambulance animal answer apartment appointment archive article
artist asset auction audit backup badge balance band bank barcode basket battery bed bike bill bird blog board boat bonus
book booking border bottle box branch bread bridge broadcast budget bug building bus cab cabin cake calendar call camera
campaign canal candidate car card cargo carpet case cash catalog cat category chair channel charge chart chat check cheese
chess church cinema claim class cleaner client climate clinic clock cloud club coach coat code coffee coin collection comment
commit company complaint concert contact container contest contract conversation cook cost country coupon course court
crane credit crew customer dance database deadline deal debt deck degree delay delivery department deposit desk device
diagram dictionary diet dinner disk distance district doctor document dog domain door draft dress drink driver drone dryer
earthquake editor election elevator employee energy engine episode equipment error essay estate event exam exchange expense
export fabric factory fan farm fee feed ferry file film filter fine fire fish flag flat flight flood floor flower folder food
football forest form forum freight fridge friend fuel fund furniture gallery game garage garden gas gate gift glass goal grade
grant graph group guest guide gym hall harbor hardware heater history hobby holiday home horse hospital host hotel house ice
idea image income index insurance interest interview inventory invitation invoice island issue item jacket job joke journal
juice key kitchen label laboratory ladder lake lamp language laptop laundry law lawn lawyer lead league lease lecture lesson
letter library licence light line link list loan location lock log logo lottery lunch machine magazine mail maintenance manual
map market match material meal measurement medicine member memo menu message meter mission mobile money monitor mortgage motor
mountain movie museum music nap network newsletter notebook notice novel number nurse office opera opinion oven package page
painting pan paper parade park parking part partner passport patient pattern payment pen pension permit pet phone photo piano
picture pipe pizza place plan planet plant plate player playlist podcast poem point police policy poll pool port poster post
printer prize problem product profile project promotion property protein pump puzzle quiz quota race radio railway rate
receipt recipe record refund region reminder rent repair report reservation resource response restaurant result review reward
ride river road robot role roof room route rule salad salary sale sample school score screen script seat season section sensor
server service session ship shirt shoe shop shower sign signal site skill sky snack sofa soil song soup space speaker sport
stadium staff stage stamp star statement station statistic stock storage store storm story stream street student studio study
subject subscription sugar suit sun supplier survey swim symptom table tank tariff task tax taxi tea teacher team temperature
tenant tent term test theater theme therapy ticket tide tile timer tire title toast tool topic tour tower town toy track trade
traffic trail train transaction transfer translation trash treatment tree trend trial trip truck tunnel tutor umbrella uniform
university update user vacation vaccine valve vase vehicle vendor version video village violin virus visa visitor vote voucher
wage walk wall wallet warehouse warranty watch water wave weather website wedding weight wheel wine winner wire witness work
workshop yard zone""".split()

# How a tool's name begins, and how people ask for it.
VERBS = {
    "get": ("get", "give me", "show me", "tell me", "look up", "fetch", "find out"),
    "find": ("find", "search for", "look for", "locate"),
    "search": ("search", "search for", "find", "look for"),
    "lookup": ("look up", "find", "get"),
    "fetch": ("fetch", "get", "load"),
    "list": ("list", "show me", "give me"),
    "show": ("show", "show me", "display"),
    "check": ("check", "look at", "verify"),
    "book": ("book", "reserve", "get me"),
    "reserve": ("reserve", "book", "hold"),
    "order": ("order", "buy", "get me"),
    "buy": ("buy", "order", "purchase"),
    "create": ("create", "make", "set up", "start"),
    "add": ("add", "put in", "enter"),
    "make": ("make", "create", "prepare"),
    "open": ("open", "start"),
    "start": ("start", "begin", "launch"),
    "stop": ("stop", "end", "halt"),
    "close": ("close", "shut"),
    "cancel": ("cancel", "call off", "drop"),
    "delete": ("delete", "remove", "erase"),
    "remove": ("remove", "delete", "take away"),
    "update": ("update", "change", "edit"),
    "change": ("change", "update", "modify"),
    "set": ("set", "put", "adjust"),
    "send": ("send", "mail", "pass on"),
    "schedule": ("schedule", "plan", "arrange"),
    "plan": ("plan", "schedule", "work out"),
    "calculate": ("calculate", "work out", "compute"),
    "count": ("count", "tally"),
    "track": ("track", "follow", "trace"),
    "rate": ("rate", "score"),
    "play": ("play", "put on"),
    "rent": ("rent", "hire"),
    "sell": ("sell",),
    "print": ("print",),
    "share": ("share", "pass on"),
    "copy": ("copy", "duplicate"),
    "move": ("move", "shift"),
    "register": ("register", "sign up"),
    "report": ("report", "file"),
    "repair": ("repair", "fix"),
    "clean": ("clean", "tidy"),
    "save": ("save", "store", "keep"),
    "export": ("export", "download"),
    "compare": ("compare",),
    "measure": ("measure",),
    "approve": ("approve", "accept"),
    "renew": ("renew", "extend"),
    "assign": ("assign", "give"),
}

PRODUCTS = """apple backpack banana basket bean blanket bottle bowl bracelet brush bucket butter button cable camera candle
carrot chair charger cherry clock coat cookie cup cushion desk drill egg fan fork glove grape hammer hat helmet jacket jar
kettle key keyboard knife lamp laptop lemon lime magnet mango marker mat mirror monitor mouse mug nail napkin needle notebook
onion orange oven pan peach pear pen pencil pepper phone pillow plate plum pot potato printer radio razor rice ring rope ruler
saw scarf scissors screw shelf shirt shoe soap sock sofa spoon stapler stool table tape tea tent toaster tomato torch towel
tray umbrella vase wallet watch whistle yogurt""".split()

ADJECTIVES = """big black blue bright brown cheap clean cold dark deep dry empty fast flat fresh golden gray green heavy hot
large light little long loud modern narrow new nice old orange pink plain purple quick quiet red round sharp short silent
silver slow small smart soft solid strong sweet tall thin tiny warm wet white wide wild yellow young""".split()

COMMON = """about after again also always another any around ask away back bad because before begin best better bring can
carry clear come day did done down draw drive early eat end even every eye fall far feel few first five fly follow four from
full good great grow half hand hard have hear help here high hold hope hot idea inside just keep kind know last late learn
leave left less let life like live long look lot love low main many may mean meet mind more morning most move much must near
need never next night nothing now often once one only open other our out over own part people place plan play point put rain
read ready real rest right run same say sea see seven she should show side since sing sit six sleep slow snow some soon sound
start stay still stop such sure take talk ten than thank that them then there these thing think this those three time today
together tomorrow tonight too top try turn two under until upon use very visit wait walk want warm was wash water way week
well went were what when where which while who why will win winter wish with without wonder word work world would write year
yes yesterday yet you your""".split()

STREETS = """Acorn Baker Birch Bridge Canal Castle Cedar Chapel Church Cliff Corner Elm Forest Garden Grove Harbor Hill
Hunter Lake Lincoln Linden Maple Market Meadow Mill North Oak Orchard Park Pine Pond Queen River Rose School South Spring
Station Summer Sunset Union Valley Victoria Water West Willow Winter""".split()

JOBS = """accountant actor architect artist baker barber butcher captain carpenter chef clerk coach cook dentist designer
doctor driver editor electrician engineer farmer gardener guide journalist judge lawyer librarian mechanic miner musician nurse
painter pharmacist photographer pilot plumber poet professor programmer sailor scientist secretary singer soldier surgeon
tailor teacher translator vet waiter writer""".split()

LANGUAGES = """Arabic Basque Catalan Chinese Czech Danish Dutch English Finnish French German Greek Hindi Hungarian Irish
Italian Japanese Korean Latin Norwegian Polish Portuguese Romanian Russian Spanish Swedish Thai Turkish Welsh""".split()

CURRENCIES = "USD EUR GBP JPY CHF SEK NOK DKK PLN CZK INR CNY BRL MXN CAD AUD TRY ZAR KRW HUF".split()

GOOD = """amazing awesome beautiful brilliant charming delicious delightful excellent fantastic fine friendly good gorgeous
great happy lovely nice outstanding perfect pleasant superb terrific wonderful""".split()
BAD = """annoying awful bad boring broken cheap cold dirty disappointing disgusting dreadful horrible lousy nasty noisy painful
poor rude sad slow terrible ugly unpleasant useless worst""".split()
MIDDLING = (
    "acceptable adequate average common fair normal okay ordinary plain regular so-so standard typical usual".split()
)

_ONSETS = "b bl br c ch cl cr d dr f fl fr g gl gr h j k l m n p ph pl pr qu r s sc sh sk sl sm sn sp st str t th tr v w wh y z".split()
_VOWELS = "a a a e e e i i o o u ai au ea ee ie oa oo ou".split()
_CODAS = ["", "", "", *"b ck d f g k l ll m n n nd ng nt p r rd rk rn rt s s sh sk ss st t t th x".split()]


def coined(random: Random) -> str:
    """A word that nobody has seen: it can only be copied."""
    count = random.choice((1, 2, 2, 2, 3))
    return "".join(random.choice(_ONSETS) + random.choice(_VOWELS) + random.choice(_CODAS) for _ in range(count))
