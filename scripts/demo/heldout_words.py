"""The values of the held-out exam: names, places, numbers, codes. The training has lists of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from random import Random

LISTS = {
    "first": "Ingrid Tomasz Aiko Desmond Priya Leif Carmela Yusuf Beatrix Kwame Noor Hamish Odette Ravi Signe Matteo "
    "Farida Clive Zora Anselm Miriam Goran Tilda Ebbe Rosalind Idris",
    "last": "Solberg Wrona Mori Achebe Nair Halvorsen Ruiz Demir Falk Mensah Haddad Baird Lemaire Kapoor Dahl Conti "
    "Amini Thorpe Novak Greer Stein Kovac Brand Lund Pryce Osei",
    "city": "Bergen,Porto,Gdansk,Turku,Leeds,Tampa,Utrecht,Graz,Malmo,Cork,Nantes,Bilbao,Basel,Perth,Kyoto,Lima,"
    "Quito,Accra,Halifax,Tucson,Dundee,Ghent,Zadar,Riga,Fort Collins,Santa Rosa,San Remo,New Haven",
    "country": "Norway,Portugal,Ghana,Japan,Peru,Canada,Estonia,Croatia,Chile,Morocco,Vietnam,Iceland,Kenya",
    "company": "Northwind Tools,Brightwater Foods,Osprey Logistics,Helix Print,Larkspur Media,Tandem Bikes,"
    "Quarry Stone,Bluefin Marine,Cobalt Systems,Juniper Textiles,Redwood Clinic,Pinnacle Paper",
    "product": "desk lamp,steel kettle,travel mug,wool blanket,garden hose,camping stove,bike helmet,paper shredder,"
    "yoga mat,office chair,coffee grinder,rain jacket,board game,wall clock,tool box,picture frame",
    "device": "label printer,card reader,room heater,water pump,door sensor,coffee machine,ticket scanner,wall screen",
    "dish": "lentil soup,mushroom risotto,apple crumble,pumpkin curry,bean stew,potato salad,lemon tart,fried rice,"
    "onion pie,tomato pasta,carrot cake,spinach omelette",
    "food": "oat milk,brown sugar,olives,walnuts,red onions,rye bread,goat cheese,green tea,chickpeas,maple syrup",
    "room": "bedroom,bathroom,hallway,cellar,attic,nursery,study,laundry room,dining room,guest room",
    "title": "Salt and Thunder,The Paper Harbour,Winter Orchard,A Map of Small Rivers,Silver Lanterns,The Last Ferry,"
    "Nine Quiet Rooms,Copper Sky,Letters to Nobody,Under the Tall Pines,The Glass Sparrow,Midnight Bakery",
    "text": "call the plumber,return the keys,water leak upstairs,spring sale,bring two chairs,late delivery,"
    "thank you for lunch,screen stays dark,buy new batteries,feed the neighbour cat,broken zip,see you on Monday",
    "language": "Finnish,Korean,Dutch,Polish,Swahili,Greek,Turkish,Danish,Hindi,Welsh,Czech,Thai",
    "word": "lantern,harvest,marble,compass,drizzle,meadow,anchor,velvet,pebble,whistle,orbit,thistle",
    "foreign": "kiitos kaikesta,tusen takk,hartelijk dank,bardzo dobrze,asante sana,kalimera,iyi geceler,tak for mad,"
    "diolch yn fawr,dobry den",
    "meaning": "a thing that is used at sea,an old kind of tool,a sort of weather,a small object of glass,"
    "a part of the year,a plant of the fields,a sound made with the lips",
    "currency": "EUR,USD,GBP,SEK,CHF,JPY,NOK,CAD",
    "pet": "Biscuit,Pepper,Waffles,Juno,Rusty,Clover,Pickle,Scout,Maple,Ziggy",
    "team": "Harbour Hawks,River Foxes,Iron Owls,Valley Rovers,Northern Stags,Coastal Bears,Stone Tigers",
    "lane": "Harrow Lane,Mill Street,Orchard Road,Kiln Close,Station Avenue,Priory Walk,Elm Terrace,Quay Street",
    "site": "larkspur,tandem-bikes,redwood,osprey,helix,juniper,cobalt,bluefin",
    "ending": ".example.com,.example.org,.example.net",
    "job": "baker,welder,nurse,surveyor,pilot,florist,translator,carpenter,chemist,tailor,plumber,librarian",
    "maker": "Volvo,Skoda,Mazda,Fiat,Subaru,Peugeot,Kia,Toyota",
    "ingredient": "flour,butter,leeks,garlic,cream,barley,ginger,almonds,parsley,honey,beans,celery,rosemary,eggs",
    "thing": "hotel breakfast,new printer,train ride,blue jacket,phone service,museum tour,wooden table,evening show,"
    "coffee machine,swimming pool,delivery,headset,city bus,dental visit,cheese plate,language course",
    "tag": "sale,winter,garden,office,travel,kids,repair,music,sports,health,kitchen,outdoor",
}
WORDS = {name: tuple(text.split("," if "," in text else " ")) for name, text in LISTS.items()}

MOODS = {
    "positive": ("great", "excellent", "wonderful", "very good", "fantastic", "lovely"),
    "negative": ("awful", "terrible", "very bad", "horrible", "poor", "disappointing"),
    "neutral": ("okay", "average", "neither good nor bad", "acceptable", "nothing special"),
}


def draw(rng: Random, kind: str) -> str | int | float:
    """A value of a kind: `a/b/c`, one of these words; `2-9`, an integer of that range; `2.0-9.0`, a number
    of that range with one decimal; or a kind that has a name here."""
    if "/" in kind:
        return rng.choice(kind.split("/"))
    if kind[0].isdigit():
        low, high = kind.split("-")
        if "." in kind:
            return _part(rng, int(float(low) * 10), int(float(high) * 10), 10)
        return rng.randint(int(low), int(high))
    if kind == "amount":
        return _part(rng, 200, 40000, 100)
    return WRITTEN[kind](rng) if kind in WRITTEN else rng.choice(WORDS[kind])


def _part(rng: Random, low: int, high: int, whole: int) -> float:
    """A number of tenths or hundredths, never a whole one, which could be written in two ways."""
    while (found := rng.randint(low, high)) % whole == 0:
        pass
    return found / whole


def _code(rng: Random) -> str:
    """As "QX-4821" or "TRK-559"."""
    letters, digits = rng.choice(((2, 4), (3, 3)))
    start = "".join(rng.choice("ABCDEFGHJKLMNPQRSTUVWXYZ") for _ in range(letters))
    return f"{start}-{''.join(rng.choice('0123456789') for _ in range(digits))}"


def _person(rng: Random) -> str:
    first, last = rng.choice(WORDS["first"]), rng.choice(WORDS["last"])
    return first if rng.random() < 0.3 else f"{first} {last}"


def _email(rng: Random) -> str:
    first, last = rng.choice(WORDS["first"]).lower(), rng.choice(WORDS["last"]).lower()
    name = rng.choice((first, f"{first}.{last}", f"{first[0]}.{last}"))
    return f"{name}@{_domain(rng)}"


def _domain(rng: Random) -> str:
    return rng.choice(WORDS["site"]) + rng.choice(WORDS["ending"])


def _date(rng: Random) -> str:
    return f"{rng.randint(2024, 2029)}-{rng.randint(1, 12):02d}-{rng.randint(1, 28):02d}"


def _time(rng: Random) -> str:
    return f"{rng.randint(6, 22):02d}:{rng.choice(range(0, 60, 5)):02d}"


def _street(rng: Random) -> str:
    return f"{rng.randint(2, 98)} {rng.choice(WORDS['lane'])}"


WRITTEN = {
    "person": _person,
    "email": _email,
    "domain": _domain,
    "date": _date,
    "time": _time,
    "street": _street,
    "id": _code,
}
