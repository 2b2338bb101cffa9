"""The texts of the held-out exam that documents are read from. Written by hand; the training has texts of its own.

A family stands under its name:

    : what it tells of, apart by ";": key, kind (as `heldout_words.draw` knows, or `many KIND`), description
    > one to three sentences that say some of it; a schema asks for two to five of the keys said
"""

from __future__ import annotations

FAMILIES = """
@person
: name person Full name; age 18-90 Age in years; city city Home city; email email Address; job job Occupation
> {name} is {age} years old and lives in the city of {city}. The best email is {email}.
> Our new colleague {name}, age {age}, works as a {job}. Mail goes to {email}.
> At the age of {age}, {name} still works as a {job} in the city of {city}.
> The {job} is called {name} and comes from {city}. Age: {age}.
@order
: product product Article; quantity 2-60 Pieces; total amount Sum; customer person Buyer; order_id id Order number
> {customer} ordered {quantity} pieces of our product {product} for a total of {total}.
> Order {order_id} came in this morning: product {product}, quantity {quantity}. The customer is {customer}.
> The customer, {customer}, wants {quantity} times the {product}. The total is {total} and the order number {order_id}.
> Order {order_id}: {customer} is the customer and takes the product {product}, quantity {quantity}, total {total}.
@event
: title title Name; city city Place; date date Day; start time First minute; visitors 20-900 Expected
> The concert "{title}" takes place in {city} on {date}. Doors open for the start at {start}.
> On {date}, {visitors} visitors will see "{title}" in {city}.
> An evening with the title "{title}" is planned for {date} with {visitors} visitors. The start is at {start}.
> "{title}" in the city of {city}: date {date}, start {start}, {visitors} visitors.
@address
: recipient person Who; street street Street; postcode 10000-98000 Code; city city Town; country country Land
> Please write to {recipient}, {street}, {postcode} {city}, {country}.
> {recipient} has moved to {street} in {city}. The postcode is {postcode} and the country {country}.
> The street is {street}, the city is {city}, the country is {country}.
@sentiment
: subject thing What it is about; sentiment mood Opinion; author person Writer
> The {subject} was {sentiment}.
> {author} says that the {subject} is {sentiment}.
> I tried the {subject} on Friday and found it {sentiment}. Signed, {author}.
> In short, the {subject} was {sentiment} for all of us.
> What {author} thinks of the {subject}: {sentiment}.
@vehicle
: maker maker Brand; color red/blue/silver/black Paint; year 1998-2024 Built; mileage 4000-190000 Driven; plate id Plate
> For sale: a {color} {maker} from the year {year} with a mileage of {mileage}.
> The {maker} with the plate {plate} is {color}. Its mileage is {mileage}.
> A car from the maker {maker}, color {color}, plate {plate}, was built in the year {year}.
> A {color} car, maker {maker}, year {year}, plate {plate}, mileage {mileage}.
@book
: title title Title; author person Writer; pages 90-820 Length; language language Language; price amount Price
> "{title}" by the author {author} has {pages} pages and is written in {language}.
> The author {author} sells the book "{title}" at a price of {price}. It has {pages} pages.
> Now in the language {language}: "{title}", with {pages} pages, price {price}.
@meeting
: organizer person Host; room room Place; date date Day; start time Begin; attendees many person Guests
> {organizer} is the organizer of the meeting on {date} at {start}. The attendees are {attendees}.
> We meet in the {room} on {date}; start is {start}. The organizer is {organizer}.
> Attendees: {attendees}. Room: {room}. Date: {date}.
@recipe
: dish dish Dish; minutes 10-120 Time; servings 2-12 Plates; ingredients many ingredient All; level easy/medium/hard How
> The {dish} takes {minutes} minutes and makes {servings} servings. The ingredients are {ingredients}.
> For {dish} you need these ingredients: {ingredients}. The level is {level}.
> This {level} {dish} is ready in {minutes} minutes and has {servings} servings.
@parcel
: tracking id Code; weight 0.3-30.0 Kilograms; sender company From; destination city To; fragile yes/no Care
> Parcel with tracking code {tracking}, sender {sender}, weight {weight} kg, destination {destination}.
> The sender is {sender}. The destination is {destination} and the weight {weight}. Fragile: {fragile}.
> Tracking {tracking}: destination {destination}, fragile {fragile}.
@pet
: name pet Name; species dog/cat/rabbit/parrot Animal; age 2-16 Years; owner person Keeper; weight 1.0-30.0 Kilograms
> {name} is a {species} of age {age}. The owner is {owner}.
> The owner {owner} brought the {species} {name} for a check. The weight was {weight}.
> A {species} called {name} has a weight of {weight} and an age of {age} years.
> The owner {owner} has a {species} called {name}, age {age}, weight {weight}.
@vacancy
: position job Work; company company Employer; salary 1800-7000 Pay; city city Place; contract permanent/temporary Type
> {company} in {city} is looking for a {position}. The salary is {salary}.
> Open position: {position}. The company is {company}, the contract is {contract}, the salary is {salary}.
> The company {company} offers a {contract} contract to a {position} in the city of {city}.
@fault
: device device Thing; serial id Number; priority low/high/critical Urgency; reporter email Contact; floor 2-30 Where
> The device {device}, serial {serial}, is broken. The priority is {priority} and the reporter is {reporter}.
> On floor {floor} the {device} fails with {priority} priority. Reporter: {reporter}.
> Serial number {serial} on floor {floor}; priority {priority}.
@reading
: sensor id Sensor; temperature 2.0-39.0 Degrees; humidity 20-95 Percent; time time Hour; status ok/warning/failed How
> Sensor {sensor} measured a temperature of {temperature} and a humidity of {humidity} at {time}.
> At {time} the status of sensor {sensor} was {status}. The temperature was {temperature}.
> Humidity {humidity}, status {status}, sensor {sensor}.
@article
: headline title Headline; writer person Writer; words 200-3000 Length; tags many tag Labels; published date Day
> {writer} is the writer of "{headline}", published on {published}. The tags are {tags}.
> The headline is "{headline}". It has {words} words and was published on {published}.
> Tags: {tags}. Writer: {writer}. Length: {words} words.
@booking
: guest person Guest; nights 2-21 Nights; room_type single/double/suite Kind; arrival date First day; price amount Price
> {guest} booked a {room_type} room for {nights} nights. The arrival is on {arrival}.
> The guest {guest} pays a price of {price} for {nights} nights with arrival on {arrival}.
> Guest: {guest}. Room type: {room_type}. Price: {price}.
> {guest} has a {room_type} room for {nights} nights with the arrival on {arrival}. The price is {price}.
@farm
: farmer person Owner; crop wheat/maize/oats/rye Crop; hectares 3-400 Area; harvest date Day; helpers many person Hands
> The farmer {farmer} grows {crop} on {hectares} hectares. The harvest begins on {harvest}.
> {farmer} is the farmer, and the helpers are {helpers}. The crop is {crop}.
> With {helpers} as helpers, the harvest of {hectares} hectares starts on {harvest}.
"""

ASKS = (
    "Read the text and return JSON.",
    "Turn this note into JSON.",
    "Take the fields out of the text and write them as a JSON object.",
    "Fill in the JSON document from what is written.",
    "Give me the data in the text as JSON.",
    "Please convert the message to a JSON object.",
    "What does the text say? Reply with JSON only.",
    "I need a JSON record of the following.",
)
MEANT = (
    "The schema is: {schema}",
    "Follow this JSON schema: {schema}",
    "It must match the schema {schema}",
    "Schema:\n{schema}",
)
